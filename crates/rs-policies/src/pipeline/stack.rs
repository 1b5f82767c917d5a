use std::fmt;

use rs_core::{Call, Failure, Name, Operation, Policy};

use super::{Parts, Plan, PlanError};

/// Policies in the order in which they are written, the first being outermost, with a plan.
///
/// A tuple of policies works as well; this one is refused when its parts contradict each other.
///
/// ```
/// use rs_core::Policy;
/// use rs_policies::{Bulkhead, BulkheadConfig, Retry, RetryConfig, Stack};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let retry = Retry::new("reports", RetryConfig::default())?;
/// let one_at_a_time = Bulkhead::new("reports", BulkheadConfig::of(1))?;
/// // A report keeps its place while it waits to be tried again.
/// let reports = Stack::of("reports", (one_at_a_time, retry))?;
/// let report = reports.call("report", async |_call| Ok::<_, std::io::Error>("all is well")).await?;
/// assert_eq!(report, "all is well");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Stack<P> {
    parts: P,
    plan: Plan,
}

impl<P: Parts> Stack<P> {
    /// This stack, if its parts agree.
    ///
    /// # Errors
    /// Which two parts disagree, and how.
    pub fn of(name: impl Into<Name>, parts: P) -> Result<Self, PlanError> {
        let plan = Plan::of(name.into(), parts.sketches(), None)?;
        Ok(Self { parts, plan })
    }
}

impl<P> Stack<P> {
    /// What it does to calls in the worst case.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its parts.
    pub const fn parts(&self) -> &P {
        &self.parts
    }
}

impl<T, E, P> Policy<T, E> for Stack<P>
where
    T: Send,
    E: Send,
    P: Policy<T, E>,
{
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        self.parts.run(call, operation)
    }
}

impl<P> fmt::Debug for Stack<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
