//! The same for callers that are not async.

use rs_core::{Call, Classify, Contained, Failure};

use super::{Retry, run::Plan};

impl Retry {
    /// Calls a blocking operation under this retry, judged by this classifier;
    /// [`ByResult`](rs_core::ByResult) takes every `Err` for a transient failure. Waits block the thread.
    ///
    /// ```
    /// use rs_core::ByResult;
    /// use rs_policies::{Backoff, Retry, RetryConfig};
    /// use std::time::Duration;
    ///
    /// let at_once = RetryConfig::default().with_backoff(Backoff::constant(Duration::ZERO));
    /// let retry = Retry::new("disk", at_once)?;
    /// let read = retry.call_blocking("read", ByResult, |call| match call.attempt() {
    ///     1 => Err(std::io::Error::other("busy")),
    ///     attempt => Ok(format!("read at attempt {attempt}")),
    /// });
    /// assert_eq!(read.unwrap(), "read at attempt 2");
    /// # Ok::<(), rs_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// What the last attempt failed with.
    pub fn call_blocking<T, E>(
        &self,
        call: impl Into<Call>,
        classify: impl Classify<T, E>,
        mut operation: impl FnMut(Call) -> Result<T, E>,
    ) -> Result<T, Failure<E>> {
        self.run_blocking(&call.into(), &Contained::new(classify), |call| {
            operation(*call).map_err(|error| Failure::Operation {
                error,
                attempts: call.attempt(),
            })
        })
    }

    /// The same around other policies, which may refuse an attempt.
    ///
    /// # Errors
    /// What the last attempt failed with.
    pub fn run_blocking<T, E>(
        &self,
        call: &Call,
        classify: &impl Classify<T, E>,
        mut attempt: impl FnMut(&Call) -> Result<T, Failure<E>>,
    ) -> Result<T, Failure<E>> {
        // There is no moment later at which it could be seen that the first attempt took its time.
        let begun = self.0.home.around.clock().now();
        let mut result = attempt(call);
        let mut outcome = classify.judge(call, &result);
        if self.is_over(&result, outcome) {
            return result;
        }
        let mut plan = Plan::new(&self.0, call, Some(begun));
        while let Some(delay) = plan.pause(&result, outcome, true) {
            drop(result);
            if !delay.is_zero() {
                self.0.home.around.clock().sleep_blocking(delay);
            }
            let call = plan.begin(delay)?;
            result = attempt(&call);
            outcome = classify.judge(&call, &result);
            if plan.is_done(&result, outcome) {
                break;
            }
        }
        result
    }
}
