mod config;
mod flight;
mod run;
mod table;

pub use config::CoalesceConfig;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rs_core::{
    Call, ConfigError, Enforcement, Failure, Inspect, Label, Name, Operation, Policy, Value,
    label_set,
};
use rs_metrics::{
    Counter, Family, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::{run::Coalesced, table::Table};
use crate::metrics;

label_set! {
    /// What part a call had in the run of its key.
    pub enum CoalesceRole: "role" {
        /// It has no key, and ran by itself.
        Alone = "alone",
        /// It ran, for all that came while it did.
        Leader = "leader",
        /// It got the answer of another's run.
        Follower = "follower",
        /// It waited, and ran when the one that ran before went away.
        Heir = "heir",
        /// It waited until it had no time left, or its caller went away.
        Left = "left",
        /// It waited as long as it may, then ran by itself.
        Impatient = "impatient",
        /// There was no room, so it ran by itself.
        Crowded = "crowded",
        /// It could have waited for the run of another, but for dark mode.
        Dark = "dark",
    }
}

/// Lets calls of the same name and [key](Call::with_key) that come while one of them runs share its answer.
///
/// The first one leads: it runs the operation. The others follow: they sleep until there is an answer and get
/// a copy of it, be it a success or a failure. If the leader is dropped, or has no more time of its own, the
/// follower that has waited longest leads, with its own operation. Calls without a key run as they are.
///
/// A call that comes after there is an answer starts a run of its own. One that comes before may get an
/// answer that was on its way already: after a write, read without a key, or with one that the write changes.
/// Calls of one key must be the same call: where the answer belongs to somebody, make him part of the key.
/// Keys are compared by their 64-bit hash ([`RoutingKey`](rs_core::RoutingKey)), so this is not for secrets of
/// strangers who choose their keys.
///
/// Other policies do not know the types of what they guard; this one keeps answers for those who wait, so it
/// is made for one type of answer. `E` must be [`Clone`] as well: wrap an error that is not in an `Arc`.
///
/// ```
/// use rs_core::{Call, Policy};
/// use rs_policies::{Coalesce, CoalesceConfig};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
/// let prices = Coalesce::<u32, String>::new("prices", CoalesceConfig::default())?;
/// let runs = AtomicU32::new(0);
/// let price = || prices.call(Call::new("price").with_key("sku-17"), async |_call| {
///     runs.fetch_add(1, Relaxed);
///     tokio::task::yield_now().await; // it takes a while
///     Ok(250)
/// });
/// assert_eq!(tokio::join!(price(), price(), price()), (Ok(250), Ok(250), Ok(250)));
/// assert_eq!(runs.load(Relaxed), 1);
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// A call that is dropped while it runs hands over to one that waits, after its operation was dropped. One
/// that is dropped while it waits leaves, and hands on the lead if it was just given it.
pub struct Coalesce<T, E>(Arc<Inner<T, E>>);

pub(crate) struct Inner<T, E> {
    home: Home,
    rules: Rules<CoalesceConfig>,
    table: Table<Result<T, Failure<E>>>,
    /// Whether some calls only could share a run.
    is_lenient: AtomicBool,
    roles: Family<Counter, CoalesceRole>,
    observed: OnceLock<[Observed; 2]>,
}

static ANNOUNCED: Announcements = Announcements::of("coalesce");

impl<T, E> Coalesce<T, E>
where
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// One of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`CoalesceConfig::check`].
    pub fn new(name: impl Into<Name>, config: CoalesceConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`CoalesceConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: CoalesceConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let inner = Arc::new(Inner {
            rules: Rules::new(config)?,
            table: Table::new(),
            is_lenient: AtomicBool::new(false),
            roles: metrics::COALESCE_CALLS.bind_in(&home.metrics(), home.name),
            observed: OnceLock::new(),
            home,
        });
        inner.publish(&config);
        inner.observed.get_or_init(|| Inner::watch(&inner));
        inner.home.register(&inner);
        Ok(Self(inner))
    }

    /// Goes by this from now on. Calls that wait stay where they are. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: CoalesceConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }
}

impl<T, E> Coalesce<T, E> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> CoalesceConfig {
        *self.0.rules.get()
    }

    /// How many keys run.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.0.table.running()
    }

    /// How many calls wait for the run of another.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.0.table.waiting()
    }

    /// How many calls had this part.
    #[must_use]
    pub fn calls(&self, role: CoalesceRole) -> u64 {
        self.0.roles[role].value()
    }
}

impl<T, E> Inner<T, E> {
    fn reconfigure(&self, config: CoalesceConfig) -> Result<u64, ConfigError> {
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                self.publish(config);
            })
    }

    fn publish(&self, config: &CoalesceConfig) {
        self.table.resize(config);
        let is_lenient = config.enforced() != Enforcement::Full;
        self.is_lenient.store(is_lenient, Ordering::Relaxed);
    }

    #[inline]
    fn may_follow(&self, call: &Call) -> bool {
        !self.is_lenient.load(Ordering::Relaxed) || self.rules.get().enforced().covers(call)
    }
}

impl<T, E> Policy<T, E> for Coalesce<T, E>
where
    T: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    #[inline]
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        let at_once = move || operation.attempt(call);
        let later = move |call: Call| async move { operation.attempt(&call).await };
        Coalesced::new(&self.0, call, at_once, later)
    }
}

impl<T, E> Inner<T, E>
where
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> [Observed; 2] {
        let home = &of.home;
        [
            home.observe(&metrics::COALESCE_RUNNING, of, |of, ()| {
                of.table.running().into()
            }),
            home.observe(&metrics::COALESCE_WAITING, of, |of, ()| {
                of.table.waiting().into()
            }),
        ]
    }
}

impl<T, E> Inspect for Inner<T, E>
where
    T: Send + Sync,
    E: Send + Sync,
{
    rs_metrics::inspect_rules!("coalesce");

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        let calls = CoalesceRole::ALL.iter();
        let calls = calls.map(|role| (role.as_str(), self.roles[*role].value().into()));
        Value::map([
            ("running", Value::from(self.table.running())),
            ("waiting", self.table.waiting().into()),
            ("keys", rules.keys().into()),
            ("followers", rules.followers().into()),
            ("longest_wait", rules.longest_wait().into()),
            ("calls", Value::map(calls)),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl<T, E> Clone for Coalesce<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> fmt::Debug for Coalesce<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalesce")
            .field("name", &self.name())
            .field("running", &self.running())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
