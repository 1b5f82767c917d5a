//! What every guard and every policy promises, as tests for those of your own.
//!
//! A guard is two functions, and there are many ways to get them wrong that no compiler sees: a place that
//! does not come back when a call is dropped, a queue that forgets to wake somebody, a refusal that explains
//! nothing. Each function here takes a way to make your guard, tries one kind of promise, and panics with
//! what was broken.
//!
//! ```
//! use rs_policies::{Bulkhead, BulkheadConfig, Surroundings, contract};
//! use rs_core::{Clock, Enforcement};
//! use std::time::Duration;
//!
//! let (clock, _hand) = Clock::manual();
//! let around = Surroundings::apart().with_clock(clock);
//! let config = BulkheadConfig::of(3).with_queue(2, Duration::from_secs(1));
//! let make = || Bulkhead::within(&around, "bank", config).unwrap();
//!
//! contract::behaves(make);
//! contract::gives_back(make);
//! contract::cancels(make);
//! contract::waits(make);
//! contract::reports(make, contract::fill);
//! contract::reconfigures(make, |bank| drop(bank.reconfigure(BulkheadConfig::of(2))));
//! contract::goes_dark(
//!     make,
//!     contract::fill,
//!     |bank| drop(bank.reconfigure(config.with_enforcement(Enforcement::Dark))),
//!     |bank| bank.would_have_held_up(),
//! );
//! ```
//!
//! `make` gives a new guard each time, one that admits calls, does not wait for real time (a
//! [`Clock::manual`](rs_core::Clock::manual) or tokio's paused time), and is not turned by a single failure.
//! What [`gives_back`], [`cancels`], [`waits`] and [`reconfigures`] promise is about guards that hold
//! something for each call, such as a place; they want one with fewer than [`MANY`] of them. A guard that
//! counts calls alone, as a rate limit does, is tried by [`behaves`], [`reports`] and [`goes_dark`].
//!
//! A policy that runs an operation, as a retry does or a pipeline, is tried by others:
//!
//! ```
//! use rs_policies::{Pipeline, RetryConfig, contract};
//!
//! let make = || Pipeline::named("bank").retry(RetryConfig::default()).build().unwrap();
//! contract::hands_on(make);
//! contract::keeps_errors(make);
//! contract::lets_go(make);
//! ```

mod calls;
mod places;
mod runs;

pub use calls::{behaves, goes_dark, reports};
pub use places::{cancels, gives_back, reconfigures, waits};
pub use runs::{hands_on, keeps_errors, lets_go};

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use rs_core::{Call, Ending, Guard, Outcome};

/// Nobody is asked for more places than this.
pub const MANY: usize = 64;

/// Takes places until there is none, or [`MANY`] of them: what makes a guard refuse that holds a place
/// for each call.
pub fn fill<G: Guard>(guard: &G) -> Vec<G::Ticket> {
    let call = Call::new("contract");
    std::iter::from_fn(|| guard.try_enter(&call).ok())
        .take(MANY)
        .collect()
}

/// How many calls can be inside at once, in addition to those that are.
fn room<G: Guard>(guard: &G) -> usize {
    let tickets = fill(guard);
    let room = tickets.len();
    for ticket in tickets {
        guard.leave(ticket, Ending::finished(Outcome::Success));
    }
    room
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
