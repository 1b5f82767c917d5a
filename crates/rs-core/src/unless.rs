use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// What the future gives, unless `end` comes first; the future is asked first.
///
/// ```
/// use rs_core::{Clock, unless};
/// use std::{future::pending, time::Duration};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// let clock = Clock::tokio();
/// let soon = || clock.sleep(Duration::from_secs(1));
/// assert_eq!(unless(soon(), async { 17 }).await, Some(17));
/// assert_eq!(unless(soon(), pending::<u32>()).await, None);
/// # }
/// ```
///
/// # Cancel safety
/// Dropping it drops both; so does its end.
pub async fn unless<T>(
    end: impl Future<Output = ()>,
    future: impl Future<Output = T>,
) -> Option<T> {
    let (mut end, mut future) = (pin!(end), pin!(future));
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        end.as_mut().poll(context).map(|()| None)
    })
    .await
}
