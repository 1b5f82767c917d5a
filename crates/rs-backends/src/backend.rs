use std::{fmt, sync::Arc};

use async_trait::async_trait;
use rs_core::Name;

use crate::{BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch};

/// A service registry.
///
/// It can be used as `Arc<dyn Backend>`. What every implementation promises is written as tests in
/// `rs_backends::conformance` (feature `conformance`).
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// What it is: `consul`.
    fn kind(&self) -> &'static str;

    /// Which one it is.
    fn name(&self) -> Name;

    /// Makes the instance known, and keeps it known until it is deregistered, the backend is closed, or
    /// its last handle is dropped. The same service and id again replaces what was there.
    ///
    /// # Errors
    /// When the registry did not take it; it is not kept then.
    ///
    /// # Cancel safety
    /// The registry may have taken it; it is forgotten after its time to live.
    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError>;

    /// Makes the instance unknown. One that is not known is no error.
    ///
    /// # Errors
    /// When the registry could not be told. The instance is no longer kept known all the same, so the
    /// registry forgets it after its time to live.
    ///
    /// # Cancel safety
    /// It is no longer kept known, and the registry is told or not.
    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError>;

    /// All instances of the service, asked now. A service that nobody knows has none.
    ///
    /// # Errors
    /// When the registry did not answer. It is never an empty set then.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError>;

    /// The instances of the service as they change: see [`Watch`].
    ///
    /// # Errors
    /// When the name cannot be one, or the backend is closed. A registry that cannot be reached is no
    /// error: the watch keeps trying.
    fn watch(&self, service: &str) -> Result<Watch, BackendError>;

    /// Asks the registry how it is.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn health_check(&self) -> BackendHealth;

    /// Deregisters what was registered here and ends all watches. Nothing can be asked afterwards;
    /// closing again does nothing.
    ///
    /// # Errors
    /// When the registry could not be told of all of them; they are forgotten after their time to live.
    ///
    /// # Cancel safety
    /// The backend is closed; the registry has been told of some.
    async fn close(&self) -> Result<(), BackendError>;
}

/// A backend behind a pointer is one too: wrappers take `Arc<dyn Backend>`.
macro_rules! backend_by_pointer {
    ($($pointer:ty),*) => {$(
        #[async_trait]
        impl<B: Backend + ?Sized> Backend for $pointer {
            fn kind(&self) -> &'static str {
                (**self).kind()
            }

            fn name(&self) -> Name {
                (**self).name()
            }

            async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
                (**self).register(instance).await
            }

            async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
                (**self).deregister(service, id).await
            }

            async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
                (**self).discover(service).await
            }

            fn watch(&self, service: &str) -> Result<Watch, BackendError> {
                (**self).watch(service)
            }

            async fn health_check(&self) -> BackendHealth {
                (**self).health_check().await
            }

            async fn close(&self) -> Result<(), BackendError> {
                (**self).close().await
            }
        }
    )*};
}

backend_by_pointer!(Arc<B>, Box<B>);
