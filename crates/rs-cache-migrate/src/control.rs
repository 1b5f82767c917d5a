//! What a migration looks like in the directory, and what it can be told there.

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Health, Inspect, Mandate, Name, Share, Value,
};

use crate::{CacheAdapter, MigrationKey, Stage, StepRefused, inner::Inner};

static ACTIONS: &[ActionSpec] = &[
    ActionSpec::new("advance", "takes the next step"),
    ActionSpec::new("step_back", "takes one step back"),
    ActionSpec::new("rollback", "sends everything to legacy and stays there"),
    ActionSpec::new("release", "may go on after a rollback"),
    ActionSpec::new("hold", "goes no further by itself"),
    ActionSpec::new("resume", "may go on by itself"),
    ActionSpec::new("set_share", "reads this share of the keys from new")
        .taking(&[("share", "`25%` or 0.25")]),
    #[cfg(feature = "serde")]
    ActionSpec::new("reconfigure", "goes by other rules and keeps its state")
        .taking(&[("config", "the whole configuration, as in a file")]),
];

impl<K, V, L, N> Inspect for Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    fn kind(&self) -> &'static str {
        "cache_migration"
    }

    fn name(&self) -> Name {
        self.home.name
    }

    fn snapshot(&self) -> Value {
        self.report().to_value()
    }

    fn health(&self) -> Health {
        let report = self.report();
        let (legacy, new) = report.doubtful;
        if report.state.held {
            let why = report.decisions.last().map(|last| last.why.as_str());
            return Health::degraded(format!("rolled back: {}", why.unwrap_or("ordered")));
        }
        if let Some(fleet) = report.fleet.filter(|fleet| fleet.cut_off) {
            return Health::degraded(fleet.to_string());
        }
        if legacy + new > 0 && report.state.stage != Stage::Off {
            return Health::degraded(format!("{} keys are doubtful", legacy + new));
        }
        Health::UP
    }

    fn actions(&self) -> &'static [ActionSpec] {
        ACTIONS
    }

    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        action.check(ACTIONS)?;
        let by = mandate.clone();
        let step = match action.name() {
            "advance" => self.advance_now(by.into()),
            "rollback" => self.roll_back(Some(by), "ordered".to_owned()),
            "release" if self.release(by.clone()) => return Ok(()),
            "release" if self.word().is_held() => Err(StepRefused::RecordAway(
                "it has not heard of its fleet lately, or waits to do something else".to_owned(),
            )),
            "release" => return Err(ControlError::NotNow("it was not rolled back".to_owned())),
            "hold" if self.hold(by.clone()) => return Ok(()),
            "hold" => return Err(ControlError::NotNow("it holds already".to_owned())),
            "resume" if self.resume(&by) => return Ok(()),
            "resume" => return Err(ControlError::NotNow("it did not hold".to_owned())),
            "step_back" => {
                self.try_settle();
                self.step_back(by.into())
            }
            "set_share" => {
                let share = share(action)?;
                self.try_settle();
                self.set_share(share, by.into())
            }
            #[cfg(feature = "serde")]
            "reconfigure" => {
                let config = action.argument("config").cloned();
                let config = config.ok_or_else(|| ConfigError::missing("config"))?;
                let taken =
                    rs_core::config::read(config).and_then(|config| self.reconfigure(config));
                taken.map_err(|error| error.in_field("config"))?;
                return Ok(());
            }
            _ => return Err(ControlError::unknown(action, ACTIONS)),
        };
        self.try_settle();
        step.map(drop).map_err(not_now)
    }
}

fn not_now(refused: StepRefused) -> ControlError {
    ControlError::NotNow(refused.to_string())
}

#[expect(clippy::result_large_err, reason = "the directory's own error")]
fn share(action: &Action) -> Result<Share, ControlError> {
    let share = match action.argument("share") {
        Some(Value::Text(text)) => text.parse(),
        Some(Value::Number(part)) => Share::of(*part),
        Some(Value::Count(part)) => Share::of(*part as f64),
        Some(other) => Err(ConfigError::out_of_range(other, "0% to 100%")),
        None => Err(ConfigError::missing("share")),
    };
    Ok(share.map_err(|error| error.in_field("share"))?)
}
