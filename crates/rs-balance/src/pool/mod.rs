//! Connections to balanced endpoints, kept for the next call: feature `pool`.
//!
//! A [`BalancedPool`] has a pool of connections for each endpoint, and any strategy chooses among the
//! endpoints. What it gives out is one guard, [`Connected`]: the connection, and the place in the balance.
//!
//! | | |
//! |---|---|
//! | an endpoint has no connection left | the call looks at the next ones, then waits at the first, in order, for a time |
//! | an endpoint cannot be connected to | the call moves on to the next one; it counts against the endpoint's health |
//! | a connection lay idle | it is checked; if it does not answer, it is closed with those that have lain longer |
//! | a call fails | its connection is closed, unless [`Connect::may_stay`] knows better |
//! | a call is dropped | its connection is closed: the answer may still be on its way |
//! | an endpoint goes | its idle connections are closed at once, those of calls when the calls have ended |
//! | an endpoint drains | it gets no new calls |
//! | the pool becomes smaller | connections are closed as calls bring them back |
//!
//! # Metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `balanced_pool_connections` | gauge | `pool`, `state` | connections, idle or leased |
//! | `balanced_pool_waiting_calls` | gauge | `pool` | calls that wait for a connection |
//! | `balanced_pool_borrowed_total` | counter | `pool`, `how` | connections that calls got, reused or made |
//! | `balanced_pool_refused_calls_total` | counter | `pool`, `reason` | calls for which no connection was free |
//! | `balanced_pool_failed_connects_total` | counter | `pool` | connections that could not be made |
//! | `balanced_pool_closed_connections_total` | counter | `pool`, `why` | connections that were closed |
//! | `balanced_pool_wait_seconds` | histogram | `pool` | how long calls waited that had to |
//!
//! The balancer inside has the name of the pool and its own metrics, signals and controls.
mod borrow;
mod config;
mod connect;
mod connected;
mod control;
pub mod metrics;
mod shelf;
mod stock;

pub use config::PoolConfig;
pub use connect::Connect;
pub use connected::Connected;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::Poll,
    time::Duration,
};

use rs_core::{
    ByResult, Call, Classify, ConfigError, Failure, Mandate, Measure, Name, Reason, Unit, Value,
    label_set,
};
use rs_metrics::{
    Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::shelf::{Shared, Shelf};
use crate::{Balancer, Change, Endpoint, EndpointHealth, Explanation};

label_set! {
    /// Why there was no connection for a call, though there was an endpoint.
    pub enum NoConnection: "reason" {
        /// All were in use, and nobody may wait.
        Full = "full",
        /// All were in use, and as many calls waited as may.
        QueueFull = "queue_full",
        /// It waited as long as it may.
        Waited = "waited",
    }
}

static ANNOUNCED: Announcements = Announcements::of("balanced_pool");
static LEASED: Measure = Measure::new("connections in use", Unit::Count);
static WAITING: Measure = Measure::new("calls waiting", Unit::Count);
static WAITED_FOR: Measure = Measure::new("waited", Unit::Seconds);
static FULL: Reason = Reason::new("balanced_pool", "full").judging(&LEASED);
static QUEUE_FULL: Reason = Reason::new("balanced_pool", "queue_full").judging(&WAITING);
static WAITED: Reason = Reason::new("balanced_pool", "waited").judging(&WAITED_FOR);

impl NoConnection {
    const fn reason(self) -> &'static Reason {
        match self {
            Self::Full => &FULL,
            Self::QueueFull => &QUEUE_FULL,
            Self::Waited => &WAITED,
        }
    }
}

/// Connections to endpoints that do the same: which endpoint a call goes to is up to a strategy, and the
/// connection is there already as a rule.
///
/// It is a handle: clones are the same pool.
///
/// ```
/// use rs_balance::{Endpoint, pool::{BalancedPool, Connect, PoolConfig}};
/// use rs_core::Outcome;
/// use std::io;
/// # struct Conn(&'static str);
/// # impl Conn { async fn get(&mut self, key: &str) -> io::Result<String> { Ok(format!("{key} from {}", self.0)) } }
///
/// struct Cache;
///
/// impl Connect for Cache {
///     type Target = &'static str;
///     type Connection = Conn;
///     type Error = io::Error;
///
///     async fn connect(&self, address: &&'static str) -> io::Result<Conn> {
///         Ok(Conn(address))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = BalancedPool::new("cache", Cache, PoolConfig::of(8))?;
/// cache.update(["10.0.0.7:6379", "10.0.0.8:6379"].map(|address| Endpoint::new(address, address)));
///
/// let answer = cache.call("get", async |connection, _call| connection.get("user:17").await).await?;
/// assert!(answer.starts_with("user:17 from 10.0.0."));
///
/// // Or by hand:
/// let mut connection = cache.get("get").await?;
/// let answer = connection.get("user:18").await;
/// connection.finish(if answer.is_ok() { Outcome::Success } else { Outcome::TRANSIENT });
/// # Ok(()) }
/// ```
pub struct BalancedPool<C: Connect>(Arc<Inner<C>>);

struct Inner<C: Connect> {
    shared: Arc<Shared<C>>,
    balancer: Balancer<Arc<Shelf<C>>>,
    /// Those of the set, by id. Held by whoever changes which there are, or how large they are.
    shelves: Mutex<HashMap<Box<str>, Arc<Shelf<C>>>>,
    observed: OnceLock<[Observed; 2]>,
}

impl<C: Connect> BalancedPool<C> {
    /// A pool of this name, without endpoints.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`PoolConfig::check`].
    pub fn new(name: impl Into<Name>, connect: C, config: PoolConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, connect, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`PoolConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        connect: C,
        config: PoolConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        config.check()?;
        let balancer = Balancer::within(around, home.name, config.balance().clone())?;
        let rules = Rules::new(config)?;
        let inner = Arc::new(Inner {
            shared: Arc::new(Shared::new(home, rules, connect)),
            balancer,
            shelves: Mutex::default(),
            observed: OnceLock::new(),
        });
        control::list(&inner);
        Ok(Self(inner))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.shared.home.name
    }

    /// A connection for this call: one that lies idle and works, or a new one, to the endpoint that the
    /// strategy chooses or, if that cannot be connected to or has none left, to another.
    ///
    /// # Errors
    /// [`Failure::Operation`] when the last endpoint that was asked could not be connected to,
    /// [`Failure::TimedOut`] when that or the call's deadline took too long, [`Failure::Rejected`] when there
    /// was no endpoint, or no connection within the time that the configuration gives.
    ///
    /// # Cancel safety
    /// Dropping the future gives back whatever it holds: the wait, the place, the lease. A connection that is
    /// just made or checked is closed.
    pub async fn get(&self, call: impl Into<Call>) -> Result<Connected<C>, Failure<C::Error>> {
        let call = call.into();
        self.0.borrow(&call).await
    }

    /// Calls an operation with a connection; every `Err` counts as a failure of the endpoint.
    ///
    /// # Errors
    /// As [`BalancedPool::get`], else the operation's own error.
    ///
    /// # Cancel safety
    /// Dropping the future counts as a cancelled call, and its connection is closed.
    pub async fn call<R, E: From<C::Error>>(
        &self,
        call: impl Into<Call>,
        operation: impl AsyncFnOnce(&mut C::Connection, Call) -> Result<R, E>,
    ) -> Result<R, Failure<E>> {
        let call = call.into();
        let connected = self.0.borrow(&call).await;
        let mut connected = connected.map_err(|failure| failure.map(E::from))?;
        let result = operation(&mut connected, call).await;
        connected.finish(ByResult.classify_for(&call, result.as_ref()));
        result.map_err(|error| Failure::Operation {
            error,
            attempts: call.attempt(),
        })
    }

    /// These are the endpoints from now on; see [`Balancer::update`].
    ///
    /// One that stays keeps its connections. The idle connections of one that is gone are closed before this
    /// returns, its waiting calls go elsewhere, and calls that have a connection keep it to their end.
    pub fn update(&self, endpoints: impl IntoIterator<Item = Endpoint<C::Target>>) -> Change {
        // The caller's code runs before any lock is taken.
        let endpoints: Vec<_> = endpoints.into_iter().collect();
        let ids: HashSet<Box<str>> = endpoints
            .iter()
            .map(|endpoint| endpoint.id().into())
            .collect();
        let mut shelves = self.0.shelves();
        let mut new = Vec::new();
        let change = self.0.balancer.update_with(endpoints, |id, target| {
            let shelf = Arc::new(Shelf::new(&self.0.shared, target));
            new.push((id.into(), Arc::clone(&shelf)));
            shelf
        });
        let gone: Vec<_> = shelves.extract_if(|id, _| !ids.contains(id)).collect();
        shelves.extend(new);
        drop(shelves);
        for (_, shelf) in &gone {
            shelf.close();
        }
        change
    }

    /// A check says this about an endpoint; see [`Balancer::check`].
    #[expect(
        clippy::must_use_candidate,
        reason = "an endpoint may go while it is checked"
    )]
    pub fn check(&self, id: &str, health: EndpointHealth) -> bool {
        self.0.balancer.check(id, health)
    }

    /// Sends nothing to an endpoint any more; see [`Balancer::eject`].
    #[expect(clippy::must_use_candidate, reason = "the endpoint may just have gone")]
    pub fn eject(&self, id: &str, mandate: Mandate) -> bool {
        self.0.balancer.eject(id, mandate)
    }

    /// Sends no new calls to an endpoint; see [`Balancer::drain`].
    #[expect(clippy::must_use_candidate, reason = "the endpoint may just have gone")]
    pub fn drain(&self, id: &str, mandate: Mandate) -> bool {
        self.0.balancer.drain(id, mandate)
    }

    /// Takes an endpoint back; see [`Balancer::restore`].
    #[expect(clippy::must_use_candidate, reason = "the endpoint may just have gone")]
    pub fn restore(&self, id: &str, mandate: Mandate) -> bool {
        self.0.balancer.restore(id, mandate)
    }

    /// Why a call like this would go where it would go; see [`Balancer::explain`].
    #[must_use]
    pub fn explain(&self, call: &Call) -> Explanation {
        self.0.balancer.explain(call)
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> Arc<PoolConfig> {
        self.0.shared.rules.get()
    }

    /// Goes by this from now on. Connections and endpoints keep their state; where there are too many
    /// connections now, idle ones are closed at once and others as calls bring them back. The version that
    /// is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: PoolConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How many connections lie idle.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.0.sum(|shelf| shelf.stock().idle())
    }

    /// How many connections calls have, or are being made for them, to endpoints of the set.
    #[must_use]
    pub fn leased(&self) -> usize {
        self.0.sum(|shelf| shelf.stock().taken())
    }

    /// How many calls wait for a connection.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.sum(|shelf| shelf.stock().waiting())
    }

    /// How many calls are in flight to endpoints of the set: those that have a connection, and those that
    /// wait for one.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.balancer.in_flight()
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.balancer.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it looks like: every endpoint with its connections.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        self.0.snapshot_value()
    }

    /// Closes connections that have lain too long, and looks after the endpoints, until it is dropped.
    ///
    /// Without it, calls do that on their way: where none come, connections lie longer. It does not keep the
    /// pool alive, and is done when that is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future stops it between two steps.
    pub fn keep(&self) -> impl Future<Output = ()> + Send + use<C> {
        let pool = Arc::downgrade(&self.0);
        let clock = self.0.shared.home.around.clock().clone();
        let endpoints = self.0.balancer.keep();
        let connections = async move {
            loop {
                let Some(rest) = pool.upgrade().map(|pool| pool.sweep()) else {
                    return;
                };
                clock.sleep(rest).await;
            }
        };
        async move {
            let (mut endpoints, mut connections) = (pin!(endpoints), pin!(connections));
            let mut kept = false;
            poll_fn(|context| {
                kept = kept || endpoints.as_mut().poll(context).is_ready();
                match connections.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(()),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
        }
    }
}

impl<C: Connect> Inner<C> {
    fn shelves(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Shelf<C>>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sum(&self, count: impl Fn(&Shelf<C>) -> usize) -> usize {
        self.shelves().values().map(|shelf| count(shelf)).sum()
    }

    /// Closes what has lain too long. When it is worth while to look again.
    fn sweep(&self) -> Duration {
        let config = self.shared.rules.get();
        let now = self.shared.now();
        let all: Vec<_> = self.shelves().values().map(Arc::clone).collect();
        for shelf in all {
            shelf.expire(now, &config);
        }
        let least = config
            .lifetime()
            .map_or(config.idle(), |lifetime| lifetime.min(config.idle()));
        (least / 4).clamp(Duration::from_millis(10), Duration::from_secs(10))
    }

    fn reconfigure(&self, config: PoolConfig) -> Result<u64, ConfigError> {
        let balance = config.balance().clone();
        let size = config.size();
        let shelves = self.shelves();
        let home = &self.shared.home;
        let version = self
            .shared
            .rules
            .replace(home, &ANNOUNCED, config, |_| ())?;
        // Checked with the rest, so that it is not refused now.
        if *self.balancer.config() != balance {
            self.balancer.reconfigure(balance)?;
        }
        let all: Vec<_> = shelves.values().map(Arc::clone).collect();
        let leaving: Vec<_> = all.iter().map(|shelf| shelf.resize(size)).collect();
        drop(shelves);
        for (shelf, leaving) in all.iter().zip(leaving) {
            shelf.bid_farewell(leaving);
        }
        Ok(version)
    }
}

impl<C: Connect> Drop for Inner<C> {
    fn drop(&mut self) {
        let shelves = self
            .shelves
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // Calls that still have a connection keep their endpoint alive.
        for shelf in shelves.values() {
            shelf.close();
        }
    }
}

impl<C: Connect> Clone for BalancedPool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connect> fmt::Debug for BalancedPool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalancedPool")
            .field("name", &self.name())
            .field("endpoints", &self.len())
            .field("leased", &self.leased())
            .finish_non_exhaustive()
    }
}
