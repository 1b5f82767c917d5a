use std::fmt;

use rs_core::{AnyResult, Call, Failure, Operation, Policy, PolicyList};

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
pub struct DynPipeline(PolicyList);

impl DynPipeline {
    /// This policy, its type forgotten.
    pub fn new<P: AnyResult + 'static>(policy: P) -> Self {
        let mut list = PolicyList::new();
        list.push(policy);
        Self(list)
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
        self.0.run(call, operation)
    }
}

impl fmt::Debug for DynPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynPipeline").finish_non_exhaustive()
    }
}
