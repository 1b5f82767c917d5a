//! Retry, budget, timeout, hedge, fallback, limits on rate and concurrency, and pipelines that put them into
//! the right order, cost less than half of what their peers do, and say beforehand what they can do to you.
//!
//! ```
//! use rs_core::Policy;
//! use rs_policies::{BulkheadConfig, Pipeline, RetryConfig};
//! use std::time::Duration;
//! # async fn charge() -> Result<u64, std::io::Error> { Ok(17) }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let payments = Pipeline::named("payments")
//!     .timeout(Duration::from_secs(2))
//!     .retry(RetryConfig::default())
//!     .bulkhead(BulkheadConfig::of(32).with_queue(64, Duration::from_millis(200)))
//!     .attempt_timeout(Duration::from_millis(500))
//!     .build()?;
//!
//! let receipt = payments.call("charge", async |_call| charge().await).await?;
//! assert_eq!(receipt, 17);
//! println!("{}", payments.plan());
//! # Ok(()) }
//! ```
//!
//! The plan that it prints:
//!
//! ```text
//! payments
//!   total timeout    2s
//!   retry            3 attempts, waits up to 1m in all, budget 20%
//!   bulkhead         32 at once, 64 wait up to 200ms
//!   attempt timeout  500ms
//! at worst: 2s, 3 attempts, 1.20 times the load
//! doubtful: retry and attempt timeout: what it ends is tried again only for calls that are safe to repeat
//! ```
//!
//! A breaker goes in by `.guard(breaker)`, and so does any other [`Guard`](rs_core::Guard). Each policy works
//! alone, too, and in tuples.
//!
//! # When not
//!
//! - A retry around something that is not safe to repeat does harm. Failures that say nothing about
//!   whether the call took effect, such as a time limit, are repeated only where the call is
//!   [safe to repeat](rs_core::Call::safe_to_repeat).
//! - Retry in one place: three layers of three attempts are 27.
//! - A bulkhead limits how much runs at once, a rate limit how much begins in a second. Where nobody knows
//!   how much is right, an [`AdaptiveLimit`] finds out; where the dependency says that it is too much, a
//!   [`LoadShed`] believes it.
//! - A hedge adds load to shorten the longest waits. It needs calls that are safe to repeat, and answers that
//!   vary by chance and not because the dependency is slow as a whole.
//!
//! # The order
//!
//! However it is written, a pipeline is: fallback → total timeout → coalesce → retry with budget → hedge →
//! guard → load shedding → rate limit → bulkhead or adaptive limit → attempt timeout → the operation. So the
//! guard sees every attempt, a call that waits between attempts holds no place, and an attempt that hangs
//! counts as a failure. Another order is a tuple, or a [`Stack`], which is checked like a pipeline.
//!
//! `build` refuses what cannot work, and names both parts:
//!
//! ```text
//! pipeline `payments` cannot work: total timeout and attempt timeout: 2s inside 1s is never reached
//! ```
//!
//! # Defaults
//!
//! | | here | Polly 8 | Resilience4j |
//! |---|---|---|---|
//! | attempts | 3 | 4 | 3 |
//! | waits | 100 ms, doubling up to 10 s | 2 s, constant | 500 ms, constant |
//! | jitter | full | none | none |
//! | budget for further attempts | 20 % of the calls of ten seconds, at least one a second | none | none |
//! | a server's `Retry-After` | respected, up to 30 s | by code of one's own | by code of one's own |
//! | a refusal by a guard inside | not tried again | tried again, unless told | tried again, unless told |
//! | a wait that would pass the deadline | not begun | begun | begun |
//! | queue of a bulkhead | none; in order of arrival if there is one | none | none |
//!
//! [`RetryConfig`], [`BulkheadConfig`] and the others say it in code; with the `serde` feature a file
//! does:
//!
//! ```toml
//! [retry]
//! attempts = 5
//! backoff = { exponential = "1s", at_most = "8s", at_once_first = true, jitter = "equal" }
//! total_time = "30s"
//!
//! [bulkhead]
//! limit = 32
//! queue = 64
//! longest_wait = "200ms"
//! enforcement = { partial = "25%" }
//! ```
//!
//! # Pipelines in a file
//!
//! A [`ResilienceManager`] has all pipelines of a process by name: those that code [adds](ResilienceManager::add),
//! and those of a configuration. With the feature `file` that is TOML or JSON:
//!
//! ```toml
//! [budgets.bank]                      # shared by the pipelines that name it
//! ratio = "10%"
//!
//! [pipelines.payments]
//! timeout = "2s"
//! retry = { attempts = 3, backoff = { exponential = "100ms", at_most = "1s" } }
//! budget = "bank"
//! breaker = { trip = [{ consecutive_failures = 10 }] }
//! bulkhead = { limit = 32, queue = 64, longest_wait = "200ms" }
//! attempt_timeout = "500ms"
//!
//! [pipelines.search]
//! safe_to_repeat = true
//! hedge = { delay = { quantile = "95%" } }
//! load_shed = {}
//! rate_limit = { rate = "500/s" }
//! ```
//!
//! ```no_run
//! # #[cfg(feature = "file")] mod shown {
//! use rs_policies::{OrValue, ResilienceManager};
//! use std::time::Duration;
//! # async fn charge() -> Result<u64, std::io::Error> { Ok(17) }
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = ResilienceManager::new(); // .knowing(BreakerKind) for `breaker`, which is another crate's
//! manager.load("resilience.toml")?;
//! let follower = manager.clone();
//! tokio::spawn(async move { follower.follow(Duration::from_secs(2)).await });
//!
//! let receipt = manager.execute("payments", async |_call| charge().await).await?;
//! let shown = manager.execute_or("payments", async |_call| charge().await, OrValue(0)).await?;
//! println!("{receipt}, {} (degraded: {})", shown.value(), shown.is_degraded());
//! println!("{}", manager.health());
//! # Ok(()) }
//! # }
//! ```
//!
//! When the file changes, what stays keeps its state: the bulkhead its calls and its queue, the budget its
//! balance, the breaker its window. A file that is wrong is refused whole, the old one stays in force, and the
//! error says where:
//!
//! ```text
//! resilience.toml:6:22: pipelines.payments.retry.attempts: 0 is out of range; allowed: 1 to 1000
//!   |
//! 6 | retry = { attempts = 0, backoff = { exponential = "100ms", at_most = "1s" } }
//!   |                      ^
//! ```
//!
//! # The parts
//!
//! | part | what it does |
//! |---|---|
//! | [`Pipeline`], [`Stack`], [`DynPipeline`] | policies in order; with their [`Plan`] |
//! | [`Retry`], [`Backoff`] | tries again; how long it waits in between |
//! | [`Budget`] | keeps further attempts and hedges to a share of the calls; shared by all that reach one dependency |
//! | [`Timeout`] | ends what takes too long: the call, or each attempt |
//! | [`IdleTimeout`], [`Pulse`] | ends what has gone silent: an operation that gives no sign of life, a stream or a body without a next item |
//! | [`Hedge`] | starts another attempt beside one that takes long, and takes the first good answer |
//! | [`Bulkhead`] | so many at once, so many wait, in order, for so long |
//! | [`ResilienceManager`], [`Pipelines`] | pipelines by name, from code or a file, replaced while calls go on |
//! | `Cache` | results that are kept for a time (feature `cache`) |
//! | [`RateLimit`], [`SharedRateLimit`] | so many in a time, in this process or in all replicas together |
//! | [`AdaptiveLimit`] | as many at once as the dependency can bear: [`Aimd`], [`Vegas`], [`Gradient`]; the least critical are shed first |
//! | [`LoadShed`] | refuses here what the dependency would refuse there |
//! | [`PerKey`] | any of these limits for each key, as many as there is room for |
//! | [`Fallback`], `LastGood` | what to answer where everything else has failed |
//! | [`Coalesce`] | calls of one key at the same time share one run |
//! | [`Chaos`] | the place where faults are injected |
//! | `PolicyLayer` | any policy for tower |
//! | `Traced` | spans for the calls of any policy, and their attempts |
//! | `contract` | what every guard and every policy promises, as tests for those of your own |
//! | [`retry_after`], [`DeadlineHeader`] | what stands in headers: how long to wait, how much time is left |
//!
//! Each has a name, is a handle that clones cheaply, takes another configuration while it runs
//! (`reconfigure`, refused whole when it is wrong), is listed in the [directory](rs_core::Directory), and
//! lives in [`Surroundings`] that a test can replace.
//!
//! # Signs of life
//!
//! A download may take an hour, and ten seconds without a byte are too long. [`IdleTimeout`] is a limit on that:
//!
//! ```
//! use rs_core::Policy;
//! use rs_policies::{IdleTimeout, Pipeline, Pulse, RetryConfig};
//! use std::time::Duration;
//! # struct Feed; impl Feed { async fn next(&mut self) -> Result<Option<u8>, std::io::Error> { Ok(None) } }
//! # async fn open() -> Result<Feed, std::io::Error> { Ok(Feed) }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let idle = IdleTimeout::new("feed", Duration::from_secs(10))?;
//! let feed = Pipeline::named("feed").retry(RetryConfig::default()).safe_to_repeat().build()?;
//!
//! let read = idle.watching(async |_call, pulse: Pulse| {
//!     let (mut feed, mut lines) = (open().await?, 0);
//!     while let Some(_line) = feed.next().await? {
//!         pulse.beat();
//!         lines += 1;
//!     }
//!     Ok::<_, std::io::Error>(lines)
//! });
//! assert_eq!(feed.run(&"read".into(), &read).await?, 0);
//! # Ok(()) }
//! ```
//!
//! With the feature `streams`, `idle.stream(call, stream)` and `idle.try_stream(call, body)` take every item for
//! a sign of life.
//!
//! # Spans
//!
//! With the feature `tracing`, `pipeline.traced()` is the same pipeline with a span for each call, and in it one for each
//! attempt: with its number, its outcome, and the correlation id. A span costs about a microsecond where somebody
//! listens, so it is for calls that take longer; a pipeline that is not traced has no trace of it.
//! `Traced` does it for any policy.
//!
//! # With tower
//!
//! `PolicyLayer` (feature `tower`) puts any policy around a service of tower's: axum, hyper, tonic, or a client of
//! your own. A pipeline around a route of axum:
//!
//! ```
//! # #[cfg(feature = "tower")] {
//! use axum::{Router, response::Response, routing::post};
//! use rs_policies::{BulkheadConfig, Pipeline, PolicyLayer};
//! use std::time::Duration;
//!
//! let checkout = Pipeline::named("checkout")
//!     .bulkhead(BulkheadConfig::of(64).with_queue(64, Duration::from_millis(100)))
//!     .attempt_timeout(Duration::from_secs(5))
//!     .build()?;
//!
//! let app: Router = Router::new()
//!     .route("/checkout", post(async || "thank you"))
//!     .layer(PolicyLayer::new("checkout", checkout).once().answering(Response::from));
//! # let _ = app;
//! # }
//! # Ok::<(), rs_policies::PlanError>(())
//! ```
//!
//! What it refuses is answered by 503, with `Retry-After` if it is known when; what takes too long by 504.
//! A client has no answer of its own to give: there the error is a [`Failure`](rs_core::Failure), requests are
//! cloned for each attempt, and one that cannot be made again is not tried again.
//!
//! To get a service ready is part of an attempt, within its limits. `PolicyLayer` says how to change that, how to
//! read deadlines from requests, and how to write them.
//!
//! # What it costs
//!
//! A call that succeeds at once through all of it, with a breaker, reads no clock, sets no timer and
//! allocates nothing. What is left are the few counters that must be exact: one exchange for the breaker,
//! two for the bulkhead, one for the budget. The future of such a pipeline is half a kilobyte larger than
//! that of the operation.
//!
//! # Metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `retry_attempts_total` | counter | `retry` | attempts beyond the first |
//! | `retry_calls_total` | counter | `retry`, `result` | calls whose first attempt failed, by what became of them |
//! | `retry_success_rate` | gauge | `retry` | the share of these that succeeded in the end |
//! | `retry_delay_seconds` | histogram | `retry` | waits before further attempts |
//! | `retry_budget_balance` | gauge | `budget` | tokens that are left |
//! | `retry_budget_withdrawn_total` | counter | `budget` | further attempts that were granted |
//! | `retry_budget_exhausted_total` | counter | `budget` | further attempts that were not |
//! | `timeouts_total` | counter | `timeout`, `scope` | what was ended for taking too long |
//! | `timeout_dark_total` | counter | `timeout`, `scope` | what would have been, but for dark mode |
//! | `pipeline_calls_total` | counter | `pipeline`, `result` | calls through the pipeline of a name, by what became of them |
//! | `bulkhead_concurrent_calls`, `bulkhead_limit`, `bulkhead_queue_size` | gauge | `bulkhead` | calls that run, may run, wait |
//! | `bulkhead_rejected_calls_total` | counter | `bulkhead`, `reason` | calls that were refused |
//! | `bulkhead_dark_rejections_total` | counter | `bulkhead` | calls that would have been held up, but for dark mode |
//! | `bulkhead_wait_seconds` | histogram | `bulkhead` | how long those waited that got a place |
//! | `cache_lookups_total` | counter | `cache`, `result` | looks into a cache, by what they found (feature `cache`) |
//! | `hedge_started_total`, `hedge_calls_total` | counter | `hedge`; `result` | hedges; calls that were hedged, by what became of them |
//! | `hedge_concurrent_attempts`, `hedge_delay_seconds` | gauge | `hedge` | hedges that run; after how long one is started |
//! | `fallback_calls_total`, `fallback_unanswered_total` | counter | `fallback`; `source`, `reason` | calls that something else answered, or did not |
//! | `coalesce_calls_total` | counter | `coalesce`, `role` | calls, by their part in the run of their key |
//! | `coalesce_running_keys`, `coalesce_waiting_calls` | gauge | `coalesce` | runs that are shared; calls that wait for one |
//! | `rate_limit_rejected_calls_total`, `rate_limit_dark_rejections_total` | counter | `rate_limit`; `reason` | calls that came too fast |
//! | `rate_limit_available_tokens`, `rate_limit_rate`, `rate_limit_waiting_calls` | gauge | `rate_limit` | what is there, what comes, who waits |
//! | `rate_limit_wait_seconds` | histogram | `rate_limit` | how long calls waited for a token |
//! | `shared_rate_limit_asks_total`, `shared_rate_limit_alone_total` | counter | `rate_limit`; `result` | how often the store was asked; calls that were decided without it |
//! | `shared_rate_limit_store_lost` | gauge | `rate_limit` | 1 while the store is not reached |
//! | `adaptive_limit`, `adaptive_in_flight`, `adaptive_queue_size` | gauge | `adaptive_limit` | what was found, what runs, what waits |
//! | `adaptive_rtt_seconds`, `adaptive_min_rtt_seconds` | gauge | `adaptive_limit` | how long calls take, and would without others |
//! | `adaptive_rejected_calls_total`, `adaptive_dropped_calls_total`, `adaptive_dark_rejections_total` | counter | `adaptive_limit`; `reason`, `criticality` | refused here, dropped there, let in by dark mode |
//! | `adaptive_wait_seconds` | histogram | `adaptive_limit` | how long calls waited for a place |
//! | `load_shed_rejected_calls_total`, `load_shed_throttled_calls_total`, `load_shed_dark_rejections_total` | counter | `load_shed`, `criticality` | refused here, refused there, let through by dark mode |
//! | `load_shed_probability` | gauge | `load_shed`, `criticality` | the share of the calls that is refused at present |
//! | `per_key_keys`, `per_key_rejected_calls_total`, `per_key_not_kept_total`, `per_key_evicted_total` | gauge, counters | `per_key` | guards of keys, and what they refuse |
//!
//! # Signals
//!
//! | signal | severity | words |
//! |---|---|---|
//! | `exhausted` (budget) | warning | is used up, 40 spent for 200 calls in 10s: failures are not tried again; at most once in ten seconds |
//! | `reconfigured` | info | has new rules, version 2 |
//! | `reconfiguration_refused` | warning | keeps its rules, the new ones are wrong: … |
//! | `reconfigured`, `reconfiguration_refused` (resilience) | info, warning | has new pipelines: 1 added, 2 changed, 0 removed; keeps its pipelines, the new configuration is wrong: … |
//! | `condition_panicked` (retry), `panicked` (fallback) | warning | panicked; the call is not tried again, or ends as it would have |
//! | `at_minimum` (adaptive limit) | warning | is at its minimum: 12 of 20 were dropped |
//! | `algorithm_panicked` (adaptive limit) | warning | keeps its limit, the algorithm panicked |
//! | `began`, `ended` (load shed) | warning, info | refuses calls: the dependency accepts 30%; lets all calls through again |
//! | `store_lost`, `store_back` (shared rate limit) | warning, info | does not reach its store; this replica goes by its own limit |
//! | `not_made` (per key) | warning | cannot make a guard for a key |
//!
//! # Cancel safety
//!
//! Any future here can be dropped at any await: places, permits and queue positions are given back, and
//! guards hear that the call was cancelled.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `serde` | configuration from files |
//! | `cache` | `Cache`: results that are kept for a time; `LastGood`: the last good answer of each call, served where the call fails |
//! | `file` | `ResilienceManager::load`, `follow`: pipelines from TOML and JSON files |
//! | `redis` | `RedisTokens`: one rate limit for all replicas |
//! | `streams` | [`IdleTimeout`] for streams and bodies |
//! | `tower` | `PolicyLayer`: any policy as a layer; refusals as responses of the `http` crate |
//! | `tracing` | `Traced`: a span for each call and each attempt |
//! | `contract` | what every guard and every policy promises, as tests for those of your own |
mod adaptive;
mod budget;
pub mod building;
mod bulkhead;
#[cfg(feature = "cache")]
mod cache;
mod coalesce;
#[cfg(feature = "contract")]
pub mod contract;
mod deadline;
mod fallback;
mod hedge;
mod idle;
mod manager;
pub mod metrics;
mod per_key;
mod pipeline;
mod queue;
mod rate_limit;
mod retry;
mod seldom;
mod shed;
mod sync;
mod timeout;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tracing")]
mod traced;

pub use adaptive::{
    AdaptiveConfig, AdaptiveLimit, AdaptiveTicket, Aimd, Algorithm, ClassShares, FindLimit,
    Gradient, OwnAlgorithm, Sample, Saturated, Vegas, Waiting,
};
pub use budget::{Budget, BudgetConfig, Costs};
pub use bulkhead::{Bulkhead, BulkheadConfig, Crowded};
#[cfg(feature = "cache")]
pub use cache::{Cache, CacheConfig, Lookup};
pub use coalesce::{Coalesce, CoalesceConfig, CoalesceRole};
pub use deadline::DeadlineHeader;
pub use fallback::{
    Because, Fallback, FallbackConfig, FallbackSource, FromFn, Instead, OrElse, OrValue, Served,
    Serves, TryFromFn, Unanswered,
};
#[cfg(feature = "cache")]
pub use fallback::{LastGood, LastGoodConfig};
pub use hedge::{Hedge, HedgeConfig, HedgeDelay, HedgeEnd};
pub use idle::{IdleTimeout, Pulse, WatchedFn};
#[cfg(feature = "streams")]
pub use idle::{TryWatched, Watched};
pub use manager::{
    Changes, HealthSummary, NamedPipeline, PipelineConfig, PipelineEnd, PipelineMetrics, Pipelines,
    ResilienceConfig, ResilienceManager,
};
#[cfg(feature = "file")]
pub use manager::{LoadError, LoadProblem};
pub use per_key::{Keyed, KeyedTicket, PerKey, PerKeyConfig, Resting, WhenFull};
pub use pipeline::{
    Both, Chaos, Doubt, DynPipeline, Given, Part, Parts, Pipeline, PipelineBuilder, Plan,
    PlanError, Sketch, Stack, Strike, With,
};
#[cfg(feature = "redis")]
pub use rate_limit::RedisTokens;
pub use rate_limit::{
    Fetched, RateLimit, RateLimitConfig, SharedRateLimit, SharedRateLimitConfig, Taking, TokenAsk,
    TokenStore, TokenStoreError, TokensGiven, TooFast,
};
pub use retry::{Retry, RetryConfig, RetryEnd, Retrying, retry_after};
/// How long to wait before each further try.
pub use rs_core::{Backoff, Delays, Jitter};
/// What everything lives in; see its own page.
pub use rs_metrics::Surroundings;
pub use shed::{LoadShed, LoadShedConfig, ShedTicket};
pub use timeout::{Timeout, TimeoutConfig};
#[cfg(feature = "tower")]
pub use tower::{
    Answered, AsFailure, ByClone, Concludes, Once, PolicyLayer, PolicyService, Reading, Requests,
    Unserved, Writing,
};
#[cfg(feature = "tracing")]
pub use traced::Traced;
