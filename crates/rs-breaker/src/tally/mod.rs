//! What calls count as they end: where they contend each on a stripe of its own, and never under a lock.

mod counted;

pub(crate) use counted::{Added, Counted, End, Tag};

use rs_core::{Fault, FaultKind, Label, Striped, label_set};
use rs_metrics::{Distribution, LATENCY};

use self::counted::Taken;
use crate::{
    sync::{AtomicU64, OnceLock, Ordering},
    window::Results,
};

label_set! {
    /// Why a call was refused.
    pub enum Refused: "reason" {
        /// The breaker was open.
        Open = "open",
        /// It was half-open, and all probes were out.
        HalfOpen = "half_open",
        /// The ramp did not let it through yet.
        Ramping = "ramping",
        /// By order.
        ForcedOpen = "forced_open",
        /// For maintenance.
        Isolated = "isolated",
    }
}

label_set! {
    /// How a call failed.
    pub enum FailureKind: "kind" {
        /// It may pass.
        Transient = "transient",
        /// It took too long.
        TimedOut = "timed_out",
        /// The dependency asked for fewer calls.
        Throttled = "throttled",
        /// Trying again cannot help.
        Permanent = "permanent",
    }
}

impl From<Fault> for FailureKind {
    fn from(fault: Fault) -> Self {
        match fault.kind() {
            FaultKind::TimedOut => Self::TimedOut,
            FaultKind::Throttled => Self::Throttled,
            FaultKind::Permanent => Self::Permanent,
            _ => Self::Transient,
        }
    }
}

/// A count that only grows.
#[derive(Debug)]
pub(crate) struct Total(AtomicU64);

impl Total {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(crate) fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The same; `false` if another thread was in the way.
    pub(crate) fn bump_alone(&self) -> bool {
        let count = self.0.load(Ordering::Relaxed);
        let alone = self
            .0
            .compare_exchange(count, count + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if !alone {
            self.bump();
        }
        alone
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that calls count.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Ended and seen by the windows.
    pub(crate) counted: Counted,
    /// Succeeded beside the windows: probes, and calls that were let through in the dark.
    pub(crate) beside_fine: Total,
    pub(crate) beside_failed: Total,
    pub(crate) ignored: Total,
    pub(crate) cancelled: Total,
    pub(crate) stale: Total,
    pub(crate) dark: Total,
    failures: [Total; FailureKind::ALL.len()],
    refused: [Total; Refused::ALL.len()],
    times: Times,
}

impl Tally {
    fn new(tag: Tag) -> Self {
        Self {
            counted: Counted::new(tag),
            beside_fine: Total::new(),
            beside_failed: Total::new(),
            ignored: Total::new(),
            cancelled: Total::new(),
            stale: Total::new(),
            dark: Total::new(),
            failures: std::array::from_fn(|_| Total::new()),
            refused: std::array::from_fn(|_| Total::new()),
            times: Times::new(),
        }
    }

    pub(crate) fn failures(&self, kind: FailureKind) -> &Total {
        &self.failures[kind.index()]
    }

    #[inline]
    pub(crate) fn refused(&self, reason: Refused) -> &Total {
        &self.refused[reason.index()]
    }

    /// How many calls came here.
    pub(crate) fn activity(&self) -> u64 {
        let others = [
            &self.beside_fine,
            &self.beside_failed,
            &self.ignored,
            &self.cancelled,
            &self.stale,
            &self.dark,
        ];
        let others = others.into_iter().chain(&self.refused);
        self.counted.calls() + others.map(Total::get).sum::<u64>()
    }

    /// A call took so many nanoseconds.
    pub(crate) fn took(&self, nanos: u64) {
        self.times.record(nanos);
    }
}

/// How long calls took: a count for each bucket of [`LATENCY`] and their sum.
#[derive(Debug)]
struct Times {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

const BUCKETS: usize = LATENCY.len() + 1;

impl Times {
    fn new() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
        }
    }

    fn record(&self, nanos: u64) {
        // Few buckets: counting the bounds below beats a search, having no branch to miss.
        let bucket: usize = BOUNDS.iter().map(|bound| usize::from(nanos > *bound)).sum();
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
            self.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

/// The bounds of the buckets in nanoseconds.
const BOUNDS: [u64; LATENCY.len()] = {
    let mut bounds = [0; LATENCY.len()];
    let mut place = 0;
    while place < bounds.len() {
        bounds[place] = (LATENCY[place] * 1e9) as u64;
        place += 1;
    }
    bounds
};

/// The tallies of a breaker: one, until two threads meet there; then one for each processor.
#[derive(Debug)]
pub(crate) struct Tallies {
    first: Tally,
    more: OnceLock<Striped<Tally>>,
}

impl Tallies {
    pub(crate) fn new(tag: Tag) -> Self {
        Self {
            first: Tally::new(tag),
            more: OnceLock::new(),
        }
    }

    /// The tally of this thread.
    #[inline]
    pub(crate) fn local(&self) -> &Tally {
        match self.more.get() {
            None => &self.first,
            Some(more) => local_of(more),
        }
    }

    /// Threads met: from now on each counts for itself. Tallies that are made now have counted nothing
    /// and belong to no generation until the next time that all are taken, so `tag` must be current:
    /// call it under the lock.
    pub(crate) fn spread(&self, tag: Tag) {
        self.more.get_or_init(|| striped(|| Tally::new(tag)));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Tally> {
        let more = self.more.get().into_iter().flat_map(Striped::iter);
        std::iter::once(&self.first).chain(more)
    }

    /// Whether somebody counted something that can make a rule hold.
    pub(crate) fn any_speaks_against(&self) -> bool {
        self.iter().any(|tally| tally.counted.speaks_against())
    }

    /// What was counted, for each slice in their order; all tallies belong to `next` from now on.
    pub(crate) fn take(&self, next: Tag, slice: u64) -> Batches {
        let mut batches = Batches::default();
        for tally in self.iter() {
            let (tag, taken) = tally.counted.take(next);
            if taken.before + taken.then.calls() > 0 {
                batches.add(tag.slice_near(slice), taken);
            }
        }
        batches
    }

    pub(crate) fn sum(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.iter().map(of).sum()
    }

    /// How long calls took.
    pub(crate) fn times(&self) -> Option<Distribution> {
        let mut counts = vec![0; BUCKETS];
        let mut sum = 0.0;
        for tally in self.iter() {
            for (count, bucket) in counts.iter_mut().zip(&tally.times.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
            sum += tally.times.nanos.load(Ordering::Relaxed) as f64 / 1e9;
        }
        // There is a count for each bound and one more.
        Distribution::new(LATENCY, counts, sum)
    }
}

/// What was counted in a few slices of time, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Batches([Option<(u64, Taken)>; 4]);

impl Batches {
    /// Tallies lie back by few slices; beyond the places here the newest ones are taken together.
    fn add(&mut self, slice: u64, taken: Taken) {
        let same_or_free = |batch: &&mut Option<(u64, Taken)>| match batch {
            Some((known, _)) => *known == slice,
            None => true,
        };
        let batch = match self.0.iter_mut().find(same_or_free) {
            Some(batch) => Some(batch.get_or_insert((slice, Taken::default()))),
            None => self.0.iter_mut().flatten().max_by_key(|batch| batch.0),
        };
        if let Some((known, sum)) = batch {
            *known = slice.max(*known);
            sum.before += taken.before;
            sum.then += taken.then;
        }
        self.0
            .sort_unstable_by_key(|batch| batch.map_or(u64::MAX, |(slice, _)| slice));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Results)> {
        self.0.iter().flatten().flat_map(|(slice, taken)| {
            let before = Results {
                fine: taken.before,
                ..Results::default()
            };
            let parts = [before, taken.then].into_iter();
            parts
                .filter(|results| results.calls() > 0)
                .map(|results| (*slice, results))
        })
    }
}

/// As many as there are processors, up to 16: a tally takes three cache lines.
#[cfg(not(loom))]
fn striped(make: impl FnMut() -> Tally) -> Striped<Tally> {
    Striped::at_most(16, make)
}

#[cfg(loom)]
fn striped(make: impl FnMut() -> Tally) -> Striped<Tally> {
    Striped::with_count(2, make)
}

#[cfg(not(loom))]
#[inline]
fn local_of(more: &Striped<Tally>) -> &Tally {
    more.local()
}

/// Modelled threads are not threads: a tally for each of the first two, and for the others again.
#[cfg(loom)]
fn local_of(more: &Striped<Tally>) -> &Tally {
    let number = format!("{:?}", loom::thread::current().id());
    let number: usize = number
        .chars()
        .filter(char::is_ascii_digit)
        .map(|digit| digit as usize)
        .sum();
    more.iter()
        .nth(number % more.count())
        .unwrap_or_else(|| more.local())
}
