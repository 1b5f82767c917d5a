//! A tower service over balanced services: feature `tower`.
//!
//! [`Services`] are the endpoints, each with a service; they follow any [`Discover`], or are told whole sets.
//! A [`BalanceService`] sends each request to one of them. It is cheap to clone, so nothing has to stand in
//! a queue before it.
//!
//! | | |
//! |---|---|
//! | a service is not ready | it is passed over while another is |
//! | nobody is ready, or nobody is there | so is the balance; it wakes up when that changes |
//! | a service fails to become ready | that counts against the health of its endpoint, and the next one is asked |
//! | the balancer refuses (nobody is well) | the call ends at once with the rejection |
//! | two clones | each waits for clones of the services of its own: what is ready for one is not taken by the other |
//! | a handle has found a service ready | it stays ready for it until the call; the wait for all others is given up |
//! | load | counts from the readiness to the end of the response, or until that is dropped |
//! | an endpoint goes | its service is dropped when the calls that run there have ended |
//!
//! Readiness comes before the request in tower, so the key of a request cannot decide where it goes:
//! consistent hashing needs [`Balancer`](crate::Balancer) itself.
mod future;
mod members;
mod service;

pub use future::BalanceFuture;
pub use members::Services;
pub use service::BalanceService;
pub use tower::discover::{Change, Discover};
