use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

use rs_core::{Ending, Outcome};

use crate::{
    common::{Common, NEVER, millis},
    ewma::Ewma,
};

/// An endpoint as leases hold it. Each lease is one strong reference, and the balancer has one: counting
/// the calls in flight and keeping alive what they use is the same addition.
///
/// In this order: what nearly each call touches follows the count of references, so that it costs one
/// cache line, or two where the endpoint lies across a border. In large sets that is what a pick costs.
#[repr(C)]
pub(crate) struct Node<T, G> {
    /// Which one it is, among all that this balancer ever had; from 1.
    pub(crate) number: u32,
    /// How many failed in a row.
    streak: AtomicU32,
    /// How the calls ended: succeeded, failed, ignored, cancelled.
    tally: [AtomicU32; 4],
    pub(crate) value: T,
    pub(crate) guard: G,
    pub(crate) common: Arc<Common>,
    /// There once calls are timed.
    vitals: OnceLock<Arc<Vitals>>,
    pub(crate) id: Box<str>,
}

/// What is compared before an endpoint is chosen.
#[derive(Debug)]
pub(crate) struct Vitals {
    latency: AtomicU64,
}

/// How a call ended, as an index.
pub(crate) const SUCCEEDED: usize = 0;
pub(crate) const FAILED: usize = 1;
pub(crate) const IGNORED: usize = 2;
pub(crate) const CANCELLED: usize = 3;

impl Vitals {
    pub(crate) const fn new() -> Self {
        Self {
            latency: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn latency(&self) -> Ewma {
        Ewma::from_bits(self.latency.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn took(&self, seconds: f32, now: u32, decay: f32) {
        self.latency
            .update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
                Ewma::from_bits(bits).after(seconds, now, decay).bits()
            });
    }

    /// A call was given up after so long: it would have taken longer.
    fn took_longer(&self, seconds: f32, now: u32, decay: f32) {
        let known = self.latency();
        if !known.is_known() || seconds > known.at(now, decay) {
            self.took(seconds, now, decay);
        }
    }

    fn forget(&self) {
        self.latency.store(Ewma::UNKNOWN.bits(), Ordering::Relaxed);
    }
}

impl<T, G> Node<T, G> {
    pub(crate) fn new(number: u32, common: Arc<Common>, id: Box<str>, guard: G, value: T) -> Self {
        Self {
            tally: Default::default(),
            streak: AtomicU32::new(0),
            number,
            common,
            vitals: OnceLock::new(),
            id,
            guard,
            value,
        }
    }

    pub(crate) fn vitals(&self) -> Option<&Vitals> {
        self.vitals.get().map(|vitals| &**vitals)
    }

    pub(crate) fn vitals_or_new(&self) -> &Arc<Vitals> {
        self.vitals.get_or_init(|| Arc::new(Vitals::new()))
    }

    pub(crate) fn streak(&self) -> u32 {
        self.streak.load(Ordering::Relaxed)
    }

    /// How many calls ended so, modulo 2^32.
    pub(crate) fn ended(&self, how: usize) -> u32 {
        self.tally
            .get(how)
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Moves so many calls that ended so into the totals, once there are as many: the counts here are short.
    pub(crate) fn carry(&self, how: usize) -> u32 {
        const MANY: u32 = 1 << 30;
        let (Some(count), Some(total)) = (self.tally.get(how), self.common.retired.get(how)) else {
            return 0;
        };
        if count.load(Ordering::Relaxed) < MANY {
            return 0;
        }
        count.fetch_sub(MANY, Ordering::Relaxed);
        total.fetch_add(MANY.into(), Ordering::Relaxed);
        MANY
    }

    /// It leaves the set: what it counted goes into the totals, so that they never go back.
    pub(crate) fn retire(&self) {
        for (count, total) in self.tally.iter().zip(&self.common.retired) {
            let counted = count.swap(0, Ordering::Relaxed);
            total.fetch_add(counted.into(), Ordering::Relaxed);
        }
    }

    /// It begins anew: what is behind it does not speak against it.
    pub(crate) fn forgive(&self) {
        self.streak.store(0, Ordering::Relaxed);
        if let Some(vitals) = self.vitals() {
            vitals.forget();
        }
    }

    /// It begins anew, but the next failure is one too many if so many are.
    pub(crate) fn on_probation(&self, limit: u32) {
        self.forgive();
        self.streak
            .store(limit.saturating_sub(1), Ordering::Relaxed);
    }

    /// A call ended.
    #[inline(always)]
    pub(crate) fn ends(&self, ending: Ending, begun: u64, call: u64) {
        let how = match ending {
            Ending::Finished {
                outcome: Outcome::Success,
                ..
            } => {
                if self.streak() != 0 {
                    self.streak.store(0, Ordering::Relaxed);
                }
                SUCCEEDED
            }
            Ending::Finished {
                outcome: Outcome::Failure(_),
                ..
            } => {
                self.fails(call);
                FAILED
            }
            Ending::Finished {
                outcome: Outcome::Ignored,
                ..
            } => IGNORED,
            Ending::Cancelled => CANCELLED,
        };
        self.tally[how].fetch_add(1, Ordering::Relaxed);
        // A call that began before calls were timed tells nothing.
        if begun != NEVER
            && let Some(vitals) = self.vitals()
        {
            self.measure(vitals, ending, begun);
        }
    }

    #[cold]
    fn fails(&self, call: u64) {
        self.common.tried.fails(call, self.number);
        let streak = self
            .streak
            .fetch_add(1, Ordering::Relaxed)
            .saturating_add(1);
        let limit = self.common.streak();
        // Who cannot be ejected, for too many others are, does not alarm with each failure.
        if limit > 0 && streak.is_multiple_of(limit) {
            self.common.alarm();
        }
    }

    #[inline(never)]
    fn measure(&self, vitals: &Vitals, ending: Ending, begun: u64) {
        let now = self.common.now();
        let elapsed = match ending.elapsed() {
            Some(elapsed) => elapsed.as_secs_f32(),
            None => now.saturating_sub(begun) as f32 * 1e-9,
        };
        let (now, decay) = (millis(now), self.common.decay());
        match ending.outcome() {
            Some(Outcome::Failure(fault)) => {
                let asked = fault.retry_after().unwrap_or_default();
                let counts_as = self.common.penalty().max(asked);
                vitals.took(elapsed.max(counts_as.as_secs_f32()), now, decay);
            }
            Some(Outcome::Success | Outcome::Ignored) => vitals.took(elapsed, now, decay),
            None => vitals.took_longer(elapsed, now, decay),
        }
    }
}

/// What leases counted that ended after it had left the set is not lost.
impl<T, G> Drop for Node<T, G> {
    fn drop(&mut self) {
        self.retire();
    }
}
