use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// What the future gives, unless `end` comes first; the future is asked first.
pub(crate) async fn unless<T>(
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
