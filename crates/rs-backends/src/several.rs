//! What wrappers around several backends share.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use crate::{Backend, BackendError, ServiceInstance};

/// Which of several registries are told of instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RegisterWith {
    /// The first alone.
    #[default]
    First,
    /// All that can register, and none if one of them fails: an instance is either known to all or
    /// the caller hears of it.
    All,
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Does all of this at once; the results in the order of the work.
pub(crate) async fn together<T: Send>(work: Vec<Pending<'_, T>>) -> Vec<T> {
    let mut work: Vec<_> = work.into_iter().map(|one| (one, None)).collect();
    poll_fn(|context| {
        let mut all = Poll::Ready(());
        for (one, result) in &mut work {
            if result.is_none() {
                match one.as_mut().poll(context) {
                    Poll::Ready(done) => *result = Some(done),
                    Poll::Pending => all = Poll::Pending,
                }
            }
        }
        all
    })
    .await;
    work.into_iter().filter_map(|(_, result)| result).collect()
}

impl RegisterWith {
    const fn those(self, parts: &[Arc<dyn Backend>]) -> &[Arc<dyn Backend>] {
        match (self, parts) {
            (Self::First, [first, ..]) => std::slice::from_ref(first),
            (_, parts) => parts,
        }
    }

    pub(crate) async fn register(
        self,
        parts: &[Arc<dyn Backend>],
        instance: ServiceInstance,
    ) -> Result<(), BackendError> {
        let parts = self.those(parts);
        let work = parts.iter().map(|part| part.register(instance.clone()));
        let told = together(work.collect()).await;
        let (service, id) = (instance.service(), instance.id());
        let taken = parts.iter().zip(&told).filter(|(_, told)| told.is_ok());
        match outcome(&told) {
            Ok(()) => Ok(()),
            Err(error) => {
                let undo = taken.map(|(part, _)| part.deregister(service, id));
                together(undo.collect()).await;
                Err(error)
            }
        }
    }

    pub(crate) async fn deregister(
        self,
        parts: &[Arc<dyn Backend>],
        service: &str,
        id: &str,
    ) -> Result<(), BackendError> {
        let parts = self.those(parts);
        let work = parts.iter().map(|part| part.deregister(service, id));
        outcome(&together(work.collect()).await)
    }
}

/// The first error, if there is one that matters: one that cannot register at all matters only if none
/// can.
fn outcome(told: &[Result<(), BackendError>]) -> Result<(), BackendError> {
    let errors = || told.iter().filter_map(|told| told.as_ref().err());
    let cannot = |error: &&BackendError| matches!(error, BackendError::Unsupported(_));
    let matters = errors().find(|error| !cannot(error));
    let none_can = errors()
        .find(cannot)
        .filter(|_| told.iter().all(Result::is_err));
    matters
        .or(none_can)
        .map_or(Ok(()), |error| Err(error.clone()))
}

/// Closes all; the first error.
pub(crate) async fn close(parts: &[Arc<dyn Backend>]) -> Result<(), BackendError> {
    let work = parts.iter().map(|part| part.close()).collect();
    together(work).await.into_iter().collect()
}
