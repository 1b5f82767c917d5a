//! What a balanced pool promises.

mod behaviour;
mod cancelled;
pub(crate) mod dock;
mod endpoints;
mod hostile;
mod model;
#[cfg(not(loom))]
mod redis;
