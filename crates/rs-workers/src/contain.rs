//! What the code of users may do: panic anywhere.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::Worker;

/// What this gives, or what its panic says.
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(payload)
}

/// Drops something whose `Drop` may panic; what the panic says.
pub(crate) fn drop_contained<T>(value: T) -> Option<String> {
    contained(move || drop(value)).err()
}

pub(crate) fn payload(payload: Box<dyn Any + Send>) -> String {
    let text = match payload.downcast_ref::<&'static str>() {
        Some(text) => (*text).to_owned(),
        None => match payload.downcast_ref::<String>() {
            Some(text) => text.clone(),
            None => "something that is no text".to_owned(),
        },
    };
    // A payload may have a `Drop` that panics, too.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    text
}

/// A worker whose `Drop` does no harm.
pub(crate) struct Contained(Option<Arc<dyn Worker>>);

impl Contained {
    pub(crate) fn new(worker: Arc<dyn Worker>) -> Self {
        Self(Some(worker))
    }

    pub(crate) fn worker(&self) -> Option<Arc<dyn Worker>> {
        self.0.clone()
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        drop_contained(self.0.take());
    }
}
