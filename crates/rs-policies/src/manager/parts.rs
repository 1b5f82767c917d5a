//! The parts of one pipeline of a file, which stay the same while their rules change.

use std::{collections::BTreeMap, sync::Arc};

use rs_core::{
    Action, AnyGuard, ConfigError, ControlError, Inspect, Mandate, Name, TimeScope, Value,
};
use rs_metrics::{
    Surroundings,
    pattern::{GuardKind, MadeGuard},
};

use super::config::{BudgetChoice, PipelineConfig};
use crate::{
    AdaptiveLimit, Both, Budget, Bulkhead, DynPipeline, Hedge, LoadShed, Part, PlanError,
    RateLimit, Retry, Timeout,
    pipeline::{Assembly, Said, With},
};

/// All parts that a pipeline of a file has.
#[derive(Clone)]
pub(super) struct PartsOf {
    config: PipelineConfig,
    timeout: Option<Timeout>,
    budget: Option<Budget>,
    retry: Option<Retry>,
    hedge: Option<Hedge>,
    guards: Vec<(&'static str, MadeGuard)>,
    load_shed: Option<LoadShed>,
    rate_limit: Option<RateLimit>,
    bulkhead: Option<Bulkhead>,
    adaptive_limit: Option<AdaptiveLimit>,
    attempt_timeout: Option<Timeout>,
}

/// Makes the parts of the pipeline of this name.
pub(super) struct Maker<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) name: Name,
    pub(super) budgets: &'a BTreeMap<String, Budget>,
    pub(super) kinds: &'a [Arc<dyn GuardKind>],
}

/// The part that there is from now on: the one that was there, by other rules if need be, or a new one.
macro_rules! next {
    ($before:expr, $wanted:expr, $part:ident, |$config:ident| $make:expr) => {{
        let before = $before.and_then(|before| Some((before.$part.as_ref()?, before)));
        let part = match ($wanted.$part.clone(), before) {
            (None, _) => Ok(None),
            (Some($config), None) => $make.map(Some),
            (Some(config), Some((part, before))) => {
                let same = before.config.$part.as_ref() == Some(&config);
                let told = if same {
                    Ok(0)
                } else {
                    part.reconfigure(config)
                };
                told.map(|_| Some(part.clone()))
            }
        };
        part.map_err(|error: ConfigError| error.in_field(stringify!($part)))?
    }};
}

impl PartsOf {
    /// The parts by this configuration; those that were there before stay and keep their state.
    pub(super) fn by(
        before: Option<&Self>,
        config: PipelineConfig,
        maker: &Maker<'_>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        maker.check_keys(&config)?;
        let (around, name) = (maker.around, maker.name);
        let budget = maker.budget(before, &config)?;
        // What spends another budget is another one.
        let spends_the_same = |known: Option<&Budget>| match (known, &budget) {
            (Some(known), Some(budget)) => known.is_same(budget),
            (known, budget) => known.is_none() && budget.is_none(),
        };
        let spenders = before.filter(|before| spends_the_same(before.budget.as_ref()));
        let repeats = config.retry.is_some();
        let hedged_so = spenders.filter(|before| before.retry.is_some() == repeats);
        Ok(Self {
            timeout: next!(before, config, timeout, |limit| Timeout::within(
                around,
                name,
                TimeScope::Total,
                limit
            )),
            retry: next!(spenders, config, retry, |retry| Retry::with_budget(
                around,
                name,
                retry,
                budget.clone()
            )),
            hedge: next!(hedged_so, config, hedge, |hedge| {
                let hedge = Hedge::with_budget(around, name, hedge, budget.clone());
                hedge.map(|hedge| if repeats { hedge.inside_retry() } else { hedge })
            }),
            guards: maker.guards(before, &config)?,
            load_shed: next!(before, config, load_shed, |shed| LoadShed::within(
                around, name, shed
            )),
            rate_limit: next!(before, config, rate_limit, |limit| RateLimit::within(
                around, name, limit
            )),
            bulkhead: next!(before, config, bulkhead, |bulkhead| Bulkhead::within(
                around, name, bulkhead
            )),
            adaptive_limit: next!(before, config, adaptive_limit, |limit| {
                AdaptiveLimit::within(around, name, limit)
            }),
            attempt_timeout: next!(before, config, attempt_timeout, |limit| Timeout::within(
                around,
                name,
                TimeScope::Attempt,
                limit
            )),
            budget,
            config,
        })
    }

    pub(super) const fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// What stands in the directory for each of them, the outermost first.
    pub(super) fn entries(&self) -> Vec<Arc<dyn Inspect>> {
        let mut entries = Vec::new();
        entries.extend(self.timeout.as_ref().map(Timeout::entry));
        entries.extend(self.retry.as_ref().map(Retry::entry));
        entries.extend(self.budget.as_ref().map(Budget::entry));
        entries.extend(self.hedge.as_ref().map(Hedge::entry));
        let guards = self.guards.iter();
        entries.extend(guards.map(|(_, guard)| Arc::clone(guard.entry())));
        entries.extend(self.load_shed.as_ref().map(LoadShed::entry));
        entries.extend(self.rate_limit.as_ref().map(RateLimit::entry));
        entries.extend(self.bulkhead.as_ref().map(Bulkhead::entry));
        entries.extend(self.adaptive_limit.as_ref().map(AdaptiveLimit::entry));
        entries.extend(self.attempt_timeout.as_ref().map(Timeout::entry));
        entries
    }

    /// The pipeline that they make.
    pub(super) fn pipeline(&self, maker: &Maker<'_>) -> Result<DynPipeline, PlanError> {
        let guards = self.guards.iter();
        let guards: Vec<AnyGuard> = guards.map(|(_, guard)| guard.guard().clone()).collect();
        let sketch = |part: Option<&dyn Part>| part.map(Part::sketch);
        let limits = [
            sketch(self.load_shed.as_ref().map(|part| part as _)),
            sketch(self.rate_limit.as_ref().map(|part| part as _)),
            sketch(self.bulkhead.as_ref().map(|part| part as _)),
            sketch(self.adaptive_limit.as_ref().map(|part| part as _)),
        ];
        let concurrent = Both(self.bulkhead.clone(), self.adaptive_limit.clone());
        let assembly = Assembly {
            name: maker.name,
            clock: maker.around.clock().clone(),
            safe_to_repeat: self.config.safe_to_repeat,
            timeout: self.timeout.clone(),
            retry: self.retry.clone(),
            said: Said {
                hedge: self.hedge.as_ref().map(Part::sketch),
                guards: guards.iter().map(Part::sketch).collect(),
                limits: limits.into_iter().flatten().collect(),
                ..Said::default()
            },
            guard: in_order(guards),
            limit: Both(
                self.load_shed.clone(),
                Both(self.rate_limit.clone(), concurrent),
            ),
            attempt_timeout: self.attempt_timeout.clone(),
            chaos: None,
            with: (),
        };
        match &self.hedge {
            None => Ok(assembly.build()?.erased()),
            Some(hedge) => {
                let assembly = assembly.with(With::hedged(hedge.clone()));
                Ok(assembly.build()?.erased())
            }
        }
    }
}

/// All of them as one, the first being outermost.
fn in_order(guards: Vec<AnyGuard>) -> Option<AnyGuard> {
    let around = |inner, outer| AnyGuard::new(Both(outer, inner));
    guards.into_iter().rev().reduce(around)
}

impl Maker<'_> {
    fn check_keys(&self, config: &PipelineConfig) -> Result<(), ConfigError> {
        let kinds = self.kinds.iter().map(|kind| kind.key());
        let unknown = config
            .guards
            .keys()
            .find(|key| !kinds.clone().any(|known| known == *key));
        match unknown {
            None => Ok(()),
            Some(key) => {
                let known = PipelineConfig::KEYS.into_iter().chain(kinds);
                Err(ConfigError::unknown("field", key, known))
            }
        }
    }

    /// The budget that what makes further attempts spends.
    fn budget(
        &self,
        before: Option<&PartsOf>,
        config: &PipelineConfig,
    ) -> Result<Option<Budget>, ConfigError> {
        let own = match &config.budget {
            None if config.retry.is_none() && config.hedge.is_none() => return Ok(None),
            None => crate::BudgetConfig::default(),
            Some(BudgetChoice::Own(own)) => *own,
            Some(BudgetChoice::Shared(name)) => {
                let known = self.budgets.keys().map(String::as_str);
                let unknown = || ConfigError::unknown("budget", name, known).in_field("budget");
                return self
                    .budgets
                    .get(name)
                    .cloned()
                    .map(Some)
                    .ok_or_else(unknown);
            }
        };
        let was_own =
            before.filter(|before| !matches!(before.config.budget, Some(BudgetChoice::Shared(_))));
        let known = was_own.and_then(|before| before.budget.clone());
        let made = match known {
            None => Budget::within(self.around, self.name, own),
            Some(budget) if budget.config() == own => Ok(budget),
            Some(budget) => budget.reconfigure(own).map(|_| budget),
        };
        made.map(Some).map_err(|error| error.in_field("budget"))
    }

    /// The guards of the kinds that are known, in the order in which the kinds became known.
    fn guards(
        &self,
        before: Option<&PartsOf>,
        config: &PipelineConfig,
    ) -> Result<Vec<(&'static str, MadeGuard)>, ConfigError> {
        let wanted = self
            .kinds
            .iter()
            .filter_map(|kind| Some((kind, config.guards.get(kind.key())?)));
        let made = wanted.map(|(kind, config)| {
            let key = kind.key();
            let known = before.and_then(|before| before.guard(key));
            let made = match known {
                None => kind.make(self.around, self.name, config.clone()),
                Some((guard, rules)) if rules == config => Ok(guard.clone()),
                Some((guard, _)) => tell(guard, config.clone()).map(|()| guard.clone()),
            };
            let made = made.map_err(|error| error.in_field(key))?;
            Ok((key, made))
        });
        made.collect()
    }
}

impl PartsOf {
    fn guard(&self, key: &str) -> Option<(&MadeGuard, &Value)> {
        let (_, guard) = self.guards.iter().find(|(known, _)| *known == key)?;
        Some((guard, self.config.guards.get(key)?))
    }
}

/// Gives a guard other rules.
fn tell(guard: &MadeGuard, config: Value) -> Result<(), ConfigError> {
    let action = Action::new("reconfigure").with("config", config);
    let by = Mandate::new("the configuration", "it was changed");
    match guard.entry().control(&action, &by) {
        Ok(()) => Ok(()),
        Err(ControlError::Arguments(error)) => Err(error),
        Err(other) => Err(ConfigError::other(other)),
    }
}
