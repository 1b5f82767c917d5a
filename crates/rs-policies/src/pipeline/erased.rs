use std::{any::Any, fmt, sync::Arc};

use rs_core::{AnyResult, Call, Failure, Operation, Policy, PolicyList};

use super::Plan;

/// A pipeline, or any other policy that works for any result, its type forgotten: for structs and maps.
///
/// ```
/// use rs_core::Policy;
/// use rs_policies::{DynPipeline, Pipeline, RetryConfig};
/// use std::collections::HashMap;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let retried = Pipeline::named("payments").retry(RetryConfig::default()).build()?;
/// let pipelines: HashMap<&str, DynPipeline> = [("payments", retried.erased())].into();
///
/// let charged = pipelines["payments"].call("charge", async |_call| Ok::<_, std::io::Error>(17));
/// assert_eq!(charged.await?, 17);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DynPipeline {
    policy: PolicyList,
    plan: Option<Arc<Plan>>,
}

impl DynPipeline {
    /// This policy, its type forgotten.
    pub fn new<P: AnyResult + 'static>(policy: P) -> Self {
        // One that is forgotten already need not be forgotten twice.
        if let Some(pipeline) = (&policy as &dyn Any).downcast_ref::<Self>() {
            return pipeline.clone();
        }
        let mut list = PolicyList::new();
        list.push(policy);
        Self {
            policy: list,
            plan: None,
        }
    }

    pub(super) fn planned(mut self, plan: Arc<Plan>) -> Self {
        self.plan = Some(plan);
        self
    }

    /// What it does to calls in the worst case, if it was a [`Pipeline`](crate::Pipeline) and is not
    /// just any policy.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }
}

impl<T, E> Policy<T, E> for DynPipeline
where
    T: Send,
    E: Send,
{
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        self.policy.run(call, operation)
    }
}

impl fmt::Debug for DynPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynPipeline")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
