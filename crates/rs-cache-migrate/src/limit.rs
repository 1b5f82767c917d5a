//! No operation of a cache takes for ever, and not every read falls back.

use std::{
    pin::Pin,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use rs_core::{Clock, Share};

use crate::{CacheError, Side};

/// How long operations may take; zero is as long as they like, and costs one load.
#[derive(Debug)]
pub(crate) struct Limits([AtomicU64; 2]);

impl Limits {
    pub(crate) fn new(legacy: Option<Duration>, new: Option<Duration>) -> Self {
        let limits = Self(Default::default());
        limits.set(Side::Legacy, legacy);
        limits.set(Side::New, new);
        limits
    }

    pub(crate) fn set(&self, side: Side, limit: Option<Duration>) {
        let nanos = limit.map_or(0, |limit| {
            u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
        });
        self.0[side as usize].store(nanos, Relaxed);
    }

    /// Nothing if there is none.
    pub(crate) fn get(&self, side: Side) -> Duration {
        Duration::from_nanos(self.0[side as usize].load(Relaxed))
    }

    /// What the operation of this side gives, within the limit.
    #[inline]
    pub(crate) const fn hold<'a, F>(
        &'a self,
        side: Side,
        clock: &'a Clock,
        operation: F,
    ) -> Held<'a, F> {
        Held {
            operation,
            limits: self,
            clock,
            side,
            timer: None,
        }
    }
}

pin_project! {
    /// An operation that may not take for ever. The timer comes when it did not answer at once: a cache in the
    /// process does, and its limit costs nothing.
    pub(crate) struct Held<'a, F> {
        #[pin]
        operation: F,
        limits: &'a Limits,
        clock: &'a Clock,
        side: Side,
        timer: Option<Timer<'a>>,
    }
}

struct Timer<'a> {
    limit: Duration,
    ends: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

impl<T, F: Future<Output = Result<T, CacheError>>> Future for Held<'_, F> {
    type Output = Result<T, CacheError>;

    // Not inlined, it costs more than the lock of a shard.
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.operation.poll(context) {
            Poll::Pending => end(this.limits, this.clock, *this.side, this.timer, context),
            ready => ready,
        }
    }
}

#[cold]
fn end<'a, T>(
    limits: &Limits,
    clock: &'a Clock,
    side: Side,
    timer: &mut Option<Timer<'a>>,
    context: &mut Context<'_>,
) -> Poll<Result<T, CacheError>> {
    let limit = limits.get(side);
    if timer.is_none() && limit.is_zero() {
        return Poll::Pending;
    }
    let timer = timer.get_or_insert_with(|| Timer {
        limit,
        ends: Box::pin(clock.sleep(limit)),
    });
    let ended = timer.ends.as_mut().poll(context);
    ended.map(|()| Err(CacheError::TookTooLong(timer.limit)))
}

/// What a read adds and a fallback takes, in hundredths of a per cent of a read.
const WHOLE: i64 = 10_000;
/// So many may fall back at once after a quiet time.
const BURST: i64 = 1000 * WHOLE;

/// A share of the reads of new may fall back: a bucket that reads fill, not time.
#[derive(Debug)]
pub(crate) struct Fallbacks {
    share: AtomicI64,
    tokens: AtomicI64,
}

impl Fallbacks {
    pub(crate) fn new(share: Share) -> Self {
        let fallbacks = Self {
            share: AtomicI64::new(WHOLE),
            tokens: AtomicI64::new(BURST),
        };
        fallbacks.set(share);
        fallbacks
    }

    pub(crate) fn set(&self, share: Share) {
        self.share
            .store((share.get() * WHOLE as f64) as i64, Relaxed);
    }

    /// A read was meant for new.
    #[inline]
    pub(crate) fn count(&self) {
        let share = self.share.load(Relaxed);
        // Two threads may fill it a little above the brim.
        if share < WHOLE && self.tokens.load(Relaxed) < BURST {
            self.tokens.fetch_add(share, Relaxed);
        }
    }

    /// Whether one more read may fall back.
    pub(crate) fn take(&self) -> bool {
        self.share.load(Relaxed) >= WHOLE
            || self
                .tokens
                .fetch_update(Relaxed, Relaxed, |tokens| {
                    tokens.checked_sub(WHOLE).filter(|left| *left >= 0)
                })
                .is_ok()
    }
}
