//! The words that resilience patterns share.
//!
//! A circuit breaker, a retry and a load balancer can only work together if they agree on what a
//! *call* is, how it may *end*, and what it means to *admit* one. This crate is that agreement, and
//! nothing else: no pattern lives here. Depend on it to write a guard or a policy of your own that
//! stacks with all the others; to use the patterns, take their crates or the umbrella.
//!
//! ```
//! use rs_core::{Call, Ending, Failure, Guard, Measure, Name, Policy, Reason, Rejection, Unit};
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//!
//! /// Admits so many calls at once.
//! struct Seats { free: AtomicU32, all: u32 }
//!
//! static TAKEN: Measure = Measure::new("seats taken", Unit::Count);
//! static FULL: Reason = Reason::new("seats", "full").judging(&TAKEN);
//!
//! impl Guard for Seats {
//!     type Ticket = ();
//!
//!     fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
//!         self.free
//!             .try_update(Relaxed, Relaxed, |free| free.checked_sub(1))
//!             .map(drop)
//!             .map_err(|_| FULL.reject(Name::of("lobby")).because(self.all.into(), self.all.into()))
//!     }
//!
//!     fn leave(&self, (): (), _ending: Ending) {
//!         self.free.fetch_add(1, Relaxed);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let lobby = Seats { free: AtomicU32::new(1), all: 1 };
//! let hall = Seats { free: AtomicU32::new(0), all: 500 };
//! let house = (&lobby, &hall);
//!
//! let seated = house.call("seat", async |_call| Ok::<_, std::io::Error>("row 7")).await;
//! match seated {
//!     Err(Failure::Rejected(why)) => assert_eq!(
//!         why.to_string(),
//!         "seats `lobby` refused the call: full (seats taken 500, limit 500)",
//!     ),
//!     other => unreachable!("the hall has no seat: {other:?}"),
//! }
//! assert_eq!(lobby.free.load(Relaxed), 1, "the lobby got its seat back");
//! # }
//! ```
//!
//! # The words
//!
//! | word | what it is |
//! |---|---|
//! | [`Call`] | what everybody knows about a call: name, attempt, deadline, routing key, criticality, correlation id; small and `Copy`; has children, which belong to the same request |
//! | [`Outcome`] | what a result says about the dependency: success, failure with its [`Fault`], or nothing at all |
//! | [`Classify`] | decides the outcome; written once per client library |
//! | [`Guard`] | admits or refuses a call and hears how it ended |
//! | [`Permit`] | an admitted call; dropped unfinished, it counts as cancelled |
//! | [`Outline`] | what a guard says of itself to whoever plans a stack |
//! | [`Policy`] | runs an [`Operation`], perhaps several times, perhaps not at all; every guard is one, and so is every tuple of policies |
//! | [`Failure`], [`Rejection`], [`TimedOut`] | why there is no result; a rejection explains itself |
//! | [`Deadline`], [`Clock`] | time: monotonic, read in one place, moved by tests |
//! | [`Signal`], [`FlightRecorder`], [`Observer`] | the rare, important events, with the numbers that caused them |
//! | [`Directory`], [`Inspect`], [`Mandate`] | every named thing can be looked at and steered, by an author, for a reason, for a time |
//! | [`Enforcement`] | carry refusals out, only count them, or do so for a share of the calls |
//! | [`Name`], [`BoundedNames`], [`Label`], [`LabelSet`] | names and labels from bounded sets |
//! | [`Share`], [`Rate`], [`Size`], [`humane`], [`config`] | configuration as people write it, refused with an error that helps |
//! | [`Striped`] | a value for each processor, for counting without contention |
//!
//! # When not
//!
//! To call a dependency through a breaker or a retry you do not need this crate by name: the pattern
//! crates hand out the words that appear in their signatures.
//!
//! # What it costs
//!
//! Policies compose statically: no boxing and no allocation, and futures are `Send`. A `Call` is 96
//! bytes, a `Rejection` 64. [`AnyGuard`] and [`PolicyList`] are the erased forms, for lists that are
//! put together at run time; they box.
//!
//! # Cancel safety
//!
//! Dropping any future of any policy, at any await, gives back every permit; the guards hear
//! [`Ending::Cancelled`]. Once a guard has given out its ticket this does not rest on anybody's
//! discipline: the [`Permit`] does it. A guard that waits before that, in [`Guard::enter`], gives back
//! what it held meanwhile.
//!
//! # Features
//!
//! `serde`: snapshots, signals and rejections can be serialised, and configuration can be read from
//! any format through [`config`].
mod backoff;
mod call;
mod call_error;
mod classify;
mod clock;
pub mod config;
mod correlation;
mod criticality;
mod curve;
mod deadline;
mod directory;
mod enforcement;
mod erased;
mod failure;
mod guard;
mod guard_slot;
mod guarded;
pub mod hash;
pub mod humane;
mod label;
mod measure;
mod name;
mod once;
mod operation;
mod outcome;
mod outline;
mod permit;
mod policy;
mod rejection;
#[cfg(feature = "serde")]
mod serde_impls;
mod signal;
mod stripe;
mod sync;
mod unless;
mod value;

pub use backoff::{Backoff, Delays, Jitter};
pub use call::{Call, CallId, RoutingKey, TimeLimits};
pub use call_error::CallError;
pub use classify::{ByResult, ByStatus, Classify, Contained};
pub use clock::{Clock, ClockHand};
pub use config::{ConfigError, ConfigProblem};
pub use correlation::{Correlation, EmptyCorrelation};
pub use criticality::Criticality;
pub use curve::Curve;
pub use deadline::Deadline;
pub use directory::{
    Action, ActionSpec, Condition, ControlError, Directory, Health, Inspect, Mandate, Snapshot,
};
pub use enforcement::Enforcement;
pub use erased::{AnyGuard, AnyResult, Held, PolicyList};
pub use failure::{Failure, TimeScope, TimedOut};
pub use guard::Guard;
pub use humane::{Rate, Share, Size};
pub use label::{Label, LabelSet};
pub use measure::{Evidence, Measure, Unit};
pub use name::{BoundedNames, Name};
pub use once::{OperationOnce, PerAttempt, operation_once};
pub use operation::{Operation, OperationFn, operation};
pub use outcome::{Ending, Fault, FaultKind, Outcome};
pub use outline::Outline;
pub use permit::Permit;
pub use policy::{Policy, Shared, Stacked};
pub use rejection::{Reason, Rejection};
pub use signal::{FlightRecorder, Observer, Recorded, Severity, Signal, SignalKind};
pub use stripe::Striped;
pub use unless::unless;
pub use value::Value;
