use std::future::Future;

use tokio::{
    runtime::Handle,
    task::{AbortHandle, JoinHandle},
};

/// Where all tasks of a manager run: the only place that spawns any.
#[derive(Debug, Clone)]
pub(crate) struct Executor(Handle);

impl Executor {
    pub(crate) const fn new(handle: Handle) -> Self {
        Self(handle)
    }

    pub(crate) fn current() -> Option<Self> {
        Handle::try_current().ok().map(Self)
    }

    pub(crate) fn start(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.0.spawn(task).abort_handle()
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.spawn(task)
    }

    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.spawn_blocking(work)
    }
}
