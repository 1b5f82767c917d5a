//! What `rs-metrics` promises, through its public items only.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod allocations;
mod auto_traits;
mod caps;
mod catalogue;
mod conflicts;
#[cfg(feature = "facade")]
mod forward;
mod handles;
mod histogram;
#[cfg(feature = "prometheus")]
mod install;
mod observe;
#[cfg(feature = "otel")]
mod otel;
#[cfg_attr(
    not(all(feature = "prometheus", feature = "otel")),
    allow(
        dead_code,
        unused,
        reason = "helpers of tests that other features have"
    )
)]
mod outside;
#[cfg(feature = "prometheus")]
mod page;
#[cfg(feature = "prometheus")]
mod server;
mod surroundings;
#[cfg(feature = "prometheus")]
mod text;
#[cfg(feature = "tracing")]
mod tracing;
