//! Where the pipeline of a name is, and what became of its calls.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rs_core::{Failure, Health, Inspect, Label, Name, Outcome, Value, label_set};
use rs_metrics::{Counter, Family, Surroundings, pattern::Home};

use crate::{DynPipeline, FallbackConfig, fallback, metrics};

label_set! {
    /// What became of a call through a pipeline.
    pub enum PipelineEnd: "result" {
        /// It succeeded.
        Succeeded = "succeeded",
        /// It failed.
        Failed = "failed",
        /// It said nothing about the dependency: the caller's own fault.
        Ignored = "ignored",
        /// A guard refused it, or no pipeline has its name.
        Rejected = "rejected",
        /// It took too long.
        TimedOut = "timed_out",
        /// The caller went away.
        Cancelled = "cancelled",
    }
}

impl PipelineEnd {
    const fn of<T, E>(result: &Result<T, Failure<E>>, outcome: Outcome) -> Self {
        match (result, outcome) {
            (Err(Failure::Rejected(_)), _) => Self::Rejected,
            (Err(Failure::TimedOut(_)), _) => Self::TimedOut,
            (_, Outcome::Success) => Self::Succeeded,
            (_, Outcome::Failure(_)) => Self::Failed,
            (_, Outcome::Ignored) => Self::Ignored,
        }
    }
}

/// Where the pipeline of a name is, if one is registered.
pub(super) struct Slot {
    home: Home,
    occupant: RwLock<Option<Arc<Occupant>>>,
    ends: Family<Counter, PipelineEnd>,
    fallback: OnceLock<Arc<fallback::Inner>>,
}

/// A pipeline that is registered.
pub(super) struct Occupant {
    pub(super) pipeline: DynPipeline,
    /// What stands in the directory for its parts; `None` if only the directory knows them.
    pub(super) parts: Option<Vec<Arc<dyn Inspect>>>,
}

impl Slot {
    pub(super) fn new(around: &Surroundings, name: Name) -> Arc<Self> {
        let home = Home::new(around, name);
        let slot = Arc::new(Self {
            occupant: RwLock::new(None),
            ends: metrics::PIPELINE_CALLS.bind_in(&home.metrics(), name),
            fallback: OnceLock::new(),
            home,
        });
        slot.home.register(&slot);
        slot
    }

    pub(super) fn get(&self) -> Option<Arc<Occupant>> {
        let occupant = self.occupant.read().unwrap_or_else(PoisonError::into_inner);
        occupant.clone()
    }

    pub(super) fn put(&self, occupant: Option<Occupant>) -> Option<DynPipeline> {
        let occupant = occupant.map(Arc::new);
        let mut place = self
            .occupant
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *place, occupant);
        drop(place);
        before.map(|before| before.pipeline.clone())
    }

    pub(super) fn ended(&self, how: PipelineEnd) -> u64 {
        self.ends[how].value()
    }

    /// What counts the calls that something else answered.
    pub(super) fn fallback(&self) -> Arc<fallback::Inner> {
        let made = self.fallback.get_or_init(|| {
            let made =
                fallback::Inner::new(&self.home.around, self.home.name, FallbackConfig::default());
            #[expect(clippy::expect_used, reason = "the default is right")]
            Arc::new(made.expect("a configuration"))
        });
        Arc::clone(made)
    }

    /// Counts a call, cancelled unless somebody says how it ended.
    pub(super) const fn count(&self) -> Counted<'_> {
        Counted {
            slot: self,
            how: PipelineEnd::Cancelled,
        }
    }

    /// What stands in the directory for the parts of this pipeline: those that are known, or whatever
    /// has its name.
    pub(super) fn parts(&self, occupant: &Occupant) -> Vec<Arc<dyn Inspect>> {
        if let Some(parts) = &occupant.parts {
            return parts.clone();
        }
        let listed = self.home.around.directory().map(rs_core::Directory::list);
        let mut parts = listed.unwrap_or_default();
        parts.retain(|entry| entry.name() == self.home.name && entry.kind() != Self::KIND);
        parts
    }

    const KIND: &'static str = "pipeline";
}

/// A call that is counted when it ends, whichever way.
pub(super) struct Counted<'a> {
    slot: &'a Slot,
    how: PipelineEnd,
}

impl Counted<'_> {
    pub(super) const fn ended<T, E>(&mut self, result: &Result<T, Failure<E>>, outcome: Outcome) {
        self.how = PipelineEnd::of(result, outcome);
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.slot.ends[self.how].increment();
    }
}

impl Inspect for Slot {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    fn name(&self) -> Name {
        self.home.name
    }

    fn snapshot(&self) -> Value {
        let occupant = self.get();
        let plan = occupant
            .as_ref()
            .and_then(|occupant| occupant.pipeline.plan());
        let calls = PipelineEnd::ALL.iter();
        let calls = calls.map(|how| (how.as_str(), self.ended(*how).into()));
        Value::map([
            ("registered", Value::from(occupant.is_some())),
            ("calls", Value::map(calls)),
            ("plan", plan.map(ToString::to_string).into()),
        ])
    }

    fn health(&self) -> Health {
        let Some(occupant) = self.get() else {
            return Health::down("no pipeline is registered by this name");
        };
        let parts = self.parts(&occupant);
        let worst = parts
            .iter()
            .map(|part| (part.kind(), rs_core::Snapshot::of(&**part).health))
            .reduce(
                |worst, next| match next.1.condition() > worst.1.condition() {
                    true => next,
                    false => worst,
                },
            );
        match worst {
            Some((kind, health)) if !health.is_up() => health.of_part(kind),
            _ => Health::UP,
        }
    }
}
