//! What both caches do, measured while they are used. Reads are counted; some are timed.

mod times;

use std::{
    future::Future,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use rs_core::{Clock, Striped};

pub use times::Times;

use crate::{CacheError, Entry, Side, gates::SideWindow};

/// One read in so many is timed, where there are many.
const SELDOM: u32 = 64;
/// So many timed reads of a side in a window are enough.
const ENOUGH: u64 = 5_000;
/// Nothing is timed.
const NEVER: u32 = u32::MAX;

/// Counts what both caches are asked and how they answer.
#[derive(Debug)]
pub(crate) struct Meter {
    /// One less than a power of two: a read is timed if the bits of its lot that this has are all zero.
    mask: AtomicU32,
    callers: [Timed; 2],
    /// Reads that found nothing; those that found something are counted as hits elsewhere.
    missed: [Striped<AtomicU64>; 2],
    probes: [Probed; 2],
}

#[derive(Debug)]
struct Timed(Box<[AtomicU64]>);

#[derive(Debug)]
struct Probed {
    timed: Timed,
    reads: AtomicU64,
    hits: AtomicU64,
    errors: AtomicU64,
}

impl Timed {
    fn new() -> Self {
        Self((0..times::BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }

    fn record(&self, since: Instant, clock: &Clock) {
        let time = clock.now().saturating_duration_since(since);
        if let Some(bucket) = self.0.get(times::bucket(time)) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    fn times(&self) -> Times {
        Times::of(self.0.iter().map(|count| count.load(Relaxed)).collect())
    }
}

/// Counts a read when it ends, however that is: one that its caller gave up took so long at least.
struct Running<'a> {
    timed: &'a Timed,
    clock: &'a Clock,
    since: Instant,
    /// It never came to the cache that is measured.
    near: bool,
}

impl Running<'_> {
    fn found<V>(&mut self, found: &Result<Option<Entry<V>>, CacheError>) {
        self.near = matches!(found, Ok(Some(entry)) if entry.near);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.near {
            self.timed.record(self.since, self.clock);
        }
    }
}

impl Meter {
    pub(crate) fn new() -> Self {
        let striped = || Striped::at_most(16, AtomicU64::default);
        let probed = || Probed {
            timed: Timed::new(),
            reads: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        };
        Self {
            mask: AtomicU32::new(SELDOM - 1),
            callers: [Timed::new(), Timed::new()],
            missed: [striped(), striped()],
            probes: [probed(), probed()],
        }
    }

    /// Times it, if its lot says so.
    #[inline]
    pub(crate) async fn watch<V>(
        &self,
        clock: &Clock,
        side: Side,
        lot: u32,
        read: impl Future<Output = Result<Option<Entry<V>>, CacheError>>,
    ) -> Result<Option<Entry<V>>, CacheError> {
        if lot & self.mask.load(Relaxed) != 0 {
            return read.await;
        }
        let [legacy, new] = &self.callers;
        let mut running = Running {
            timed: match side {
                Side::Legacy => legacy,
                Side::New => new,
            },
            clock,
            since: clock.now(),
            near: false,
        };
        let found = read.await;
        running.found(&found);
        found
    }

    /// The same of a read that need not wait.
    #[inline]
    pub(crate) fn watch_at_once<V>(
        &self,
        clock: &Clock,
        side: Side,
        lot: u32,
        read: impl FnOnce() -> Option<Result<Option<Entry<V>>, CacheError>>,
    ) -> Option<Result<Option<Entry<V>>, CacheError>> {
        if lot & self.mask.load(Relaxed) != 0 {
            return read();
        }
        let [legacy, new] = &self.callers;
        let timed = match side {
            Side::Legacy => legacy,
            Side::New => new,
        };
        let since = clock.now();
        let found = read()?;
        if !matches!(&found, Ok(Some(entry)) if entry.near) {
            timed.record(since, clock);
        }
        Some(found)
    }

    /// One of a pair of reads that nobody waits for.
    pub(crate) async fn probe<V>(
        &self,
        clock: &Clock,
        side: Side,
        read: impl Future<Output = Result<Option<Entry<V>>, CacheError>>,
    ) -> Result<Option<Entry<V>>, CacheError> {
        if self.mask.load(Relaxed) == NEVER {
            return read.await;
        }
        let [legacy, new] = &self.probes;
        let probed = match side {
            Side::Legacy => legacy,
            Side::New => new,
        };
        let mut running = Running {
            timed: &probed.timed,
            clock,
            since: clock.now(),
            near: false,
        };
        let found = read.await;
        running.found(&found);
        if running.near {
            return found;
        }
        drop(running);
        probed.reads.fetch_add(1, Relaxed);
        match found {
            Ok(Some(_)) => probed.hits.fetch_add(1, Relaxed),
            Ok(None) => 0,
            Err(_) => probed.errors.fetch_add(1, Relaxed),
        };
        found
    }

    #[inline]
    pub(crate) fn missed(&self, side: Side) {
        let [legacy, new] = &self.missed;
        let missed = match side {
            Side::Legacy => legacy,
            Side::New => new,
        };
        missed.local().fetch_add(1, Relaxed);
    }

    /// Whether anything is timed at all.
    pub(crate) fn enable(&self, on: bool) {
        match (on, self.mask.load(Relaxed)) {
            (true, NEVER) => self.mask.store(SELDOM - 1, Relaxed),
            (true, _) => {}
            (false, _) => self.mask.store(NEVER, Relaxed),
        }
    }

    /// Times as many reads as it takes: of few each, of many one in 64.
    pub(crate) fn adapt(&self, reads: u64) {
        if self.mask.load(Relaxed) == NEVER {
            return;
        }
        let one_in = (reads / ENOUGH).max(1).next_power_of_two();
        let one_in = u32::try_from(one_in).unwrap_or(SELDOM).min(SELDOM);
        self.mask.store(one_in - 1, Relaxed);
    }

    /// All since the start.
    pub(crate) fn read(&self) -> Reading {
        let sum =
            |striped: &Striped<AtomicU64>| striped.iter().map(|part| part.load(Relaxed)).sum();
        Reading {
            callers: self.callers.each_ref().map(Timed::times),
            missed: self.missed.each_ref().map(sum),
            probes: self.probes.each_ref().map(|probed| SideWindow {
                reads: probed.reads.load(Relaxed),
                hits: probed.hits.load(Relaxed),
                errors: probed.errors.load(Relaxed),
                times: probed.timed.times(),
                ..SideWindow::default()
            }),
        }
    }
}

/// What a [`Meter`] had counted at some time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    pub(crate) callers: [Times; 2],
    pub(crate) missed: [u64; 2],
    pub(crate) probes: [SideWindow; 2],
}
