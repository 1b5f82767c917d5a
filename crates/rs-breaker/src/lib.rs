//! A circuit breaker that is exact, explains itself, and costs less than reading the clock.
//!
//! While a dependency is well, calls go through and are counted. When too many of them fail or are slow,
//! the breaker opens and refuses calls at once, so that callers do not wait for what is broken and what
//! is broken is left alone. After a while it lets a few probes through; when they succeed, the calls come
//! back as a growing share.
//!
//! ```
//! use rs_breaker::{Breaker, BreakerConfig};
//! use rs_core::{Failure, Policy};
//! # async fn charge() -> Result<u64, std::io::Error> { Ok(17) }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
//! let payments = Breaker::new("payments", BreakerConfig::default())?;
//!
//! match payments.call("charge", async |_call| charge().await).await {
//!     Ok(receipt) => assert_eq!(receipt, 17),
//!     Err(Failure::Rejected(why)) => println!("{why}"),
//!     Err(other) => println!("it failed: {other}"),
//! }
//! # Ok(()) }
//! ```
//!
//! What a refusal says:
//!
//! ```text
//! breaker `payments` refused the call: open (failure rate 55%, limit 50%); try again in 3.2s
//! ```
//!
//! # When not
//!
//! - Against overload of your own service use a limit; against a slow answer use a timeout, *inside* the
//!   breaker, so that a call that hangs counts as a failure.
//! - Around something that cannot be away, such as a computation, it only costs.
//! - One breaker for many hosts cuts off the healthy ones with the sick: use
//!   [`BreakerRegistry::keyed`], or a balancer with a breaker on each endpoint.
//!
//! # States
//!
//! ```text
//!             a rule holds                  its time is over
//!   Closed ──────────────────▶ Open ───────────────────────▶ HalfOpen
//!     ▲  ▲                     ▲  ▲                            │  │
//!     │  │        a rule holds │  └──────── probes failed ─────┘  │
//!     │  └────── Ramping ──────┘                                  │
//!     │   its time  ▲                  probes succeeded           │
//!     │   is over   └─────────────────────────────────────────────┤
//!     └────────────────────────────────────── without a ramp ─────┘
//!
//!   by order, from any state: ForcedOpen, ForcedClosed, Isolated; each by somebody, for a reason,
//!   and if wanted for a time
//! ```
//!
//! # Defaults
//!
//! | | here | Resilience4j | Polly 8 |
//! |---|---|---|---|
//! | opens at | 50 % failures | 50 % failures, or 100 % slow | 10 % failures |
//! | of | the last 100 calls | the last 100 calls | the last 30 s |
//! | from how many calls on | 20 | 100 | 100 |
//! | rules that can be combined | any | two | one |
//! | stays open | 5 s, doubling up to 5 min, + up to 20 %; shrinks again | 60 s | 5 s |
//! | probes | 3 at once, 2 must succeed | 10, below the same rates | 1 |
//! | a probe that hangs | counts as failed after 30 s | blocks its place | blocks all calls |
//! | comes back | 5 % to all within 10 s | at once | at once |
//! | late results | counted as stale, decide nothing | decide | decide |
//! | a cancelled call | neither success nor failure | as the caller says | success |
//! | new configuration while running | keeps state and windows | new breaker | new breaker |
//!
//! [`BreakerConfig`] says it in code; with the `serde` feature a file does, and every field that is left
//! out has its default:
//!
//! ```toml
//! trip = [
//!   { consecutive_failures = 8 },
//!   { failure_rate = "50%", of_last = 100, minimum_calls = 20 },
//!   { slow_rate = "80%", slower_than = "2s", within = "1m" },
//! ]
//! open_time = { first = "5s", at_most = "5m", jitter = "20%", honour_hints_up_to = "10m" }
//! probing = { successes = 2, of = 3, at_once = 3, lease = "30s" }
//! ramp = { from = "5%", over = "10s", curve = "exponential" }
//! timing = "sampled"
//! enforcement = { partial = "25%" }
//! ```
//!
//! # The parts
//!
//! | part | what it does |
//! |---|---|
//! | [`Breaker`] | one instance: a handle that is cheap to clone; a [`Guard`](rs_core::Guard), so it stacks with all other policies |
//! | [`BreakerRegistry`] | breakers by name or key, by rules; bounded |
//! | [`Supervisor`] | housekeeping for all of them in one task |
//! | [`Breaker::or_value`], [`Breaker::or_else`], `LastGood` | runners: what to answer where it refuses |
//! | [`Fleet`], [`Storage`] | what the replicas of a service tell each other, and where that is kept: [`MemoryStorage`], `RedisStorage` |
//! | [`Surroundings`] | the clock, recorder, directory and metrics that they live in; a test makes its own |
//! | `BreakerLayer` | the same breaker for tower |
//!
//! Ways to call: [`Policy::call`](rs_core::Policy::call) for async closures,
//! [`Policy::run`](rs_core::Policy::run) with a classifier,
//! [`Guard::call_blocking`](rs_core::Guard::call_blocking),
//! [`Guard::try_admit`](rs_core::Guard::try_admit) for a permit by hand and
//! [`Breaker::try_admit_owned`] for one that may travel, and as a tower service. All mean the same.
//!
//! # How exact
//!
//! - Used from one thread it decides call by call as a breaker without any concurrency would: the rule
//!   "50 % of the last 100" opens on the very call that makes it true.
//! - A rule is looked at when a call ends that counts against it. A success cannot open a breaker.
//! - From several threads, calls that end between a failure and the moment when it is judged count as
//!   simultaneous, evenly mixed. It is judged by the thread that holds the machine just then, or by the next,
//!   at once: so these are as many calls as end while one or two threads hold it. All that ended before count
//!   before, unless a judge is held up for so long that one thread counts 127 successes after a failure: then
//!   all that this thread has counted is taken as mixed. The breaker opens only if some order of the simultaneous ones would open it; it is open in the
//!   end if every order would; nothing is lost.
//! - A window of time slides by a twentieth of its length and so reaches over 95 to 100 % of it.
//! - A call belongs to the generation that it began in. A result of an older generation is counted as
//!   stale and decides nothing; a change of state begins a new generation, except for the end of a ramp
//!   and of an order to stay closed, after which what was counted goes on to count.
//!
//! # What it costs
//!
//! A call that succeeds reads one word when it goes in and changes one when it comes out, and that word
//! is its thread's own as soon as two threads meet: it scales. No locks, no allocation, no look at the
//! clock, unless a rule asks for the time or the call is one of those that are timed. A refusal costs
//! about the same; where no [`Supervisor`] runs it reads the clock, and where one runs one in 64 does. A
//! breaker takes less than a kilobyte. Its metrics take more than that, so the breakers of a keyed registry
//! are exported as one, and of others no more than a thousand by name.
//!
//! # Metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `circuit_breaker_requests_total` | counter | `breaker`, `outcome` | calls, by how they ended |
//! | `circuit_breaker_failures_total` | counter | `breaker`, `kind` | failed calls, by how they failed |
//! | `circuit_breaker_not_permitted_total` | counter | `breaker`, `reason` | refused calls, by why; also those refused by order |
//! | `circuit_breaker_dark_rejections_total` | counter | `breaker` | calls that would have been refused, but for dark mode |
//! | `circuit_breaker_stale_total` | counter | `breaker` | results that came too late |
//! | `circuit_breaker_state_changes_total` | counter | `breaker`, `state` | changes of state, by what it became |
//! | `circuit_breaker_state` | gauge | `breaker`, `state` | 1 for its state, 0 for the others; of a keyed registry, how many are in it |
//! | `circuit_breaker_response_time_seconds` | histogram | `breaker` | how long calls took, as far as they were timed |
//! | `circuit_breaker_not_kept_total` | counter | `registry` | look-ups that found a full registry |
//!
//! # Signals
//!
//! | signal | severity | words |
//! |---|---|---|
//! | `opened` | warning | opened, 11 of 20 failed (limit 50%), next probe in 5.3s |
//! | `reopened` | warning | stays open, 2 of 3 probes failed, next probe in 11.2s |
//! | `half_opened` | info | half-open, lets probes through; or: …; an order ran out, by anna (a drill) for 1m |
//! | `ramping` | info | recovers, 2 of 2 probes succeeded, lets a growing share through |
//! | `closed` | info | closed |
//! | `forced_open`, `forced_closed`, `isolated` | warning, warning, info | refuses all calls, by anna (a drill) |
//! | `reset`, `reconfigured` | info | begins anew, closed |
//! | `reconfiguration_refused` | warning | keeps its rules, the new ones are wrong |
//! | `callback_panicked` | warning | panicked; the settings decide how long to stay open |
//!
//! # Cancel safety
//!
//! A call that is dropped before it ends, or panics, is neither success nor failure; a probe that is
//! dropped gives its place back at once. No future here holds a lock across an await.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `serde` | configuration from files, snapshots as data |
//! | `tower` | `BreakerLayer`, `BreakerService` |
//! | `cache` | `LastGood`: the last good value of each call, with its age |
//! | `redis` | `RedisStorage`: a fleet shares what it knows through Redis |
mod breaker;
mod cause;
mod config;
mod control;
mod error;
mod event;
mod fleet;
mod gate;
mod group;
#[cfg(feature = "serde")]
mod kind;
#[cfg(feature = "cache")]
mod last_good;
pub mod metrics;
mod probes;
mod registry;
mod runner;
mod shared;
mod snapshot;
mod state;
mod storage;
mod supervisor;
mod surroundings;
mod sync;
mod tally;
mod ticket;
#[cfg(feature = "tower")]
mod tower;
mod window;

/// How a share grows.
pub use rs_core::Curve;
/// What everything lives in; see its own page.
pub use rs_metrics::Surroundings;

pub use breaker::Breaker;
pub use cause::{Cause, CauseKind};
pub use config::{
    Advice, BreakerConfig, OpenTime, Opening, Probing, Ramp, RegistryConfig, Span, Timing, Trip,
    Window,
};
pub use fleet::{Fleet, FleetConfig, FleetStatus};
#[cfg(feature = "serde")]
pub use kind::BreakerKind;
#[cfg(feature = "cache")]
pub use last_good::{LastGood, Served};
pub use registry::BreakerRegistry;
pub use runner::{OrElse, OrValue};
pub use snapshot::{BreakerSnapshot, Ordered, ResponseTimes};
pub use state::{BreakerState, Forced};
#[cfg(feature = "redis")]
pub use storage::RedisStorage;
pub use storage::{Exchange, FleetOrder, MemoryStorage, Report, Storage, StorageError, View};
pub use supervisor::Supervisor;
pub use tally::{FailureKind, Refused};
pub use ticket::Ticket;
#[cfg(feature = "tower")]
pub use tower::{BreakerFuture, BreakerLayer, BreakerService};
