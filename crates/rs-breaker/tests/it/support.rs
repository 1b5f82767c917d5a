//! What all tests need: a breaker apart from the world, whose time is moved by hand.

use rs_breaker::{Breaker, BreakerConfig, OpenTime, Probing, Surroundings, Trip, Window};
use rs_core::{Call, Clock, ClockHand, Guard, Outcome, Permit, Rejection, Share};
use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn percent(percent: u32) -> Share {
    Share::percent(percent.into()).unwrap()
}

/// A breaker, the hand that moves its time, and the surroundings that it lives in.
pub(crate) struct Bench {
    pub(crate) breaker: Breaker,
    pub(crate) hand: ClockHand,
    pub(crate) around: Surroundings,
}

impl Bench {
    pub(crate) fn with(config: BreakerConfig) -> Self {
        let (clock, hand) = Clock::manual();
        let around = Surroundings::apart().with_clock(clock).with_seed(7);
        let breaker = Breaker::within(&around, "payments", config).unwrap();
        Self {
            breaker,
            hand,
            around,
        }
    }

    pub(crate) fn enter(&self) -> Result<Permit<&Breaker>, Rejection> {
        self.breaker.try_admit(&Call::new("charge"))
    }

    /// A call that ends like this; `false` if it was refused.
    pub(crate) fn call(&self, outcome: Outcome) -> bool {
        self.enter().map(|permit| permit.finish(outcome)).is_ok()
    }

    pub(crate) fn succeed(&self) -> bool {
        self.call(Outcome::Success)
    }

    pub(crate) fn fail(&self) -> bool {
        self.call(Outcome::TRANSIENT)
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.hand.advance(time);
    }

    /// What was announced, in words.
    pub(crate) fn said(&self) -> Vec<String> {
        let recent = self.around.recorder().recent(100);
        recent.iter().map(|one| one.signal.to_string()).collect()
    }
}

/// Half of the last ten, ten seconds open, one probe, no ramp, nothing random.
pub(crate) fn plain() -> BreakerConfig {
    BreakerConfig::default()
        .with_trip([Trip::failure_rate(percent(50), Window::last(10).after(4))])
        .with_open_time(OpenTime::fixed(10 * SECOND).with_jitter(Share::NONE))
        .with_probing(Probing::needing(1))
        .with_ramp(None)
}
