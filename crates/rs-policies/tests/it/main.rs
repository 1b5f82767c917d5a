//! What `rs-policies` promises, through its public items only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod allocations;
mod auto_traits;
mod backoff;
mod budget;
mod bulkhead;
mod config;
#[cfg(feature = "contract")]
mod contract;
mod herd;
mod retry;
mod support;
mod timeout;
