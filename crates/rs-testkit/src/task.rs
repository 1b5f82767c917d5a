//! Work in the background that ends with its handle.

use tokio::task::AbortHandle;

/// A running task; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Task(AbortHandle);

impl Task {
    #[expect(
        clippy::disallowed_methods,
        reason = "the handle ends what it starts, nothing runs behind a back"
    )]
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
