use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rs_core::Mandate;

use crate::{FleetOrder, Forced};

/// The last order to the breakers of a name, as this replica knows it.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) id: u64,
    /// `None` lifts the order before.
    pub(super) forced: Option<Forced>,
    pub(super) mandate: Arc<Mandate>,
    /// How long ago it was given when it was noted here.
    age: Duration,
    noted: Instant,
    until: Option<Instant>,
}

impl Standing {
    /// Given here and now. What is lifted stays lifted, however long the mandate is.
    pub(super) fn given(forced: Option<Forced>, mandate: &Arc<Mandate>, now: Instant) -> Self {
        let lasts = mandate.expires_in().filter(|_| forced.is_some());
        Self {
            id: fastrand::u64(1..),
            forced,
            mandate: Arc::clone(mandate),
            age: Duration::ZERO,
            noted: now,
            until: lasts.and_then(|time| now.checked_add(time)),
        }
    }

    /// As the storage told it.
    pub(super) fn told(order: &FleetOrder, now: Instant) -> Self {
        Self {
            id: order.id,
            age: order.given,
            ..Self::given(order.forced, &Arc::new(order.mandate()), now)
        }
    }

    /// As it is told to the storage.
    pub(super) fn to_tell(&self, breaker: &str, now: Instant) -> FleetOrder {
        let mut order = FleetOrder::new(breaker, self.id, self.forced, &self.mandate);
        order.given = self.age(now);
        order.expires_in = self.time_left(now);
        order
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether it forces breakers to be something.
    pub(super) fn is_in_force(&self, now: Instant) -> bool {
        self.forced.is_some() && !self.is_over(now)
    }

    /// Whether a storage that does not know it should: until it ends, or, if it lifts another, as long
    /// as that is remembered.
    pub(super) fn is_to_be_known(&self, now: Instant) -> bool {
        let lifts = self.forced.is_none();
        self.is_in_force(now) || lifts && self.age(now) < FleetOrder::REMEMBERED
    }

    fn age(&self, now: Instant) -> Duration {
        self.age
            .saturating_add(now.saturating_duration_since(self.noted))
    }

    /// Its mandate for whoever hears of it now: the time that has passed is not given again.
    pub(super) fn mandate_left(&self, now: Instant) -> Arc<Mandate> {
        match self.time_left(now) {
            Some(time) if self.mandate.expires_in() != Some(time) => {
                Arc::new(Mandate::clone(&self.mandate).lasting(time))
            }
            _ => Arc::clone(&self.mandate),
        }
    }

    fn time_left(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }
}
