//! What is made of the results of calls.

use std::{sync::atomic::Ordering, time::Instant};

use rs_core::{Criticality, FaultKind, Measure, Outcome, Severity, SignalKind, Unit};

use super::{
    AdaptiveTicket, Inner,
    seeker::{Change, Decision, Seeker, Window},
};

static DROPPED: Measure = Measure::new("dropped", Unit::Count);
static CALLS: Measure = Measure::new("calls", Unit::Count);
static AT_MINIMUM: SignalKind = SignalKind::new(
    "adaptive_limit",
    "at_minimum",
    Severity::Warning,
    "is at its minimum: {dropped} of {calls} were dropped",
);
static PANICKED: SignalKind = SignalKind::new(
    "adaptive_limit",
    "algorithm_panicked",
    Severity::Error,
    "keeps its limit, the algorithm panicked",
);

impl Inner {
    /// A success or a failure of a call that began under this ticket.
    #[inline]
    pub(super) fn ended(
        &self,
        ticket: AdaptiveTicket,
        outcome: Outcome,
        now: Instant,
        in_flight: u32,
    ) {
        let is_stale = ticket.generation != self.generation.load(Ordering::Relaxed);
        if outcome.is_success() {
            if !is_stale && self.nanos(now) >= self.times_from.load(Ordering::Relaxed) {
                let time = now.saturating_duration_since(ticket.began);
                self.samples.succeeded(time, in_flight);
            }
        } else if is_drop(outcome) {
            self.found.dropped.fetch_add(1, Ordering::Relaxed);
            let began = self.nanos(ticket.began);
            if !is_stale && began >= self.drops_from.load(Ordering::Relaxed) {
                self.samples.dropped(in_flight);
            }
        }
        if is_stale {
            self.found.stale.fetch_add(1, Ordering::Relaxed);
        }
        if self.nanos(now) >= self.due.load(Ordering::Relaxed) {
            self.judge(now);
        }
    }

    /// Ends the window, if nobody else does so at this moment and there is enough in it.
    #[cold]
    fn judge(&self, now: Instant) {
        let Ok(mut seeker) = self.seeker.try_lock() else {
            return;
        };
        if self.nanos(now) < self.due.load(Ordering::Relaxed) {
            return;
        }
        if let Some(later) = seeker.not_before(now, self.samples.count()) {
            self.due.store(self.nanos(later), Ordering::Relaxed);
            return;
        }
        let taken = self.samples.take();
        let decision = seeker.judge(&Window {
            now,
            timed: taken.timed,
            mean: taken.mean(),
            dropped: taken.dropped,
            in_flight: taken.in_flight,
        });
        let was_above = self.found.limit.load(Ordering::Relaxed) > decision.limit.into();
        let is_least = decision.limit == seeker.rules().minimum();
        self.publish(&seeker, decision, now);
        drop(seeker);
        match decision.change {
            Change::ShrankByDrops if was_above && is_least => self.home.record(|| {
                let calls = taken.timed.saturating_add(taken.dropped);
                AT_MINIMUM
                    .signal(self.home.name)
                    .with(DROPPED.at(taken.dropped.into()))
                    .with(CALLS.at(calls.into()))
            }),
            Change::Panicked => self.home.record(|| PANICKED.signal(self.home.name)),
            _ => {}
        }
    }

    pub(super) fn publish(&self, seeker: &Seeker, decision: Decision, now: Instant) {
        let found = &self.found;
        found
            .limit
            .store(seeker.limit().round() as u64, Ordering::Relaxed);
        let bits = |seconds: Option<f64>| seconds.unwrap_or(0.0).to_bits();
        found.time.store(bits(seeker.time()), Ordering::Relaxed);
        found
            .unloaded
            .store(bits(seeker.unloaded()), Ordering::Relaxed);
        if let Some(from) = decision.times_from {
            self.times_from.store(self.nanos(from), Ordering::Relaxed);
        }
        if let Some(from) = decision.drops_from {
            self.drops_from.store(self.nanos(from), Ordering::Relaxed);
        }
        self.due.store(self.nanos(decision.due), Ordering::Relaxed);
        let before = self.gate.limit_for(Criticality::CriticalPlus);
        self.gate.set_limit(decision.limit, seeker.rules());
        if self.gate.limit_for(Criticality::CriticalPlus) >= before {
            self.gate.serve(now);
        }
    }
}

/// Whether the call got lost because there were too many: it took too long, or the dependency asked for
/// fewer. Others that failed were taken, and say nothing about how many there may be.
fn is_drop(outcome: Outcome) -> bool {
    let kind = outcome.fault().map(|fault| fault.kind());
    matches!(kind, Some(FaultKind::TimedOut | FaultKind::Throttled))
}
