use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use rs_core::{AnyResult, Call, Failure, Inspect, Name, Operation, Policy, Reason};
use rs_metrics::Surroundings;

use super::slot::{Occupant, PipelineEnd, Slot};
use crate::DynPipeline;

/// Pipelines by name, each of which can be replaced while calls go on.
///
/// For names that code or a file knows: a name that was asked for is kept for good.
///
/// ```
/// use rs_core::Policy;
/// use rs_policies::{Pipeline, Pipelines, RetryConfig};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pipelines = Pipelines::new();
/// let payments = pipelines.named("payments");
///
/// let early = payments.call("charge", async |_call| Ok::<_, std::io::Error>(17)).await;
/// assert_eq!(
///     early.unwrap_err().to_string(),
///     "pipeline `payments` refused the call: not_registered",
/// );
///
/// pipelines.register("payments", Pipeline::named("payments").retry(RetryConfig::default()).build()?);
/// let charged = payments.call("charge", async |_call| Ok::<_, std::io::Error>(17)).await?;
/// assert_eq!(charged, 17);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Pipelines(Arc<Inner>);

#[derive(Default)]
struct Inner {
    around: Surroundings,
    slots: RwLock<HashMap<Name, Arc<Slot>>>,
}

static NOT_REGISTERED: Reason = Reason::new("pipeline", "not_registered");

impl Pipelines {
    /// No pipelines yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// None yet, in these surroundings.
    #[must_use]
    pub fn within(around: &Surroundings) -> Self {
        Self(Arc::new(Inner {
            around: around.clone(),
            slots: RwLock::default(),
        }))
    }

    /// Those of the process.
    #[must_use]
    pub fn of_process() -> Self {
        Self::of(&Surroundings::of_process())
    }

    /// Those of these surroundings: the ones that they were made [`with`](Surroundings::with), or their
    /// own.
    #[must_use]
    pub fn of(around: &Surroundings) -> Self {
        let bare = around.without_helpers();
        around.helper_or(|_| Self::within(&bare))
    }

    /// Calls by this name go through this policy from now on; the one before, if there was one, goes on
    /// with the calls that it has.
    pub fn register<P>(&self, name: impl Into<Name>, policy: P) -> Option<DynPipeline>
    where
        P: AnyResult + 'static,
    {
        let pipeline = DynPipeline::new(policy);
        self.put(name.into(), pipeline, None)
    }

    pub(super) fn put(
        &self,
        name: Name,
        pipeline: DynPipeline,
        parts: Option<Vec<Arc<dyn Inspect>>>,
    ) -> Option<DynPipeline> {
        self.slot(name).put(Some(Occupant { pipeline, parts }))
    }

    /// Calls by this name are refused from now on.
    pub fn remove(&self, name: impl Into<Name>) -> Option<DynPipeline> {
        self.known(name.into())?.put(None)
    }

    /// The pipeline that is registered by this name now.
    #[must_use]
    pub fn get(&self, name: impl Into<Name>) -> Option<DynPipeline> {
        let occupant = self.known(name.into())?.get()?;
        Some(occupant.pipeline.clone())
    }

    /// Whichever pipeline is registered by this name when a call is made.
    #[must_use]
    pub fn named(&self, name: impl Into<Name>) -> NamedPipeline {
        let name = name.into();
        NamedPipeline {
            name,
            slot: self.slot(name),
        }
    }

    pub(super) fn known(&self, name: Name) -> Option<Arc<Slot>> {
        let known = self.0.slots.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&name).map(Arc::clone)
    }

    /// Those that are registered now, by name.
    pub(super) fn registered(&self) -> Vec<(Name, Arc<Slot>)> {
        let known = self.0.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut registered: Vec<_> = known
            .iter()
            .filter(|(_, slot)| slot.get().is_some())
            .map(|(name, slot)| (*name, Arc::clone(slot)))
            .collect();
        drop(known);
        registered.sort_unstable_by_key(|(name, _)| *name);
        registered
    }

    pub(super) fn slot(&self, name: Name) -> Arc<Slot> {
        if let Some(slot) = self.known(name) {
            return slot;
        }
        let mut known = self.0.slots.write().unwrap_or_else(PoisonError::into_inner);
        let slot = known
            .entry(name)
            .or_insert_with(|| Slot::new(&self.0.around, name));
        Arc::clone(slot)
    }
}

/// Whichever pipeline is registered by a name when a call is made; where none is, the call is refused.
#[derive(Clone)]
pub struct NamedPipeline {
    name: Name,
    slot: Arc<Slot>,
}

impl NamedPipeline {
    /// The name.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// Whether a pipeline is registered by this name now.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.slot.get().is_some()
    }

    /// How many calls by this name ended like this.
    #[must_use]
    pub fn ended(&self, how: PipelineEnd) -> u64 {
        self.slot.ended(how)
    }
}

impl<T, E> Policy<T, E> for NamedPipeline
where
    T: Send,
    E: Send,
{
    /// # Cancel safety
    /// As that of the pipeline. A call stays with the pipeline that it began with.
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let mut counted = self.slot.count();
        let result = match self.slot.get() {
            Some(occupant) => occupant.pipeline.run(call, operation).await,
            None => Err(NOT_REGISTERED.reject(self.name).into()),
        };
        counted.ended(&result, operation.classify(call, &result));
        result
    }
}

impl fmt::Debug for Pipelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.0.slots.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(known.keys()).finish()
    }
}

impl fmt::Debug for NamedPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedPipeline")
            .field("name", &self.name)
            .field("registered", &self.is_registered())
            .finish()
    }
}
