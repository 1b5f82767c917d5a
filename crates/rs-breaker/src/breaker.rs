use std::{fmt, sync::Arc};

use rs_core::{Call, ConfigError, Ending, Guard, Mandate, Name, Outline, Permit, Rejection};
use rs_metrics::Surroundings;

use crate::{
    BreakerConfig, BreakerRegistry, BreakerSnapshot, BreakerState, Forced, Ticket, Trip,
    shared::Shared, surroundings::Around,
};

/// A circuit breaker: lets calls through while the dependency is well, refuses them at once while it is
/// not, and finds out with few calls when it is well again.
///
/// It is a handle: clones are the same breaker. It guards calls with results of any type, and it is a
/// [`Guard`], so it stacks with every other policy.
///
/// ```
/// use rs_breaker::{Breaker, BreakerConfig};
/// use rs_core::{Failure, Policy};
/// # async fn charge() -> Result<u64, std::io::Error> { Ok(17) }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
/// let payments = Breaker::new("payments", BreakerConfig::default())?;
///
/// match payments.call("charge", async |_call| charge().await).await {
///     Ok(receipt) => assert_eq!(receipt, 17),
///     Err(Failure::Rejected(why)) => println!("{why}"),
///     Err(other) => println!("it failed: {other}"),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Breaker(Arc<Shared>);

impl Breaker {
    /// A breaker of this name in the [`Surroundings`] of the process.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BreakerConfig::check`].
    pub fn new(name: impl Into<Name>, config: BreakerConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// A breaker of this name in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BreakerConfig::check`].
    pub fn within(
        surroundings: &Surroundings,
        name: impl Into<Name>,
        config: BreakerConfig,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let shared = Shared::new(Around::of(surroundings), name.into(), Arc::new(config));
        shared.list();
        Ok(Self(shared))
    }

    /// The breaker of this name in the [`BreakerRegistry`] of the process, made by its rules when it is
    /// first asked for.
    #[must_use]
    pub fn named(name: &str) -> Self {
        BreakerRegistry::global().get(name)
    }

    pub(crate) const fn of(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    #[cfg(any(feature = "serde", feature = "tower"))]
    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    #[cfg(feature = "cache")]
    pub(crate) fn clock(&self) -> &rs_core::Clock {
        self.0.clock()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name
    }

    /// What it is now.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.state()
    }

    /// Everything that it knows about itself.
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        BreakerSnapshot::of(&self.0)
    }

    /// The rules that it goes by.
    #[must_use]
    pub fn config(&self) -> Arc<BreakerConfig> {
        let now = self.0.clock().now();
        self.0.act(now, |machine| Arc::clone(machine.config()))
    }

    /// A permit that holds the breaker and not a borrow of it, for a call that outlives this function.
    ///
    /// # Errors
    /// The rejection that explains why not.
    pub fn try_admit_owned(&self, call: &Call) -> Result<Permit<Self>, Rejection> {
        let ticket = self.try_enter(call)?;
        Ok(Permit::new(self.clone(), ticket))
    }

    /// Goes by other rules from now on. It keeps its state, the calls in flight, and what it counted as
    /// far as it fits the new windows; rules over time begin with the next call. The version of the
    /// configuration, which grows by one each time.
    ///
    /// # Errors
    /// When the configuration is wrong. Nothing has changed then.
    pub fn reconfigure(&self, config: BreakerConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(Arc::new(config), None)
    }

    /// Refuses all calls, until [`Breaker::release`] or until the mandate expires.
    pub fn force_open(&self, mandate: Mandate) {
        self.force(Forced::Open, mandate);
    }

    /// Lets all calls through and never opens, until [`Breaker::release`] or until the mandate expires.
    pub fn force_closed(&self, mandate: Mandate) {
        self.force(Forced::Closed, mandate);
    }

    /// Refuses all calls for maintenance, until [`Breaker::release`] or until the mandate expires.
    pub fn isolate(&self, mandate: Mandate) {
        self.force(Forced::Isolated, mandate);
    }

    /// Is what it is told to be, until [`Breaker::release`] or until the mandate expires.
    ///
    /// An order replaces the one before. It holds in dark mode too: an order is not a guess. In a fleet
    /// it holds for all replicas.
    pub fn force(&self, forced: Forced, mandate: Mandate) {
        self.0.force(forced, Arc::new(mandate));
    }

    /// Ends the order that it is under; `false` if there is none. After an order to refuse it lets probes
    /// through, after an order to let through it is closed, with what it counted meanwhile.
    #[expect(
        clippy::must_use_candidate,
        reason = "what matters is that no order holds afterwards"
    )]
    pub fn release(&self, mandate: Mandate) -> bool {
        self.0.release(Arc::new(mandate))
    }

    /// Begins anew: closed, with nothing counted in its windows. Totals stay.
    pub fn reset(&self, mandate: Mandate) {
        self.0.reset(Arc::new(mandate));
    }
}

impl Guard for Breaker {
    type Ticket = Ticket;

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<Ticket, Rejection> {
        self.0.enter(call, |ticket| ticket)
    }

    #[inline]
    fn enter_at_once(&self, call: &Call) -> Option<Result<Ticket, Rejection>> {
        Some(self.try_enter(call))
    }

    // As the default does it, but a rejection is not moved on the way.
    #[inline]
    fn try_admit(&self, call: &Call) -> Result<Permit<&Self>, Rejection> {
        self.0.enter(call, |ticket| Permit::new(self, ticket))
    }

    #[inline]
    fn leave(&self, ticket: Ticket, ending: Ending) {
        self.0.leave(ticket, ending);
    }

    fn outline(&self) -> Outline {
        let config = self.config();
        let outline = Outline::of("breaker");
        match config.trip.iter().map(Trip::least_bad_calls).min() {
            Some(calls) => outline
                .saying(format!("opens after {calls} bad calls at the earliest"))
                .refusing_after(calls),
            None => outline,
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.name())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
