use tokio::runtime::Runtime;

/// A runtime that may be dropped anywhere; tokio's own panics when it is dropped in async code.
#[derive(Debug)]
pub(crate) struct Background(Option<Runtime>);

impl Background {
    pub(crate) const fn new(runtime: Runtime) -> Self {
        Self(Some(runtime))
    }

    #[cfg(feature = "prometheus")]
    pub(crate) const fn runtime(&self) -> Option<&Runtime> {
        self.0.as_ref()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
