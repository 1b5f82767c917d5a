use std::{fmt, sync::Arc};

use async_trait::async_trait;
use rs_core::Name;

use crate::{Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch};

/// A backend of which only some instances are seen: those of a zone, a version, with a tag.
///
/// Registering goes through as it is. What is left out does not count as an empty answer of the registry, so
/// nothing is doubted when the last instance no longer fits.
///
/// ```
/// use rs_backends::{Backend, Filter, ServiceInstance, StaticList};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let here = ServiceInstance::builder("payments", "10.0.0.7", 8443).zone("eu-1a").build()?;
/// let there = ServiceInstance::builder("payments", "10.1.0.7", 8443).zone("us-1a").build()?;
/// let list = StaticList::new("list", [here, there]);
///
/// let near = Filter::new(list, |instance| instance.zone() == Some("eu-1a"));
/// assert_eq!(near.discover("payments").await?.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Filter<B> {
    inner: B,
    keep: Keep,
}

/// Decides which instances are seen.
pub(crate) type Keep = Arc<dyn Fn(&ServiceInstance) -> bool + Send + Sync>;

impl<B: Backend> Filter<B> {
    /// Of this backend those for which `keep` says yes.
    pub fn new(inner: B, keep: impl Fn(&ServiceInstance) -> bool + Send + Sync + 'static) -> Self {
        let keep = Arc::new(keep);
        Self { inner, keep }
    }

    /// The backend itself.
    #[must_use]
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }
}

#[async_trait]
impl<B: Backend> Backend for Filter<B> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn name(&self) -> Name {
        self.inner.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        self.inner.register(instance).await
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        self.inner.deregister(service, id).await
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        let all = self.inner.discover(service).await?;
        Ok(all.only(|instance| (self.keep)(instance)))
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        let watch = self.inner.watch(service)?;
        Ok(watch.only(Arc::clone(&self.keep)))
    }

    async fn health_check(&self) -> BackendHealth {
        self.inner.health_check().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.inner.close().await
    }
}

impl<B: fmt::Debug> fmt::Debug for Filter<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.inner).finish()
    }
}
