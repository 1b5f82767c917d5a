//! How a call goes in.

use std::{cell::Cell, time::Duration};

#[cfg(feature = "tower")]
use rs_core::Label;
use rs_core::{Call, Enforcement, Rejection, Share, hash};

use super::Shared;
use crate::{
    BreakerState, Ticket, Timing,
    gate::Gate,
    sync::{Ordering, fence},
    ticket::{Place, Started},
};

/// The numbers that decided.
#[derive(Clone, Copy)]
struct Evidence {
    observed: f64,
    limit: f64,
    until: u64,
}

impl Shared {
    /// What the caller makes of the ticket, or the rejection, which is written where it will stay: moving
    /// it once more costs as much as all the rest.
    #[inline]
    pub(crate) fn enter<T>(
        &self,
        call: &Call,
        admitted: impl FnOnce(Ticket) -> T,
    ) -> Result<T, Rejection> {
        let gate = Gate::from_bits(self.gate.load(Ordering::Acquire));
        if gate.has(Gate::PLAIN) {
            return Ok(admitted(self.admit(gate)));
        }
        let looks = gate.has(Gate::DUE) && self.is_turn_to_look();
        if gate.has(Gate::SHUT)
            && !looks
            && let Some(rejection) = self.refuse(gate)
        {
            return Err(rejection);
        }
        self.enter_with_care(call).map(admitted)
    }

    #[inline]
    fn admit(&self, gate: Gate) -> Ticket {
        let shown = gate.has(Gate::SHOWN) || gate.has(Gate::SAMPLED) && Self::is_one_of_many();
        let timed = shown || gate.has(Gate::TIMED);
        let started = timed.then(|| Started {
            age: self.age(self.clock().now()),
            shown,
        });
        Ticket::new(gate.generation(), Place::Counted, started)
    }

    /// One in so many of a thread's calls; the multiplication spreads turns that come in regular steps,
    /// such as every third call being to this breaker.
    ///
    /// Not by a count of this breaker: reading what was just counted waits until the processor has
    /// written it, which costs a third of a call.
    #[inline]
    fn is_one_of_many() -> bool {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        thread_local! {
            static TURN: Cell<u64> = const { Cell::new(0) };
        }
        // In a model turns would go on from one run to the next: it would not be the same model.
        !cfg!(loom)
            && TURN.with(|turn| {
                turn.set(turn.get().wrapping_add(GOLDEN));
                turn.get() < u64::MAX / Timing::SAMPLE
            })
    }

    #[inline(never)]
    fn enter_with_care(&self, call: &Call) -> Result<Ticket, Rejection> {
        loop {
            let gate = self.gate_now();
            match gate.state() {
                BreakerState::Closed | BreakerState::ForcedClosed => {
                    return Ok(self.admit(gate));
                }
                BreakerState::HalfOpen if !gate.has(Gate::FULL) => match self.take_probe() {
                    Some(ticket) => return Ok(ticket),
                    None => continue,
                },
                BreakerState::Ramping if self.ramp_covers(call, gate) => {
                    return Ok(self.admit(gate));
                }
                _ => {}
            }
            if gate.has(Gate::LENIENT) && !gate.why().by_order && !self.enforces(call) {
                self.tallies.local().dark.bump();
                return Ok(Ticket::new(gate.generation(), Place::Beside, None));
            }
            if let Some(rejection) = self.refuse(gate) {
                return Err(rejection);
            }
        }
    }

    /// `None` if the breaker became something else while it was looked at.
    #[inline]
    fn refuse(&self, gate: Gate) -> Option<Rejection> {
        let evidence = self.evidence(gate)?;
        let refused = self.tallies.local().refused(gate.why().counted_as);
        if !Self::is_one_of_many() {
            refused.bump();
        } else if !refused.bump_alone() {
            self.spread();
        }
        Some(self.explain(gate, evidence))
    }

    /// `None` if the breaker became something else while it was looked at.
    #[inline]
    fn evidence(&self, gate: Gate) -> Option<Evidence> {
        let numbers = self.numbers(gate.generation());
        let evidence = Evidence {
            observed: f64::from_bits(numbers.observed.load(Ordering::Relaxed)),
            limit: f64::from_bits(numbers.limit.load(Ordering::Relaxed)),
            until: numbers.until.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        (self.gate.load(Ordering::Relaxed) == gate.bits()).then_some(evidence)
    }

    #[inline]
    fn explain(&self, gate: Gate, evidence: Evidence) -> Rejection {
        let why = gate.why();
        let mut rejection = why
            .reason
            .reject(self.name)
            .in_generation(gate.generation());
        if why.reason.measure().is_some() {
            rejection = rejection.because(evidence.observed, evidence.limit);
        }
        if why.says_when && gate.has(Gate::DUE) {
            rejection = rejection.try_at(self.origin + unpacked(evidence.until));
        }
        rejection
    }

    /// Why all calls are refused now, if they are. No call is refused by asking.
    #[cfg(feature = "tower")]
    pub(crate) fn why_shut(&self) -> Option<Rejection> {
        loop {
            // It ends what time has ended.
            let _ = self.state();
            let gate = self.gate();
            if !gate.has(Gate::SHUT) {
                return None;
            }
            if let Some(evidence) = self.evidence(gate) {
                return Some(self.explain(gate, evidence));
            }
        }
    }

    /// A call was refused for that reason.
    #[cfg(feature = "tower")]
    pub(crate) fn was_refused(&self, why: &Rejection) {
        let code = why.reason().code();
        if let Some(reason) = crate::tally::Refused::ALL
            .iter()
            .find(|reason| reason.as_str() == code)
        {
            self.tallies.local().refused(*reason).bump();
        }
    }

    /// The gate, after time has done what it is due to do.
    fn gate_now(&self) -> Gate {
        let gate = self.gate();
        if gate.has(Gate::DUE) {
            let now = self.clock().now();
            if self.age(now) >= self.due.load(Ordering::Relaxed) {
                self.tick(now);
                return self.gate();
            }
        }
        gate
    }

    /// `None` if there was no place, or it is no longer half-open.
    fn take_probe(&self) -> Option<Ticket> {
        let now = self.clock().now();
        let taken = self.act(now, |machine| {
            machine.tick(now);
            (machine.take_probe(now), machine.generation())
        });
        match taken {
            (Some(number), generation) => {
                let started = Some(Started {
                    age: self.age(now),
                    shown: true,
                });
                Some(Ticket::new(generation, Place::Probe(number), started))
            }
            (None, _) => None,
        }
    }

    /// While a supervisor runs, it comes when the time has come, and calls need not read the clock. But
    /// it may be late: one in 64 refused calls looks nevertheless.
    fn is_turn_to_look(&self) -> bool {
        !self.around.supervisor.is_running() || Self::is_one_of_many()
    }

    #[inline(never)]
    fn ramp_covers(&self, call: &Call, gate: Gate) -> bool {
        let numbers = self.numbers(gate.generation());
        let share = f64::from_bits(numbers.observed.load(Ordering::Relaxed));
        let attempt = u64::from(call.attempt()) << 48;
        let seed = hash::spread(gate.generation()) ^ attempt;
        Share::of(share).is_ok_and(|share| share.covers(hash::spread(call.id().get() ^ seed)))
    }

    #[inline(never)]
    fn enforces(&self, call: &Call) -> bool {
        let share = f64::from_bits(self.enforced.load(Ordering::Relaxed));
        Share::of(share).is_ok_and(|share| Enforcement::Partial(share).covers(call))
    }
}

const NANOS_BITS: u32 = 30;

pub(super) const fn packed(time: Duration) -> u64 {
    time.as_secs() << NANOS_BITS | time.subsec_nanos() as u64
}

#[inline]
const fn unpacked(packed: u64) -> Duration {
    Duration::new(
        packed >> NANOS_BITS,
        (packed & ((1 << NANOS_BITS) - 1)) as u32,
    )
}
