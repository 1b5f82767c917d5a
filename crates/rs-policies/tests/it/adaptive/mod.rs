//! The adaptive limit.

mod algorithms;
mod cancellation;
mod config;
mod convergence;
mod cost;
mod model;
mod overload;
mod queue;
mod results;
pub(crate) mod seen;
mod server;

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_core::{Call, Clock, ClockHand, Criticality, Guard, Permit, Rejection};
use rs_policies::{AdaptiveConfig, AdaptiveLimit, ClassShares, Surroundings};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A limit apart from the world, whose time is moved by hand.
pub(crate) struct Bench {
    pub(crate) limit: AdaptiveLimit,
    pub(crate) hand: ClockHand,
    pub(crate) clock: Clock,
    pub(crate) around: Surroundings,
}

type Admitted<'a> = Result<Permit<&'a AdaptiveLimit>, Rejection>;
pub(crate) type Entering<'a> = Pin<Box<dyn Future<Output = Admitted<'a>> + Send + 'a>>;

impl Bench {
    pub(crate) fn with(config: AdaptiveConfig) -> Self {
        let (clock, hand) = Clock::manual();
        let around = Surroundings::apart().with_clock(clock.clone()).with_seed(7);
        Self {
            limit: AdaptiveLimit::within(&around, "search", config).unwrap(),
            hand,
            clock,
            around,
        }
    }

    pub(crate) fn enter(&self) -> Admitted<'_> {
        self.limit.try_admit(&Call::new("x"))
    }

    /// On its way in; not polled yet.
    pub(crate) fn entering(&self, call: Call) -> Entering<'_> {
        Box::pin(async move { self.limit.admit(&call).await })
    }

    /// In, or waiting.
    pub(crate) fn joined(&self, class: Criticality) -> Entering<'_> {
        let mut entering = self.entering(Call::new("x").with_criticality(class));
        assert!(poll(&mut entering).is_pending(), "it waits");
        entering
    }
}

pub(crate) fn poll<'a>(entering: &mut Entering<'a>) -> Poll<Admitted<'a>> {
    entering
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
pub(crate) fn is_in<'a>(entering: &mut Entering<'a>) -> Permit<&'a AdaptiveLimit> {
    match poll(entering) {
        Poll::Ready(Ok(permit)) => permit,
        Poll::Ready(Err(rejection)) => panic!("{rejection}"),
        Poll::Pending => panic!("it still waits"),
    }
}

#[track_caller]
pub(crate) fn refused(entering: &mut Entering<'_>) -> Rejection {
    match poll(entering) {
        Poll::Ready(Err(rejection)) => rejection,
        Poll::Ready(Ok(_)) => panic!("it is in"),
        Poll::Pending => panic!("it still waits"),
    }
}

/// A limit that stays where it is, for tests of what is in and who waits.
pub(crate) fn fixed(limit: u32) -> AdaptiveConfig {
    AdaptiveConfig::default()
        .with_shares(ClassShares::EQUAL)
        .between(limit, limit)
}
