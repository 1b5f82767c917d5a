//! What a breaker can be told, by its owner, through the directory, and by its fleet.

use std::sync::Arc;

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Health, Inspect, Mandate, Name, Share, Value,
};

use crate::{BreakerConfig, BreakerSnapshot, Forced, event, metrics, shared::Shared};

impl Shared {
    /// Lists it in the directory of its surroundings, exports it by their metrics, makes it known to
    /// their fleet.
    pub(crate) fn list(self: &Arc<Self>) {
        let around = &self.around;
        // First, so that the fleet hears of every order that comes through the directory.
        if let Some(fleet) = &around.fleet {
            fleet.join(self);
        }
        if let Some(directory) = &around.directory {
            directory.register(self);
        }
        if let Some(registry) = &around.metrics {
            let of = Arc::downgrade(self);
            let observe = || metrics::observe(registry, self.name, of);
            self.observed_by.get_or_init(observe);
        }
    }

    /// By order of somebody here; the fleet hears of it.
    pub(crate) fn force(&self, forced: Forced, mandate: Arc<Mandate>) {
        self.force_here(forced, Arc::clone(&mandate));
        if let Some(fleet) = &self.around.fleet {
            fleet.ordered(self, forced, &mandate);
        }
    }

    /// By order of somebody here; the fleet does not hear of it.
    pub(crate) fn force_here(&self, forced: Forced, mandate: Arc<Mandate>) {
        let now = self.clock().now();
        self.act(now, |machine| machine.force(forced, mandate, now));
    }

    /// Whether there was an order to end; the fleet hears of it.
    pub(crate) fn release(&self, mandate: Arc<Mandate>) -> bool {
        let now = self.clock().now();
        let released = self.act(now, |machine| machine.end_order(Arc::clone(&mandate), now));
        if released && let Some(fleet) = &self.around.fleet {
            fleet.released(self, &mandate);
        }
        released
    }

    pub(crate) fn reset(&self, mandate: Arc<Mandate>) {
        let now = self.clock().now();
        let forced = self.act(now, |machine| {
            let forced = machine.order().is_some();
            machine.reset(Arc::clone(&mandate), now);
            forced
        });
        if forced && let Some(fleet) = &self.around.fleet {
            fleet.released(self, &mandate);
        }
    }

    pub(crate) fn reconfigure(
        &self,
        config: Arc<BreakerConfig>,
        mandate: Option<Arc<Mandate>>,
    ) -> Result<u64, ConfigError> {
        if let Err(error) = config.check() {
            self.keep_rules(&error, mandate);
            return Err(error);
        }
        let now = self.clock().now();
        let (version, generation) = self.act(now, |machine| {
            machine.reconfigure(config, now);
            (machine.version(), machine.generation())
        });
        self.around
            .recorder
            .record(|| event::reconfigured(self.name, version, mandate).in_generation(generation));
        Ok(version)
    }

    fn keep_rules(&self, error: &ConfigError, mandate: Option<Arc<Mandate>>) {
        self.around.recorder.record(|| {
            event::refused(self.name, error, mandate).in_generation(self.last_generation())
        });
    }

    /// The fleet has news; `advised` is asked whether they reach the quorum.
    pub(crate) fn advise(&self, advised: impl FnOnce(Share) -> bool) {
        let now = self.clock().now();
        self.act(now, |machine| {
            let advised = advised(machine.config().advice.quorum());
            machine.advise(advised);
        });
    }
}

#[cfg(feature = "serde")]
const CONFIG: (&str, &str) = ("config", "the whole configuration, as in a file");
const KEY: (&str, &str) = ("key", "the key of the breaker");

macro_rules! actions {
    ($name:ident, $arguments:expr, $to_reconfigure:expr) => {
        pub(crate) static $name: &[ActionSpec] = &[
            ActionSpec::new("force_open", "refuses all calls until it is released")
                .taking($arguments),
            ActionSpec::new(
                "force_closed",
                "lets all calls through until it is released",
            )
            .taking($arguments),
            ActionSpec::new(
                "isolate",
                "refuses all calls for maintenance until it is released",
            )
            .taking($arguments),
            ActionSpec::new("release", "ends what was forced").taking($arguments),
            ActionSpec::new("reset", "begins anew: closed, with empty windows").taking($arguments),
            #[cfg(feature = "serde")]
            ActionSpec::new("reconfigure", "goes by other rules and keeps its state")
                .taking($to_reconfigure),
        ];
    };
}

actions!(ACTIONS, &[], &[CONFIG]);
actions!(ACTIONS_BY_KEY, &[KEY], &[KEY, CONFIG]);

impl Inspect for Shared {
    fn kind(&self) -> &'static str {
        "breaker"
    }

    fn name(&self) -> Name {
        self.name
    }

    fn snapshot(&self) -> Value {
        BreakerSnapshot::of(self).to_value()
    }

    fn health(&self) -> Health {
        BreakerSnapshot::of(self).health()
    }

    fn actions(&self) -> &'static [ActionSpec] {
        ACTIONS
    }

    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        action.check(ACTIONS)?;
        self.obey(action, mandate)
    }
}

impl Shared {
    /// Does what it is told by an action that was checked.
    #[expect(clippy::result_large_err, reason = "the directory's own error")]
    pub(crate) fn obey(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        let by = || Arc::new(mandate.clone());
        match action.name() {
            "force_open" => self.force(Forced::Open, by()),
            "force_closed" => self.force(Forced::Closed, by()),
            "isolate" => self.force(Forced::Isolated, by()),
            "release" if self.release(by()) => {}
            "release" => return Err(ControlError::NotNow("nothing is forced".to_owned())),
            "reset" => self.reset(by()),
            #[cfg(feature = "serde")]
            "reconfigure" => {
                let config = action.argument("config").cloned();
                let config = config.ok_or_else(|| ConfigError::missing("config"))?;
                let config = rs_core::config::read(config).map_err(|error| {
                    self.keep_rules(&error, Some(by()));
                    error.in_field("config")
                })?;
                let version = self.reconfigure(Arc::new(config), Some(by()));
                version.map_err(|error| error.in_field("config"))?;
            }
            _ => return Err(ControlError::unknown(action, ACTIONS)),
        }
        Ok(())
    }
}
