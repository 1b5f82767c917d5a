//! Rate limits and bulkheads by key, from their configurations.

use std::sync::Arc;

use rs_core::{ConfigError, Name};
use rs_metrics::{Registry, Surroundings};

use super::{Inner, PerKey, PerKeyConfig, Resting};
use crate::{
    Bulkhead, BulkheadConfig, RateLimit, RateLimitConfig,
    rate_limit::{self, Desk, Members},
};

impl PerKey<RateLimit> {
    /// A rate limit for each key. They are exported, listed and reconfigured as one.
    ///
    /// # Errors
    /// When one of the configurations is wrong.
    pub fn rate_limits(
        name: impl Into<Name>,
        keys: PerKeyConfig,
        each: RateLimitConfig,
    ) -> Result<Self, ConfigError> {
        Self::rate_limits_within(&Surroundings::of_process(), name, keys, each)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When one of the configurations is wrong.
    pub fn rate_limits_within(
        around: &Surroundings,
        name: impl Into<Name>,
        keys: PerKeyConfig,
        each: RateLimitConfig,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        let desk = Arc::new(Desk::new(around, name, each)?);
        let of_all = Arc::clone(&desk);
        let make = move |_: &str| Ok(RateLimit::at(&desk));
        // Other rules may have come while it was made.
        let limits = Self::making(around, name, keys, Box::new(make), |limit| {
            limit.inner().follow();
        })?;
        let members = Arc::downgrade(&limits.0);
        of_all.members.get_or_init(|| members);
        if let Some(directory) = around.directory() {
            directory.register(&of_all);
        }
        Ok(limits)
    }
}

impl Members for Inner<RateLimit> {
    fn each(&self, visit: &mut dyn FnMut(&rate_limit::Inner)) {
        for kept in self.all() {
            visit(kept.guard.inner());
        }
    }
}

impl Resting for RateLimit {
    /// It has all its tokens, and nobody waits.
    fn is_resting(&self) -> bool {
        self.is_untouched()
    }
}

impl PerKey<Bulkhead> {
    /// A bulkhead for each key. They are exported and listed as one.
    ///
    /// # Errors
    /// When one of the configurations is wrong.
    pub fn bulkheads(
        name: impl Into<Name>,
        keys: PerKeyConfig,
        each: BulkheadConfig,
    ) -> Result<Self, ConfigError> {
        Self::bulkheads_within(&Surroundings::of_process(), name, keys, each)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When one of the configurations is wrong.
    pub fn bulkheads_within(
        around: &Surroundings,
        name: impl Into<Name>,
        keys: PerKeyConfig,
        each: BulkheadConfig,
    ) -> Result<Self, ConfigError> {
        each.check()?;
        let name = name.into();
        // What is exported of all of them is counted outside; one set of counters is enough for the rest.
        let quiet = Surroundings::apart()
            .with_clock(around.clock().clone())
            .with_recorder(around.recorder().clone())
            .with_metrics(Registry::new());
        let make = move |_: &str| Bulkhead::within(&quiet, name, each);
        Self::within(around, name, keys, make)
    }
}

impl Resting for Bulkhead {
    /// No call runs, and none waits.
    fn is_resting(&self) -> bool {
        self.in_flight() == 0 && self.waiting() == 0
    }
}
