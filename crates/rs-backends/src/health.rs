use std::time::{Duration, Instant};

use rs_core::{Condition, Health};

/// How a backend is: what it answered just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendHealth {
    health: Health,
    latency: Option<Duration>,
    last_contact: Option<Instant>,
}

impl BackendHealth {
    /// In this health; it took so long to find out, and the registry answered last at that moment.
    #[must_use]
    pub const fn new(
        health: Health,
        latency: Option<Duration>,
        last_contact: Option<Instant>,
    ) -> Self {
        Self {
            health,
            latency,
            last_contact,
        }
    }

    /// How it is, and why.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Up, degraded or down.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.health.condition()
    }

    /// How long the registry took to answer, if it answered.
    #[must_use]
    pub const fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// When it last answered anything.
    #[must_use]
    pub const fn last_contact(&self) -> Option<Instant> {
        self.last_contact
    }
}
