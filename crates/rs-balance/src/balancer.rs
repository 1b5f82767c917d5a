use std::{fmt, sync::Arc as Std};

use rs_core::{
    Call, Classify, Clock, ConfigError, Failure, Guard, Mandate, Name, Rejection, Value,
};
use rs_metrics::{
    Surroundings,
    pattern::{Home, Rules},
};

use crate::{
    BalancerConfig, Change, Endpoint, EndpointHealth, Explanation, Lease, Through, control,
    inner::{Inner, MakeGuard, Wish},
    keeper,
};

/// Endpoints that do the same, and which of them the next call goes to.
///
/// It is a handle: clones are the same balancer. `T` is what it takes to call an endpoint, an address or a
/// client; `G` is the [`Guard`] that each endpoint has of its own, none unless told.
///
/// ```
/// use rs_balance::{Balancer, BalancerConfig, Endpoint, Strategy};
/// use rs_core::{Call, Outcome};
///
/// let search = Balancer::new("search", BalancerConfig::new(Strategy::RoundRobin))?;
/// search.update(["10.0.0.7:80", "10.0.0.8:80"].map(|address| Endpoint::new(address, address)));
///
/// let call = Call::new("query");
/// let first = search.try_pick(&call)?;
/// let second = search.try_pick(&call)?;
/// assert_ne!(*first, *second);
/// first.finish(Outcome::Success);
/// # drop(second);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Balancer<T, G = ()>(Std<Inner<T, G>>);

impl<T: Send + Sync + 'static> Balancer<T> {
    /// A balancer of this name, without endpoints.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BalancerConfig::check`].
    pub fn new(name: impl Into<Name>, config: BalancerConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BalancerConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: BalancerConfig,
    ) -> Result<Self, ConfigError> {
        Self::guarded_within(around, name, config, |_, _| ())
    }
}

impl<T, G> Balancer<T, G>
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    /// A balancer whose endpoints each have a guard of their own, such as a breaker: what it refuses goes to
    /// the next endpoint within the same pick.
    ///
    /// The guard is made once for each endpoint, from its id and value, and stays as long as the endpoint.
    ///
    /// ```
    /// use rs_balance::{Balancer, BalancerConfig, Endpoint, Strategy};
    /// # use rs_core::{Call, Ending, Guard, Name, Reason, Rejection};
    /// # struct Breaker(bool);
    /// # static OPEN: Reason = Reason::new("breaker", "open");
    /// # impl Guard for Breaker {
    /// #     type Ticket = ();
    /// #     fn try_enter(&self, _: &Call) -> Result<(), Rejection> { if self.0 { Ok(()) } else { Err(OPEN.reject(Name::of("a"))) } }
    /// #     fn leave(&self, (): (), _: Ending) {}
    /// # }
    /// # fn breaker(id: &str) -> Breaker { Breaker(id != "a") }
    /// let config = BalancerConfig::new(Strategy::RoundRobin);
    /// let search = Balancer::guarded("search", config, |id, _client| breaker(id))?;
    /// search.update(["a", "b"].map(|id| Endpoint::new(id, ())));
    /// // The breaker of `a` is open.
    /// for _ in 0..10 {
    ///     assert_eq!(search.try_pick(&Call::new("query"))?.id(), "b");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BalancerConfig::check`].
    pub fn guarded(
        name: impl Into<Name>,
        config: BalancerConfig,
        guard: impl Fn(&str, &T) -> G + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        Self::guarded_within(&Surroundings::of_process(), name, config, guard)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BalancerConfig::check`].
    pub fn guarded_within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: BalancerConfig,
        guard: impl Fn(&str, &T) -> G + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let guard: MakeGuard<T, G> = Box::new(guard);
        let inner = Std::new(Inner::new(home, Rules::new(config)?, guard));
        control::list(&inner);
        Ok(Self(inner))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.0.home.around.clock()
    }

    /// An endpoint for this call, if there is one.
    ///
    /// One that the call has tried before is avoided while another is there: the balancer remembers what
    /// calls tried lately, by their ids.
    #[inline]
    #[must_use]
    pub fn pick(&self, call: &Call) -> Option<Lease<T, G>> {
        self.0.pick(call)
    }

    /// An endpoint for this call, or why there is none; [`NoEndpoint::of`](crate::NoEndpoint::of) has the
    /// reason as a value.
    ///
    /// # Errors
    /// The rejection that explains why not: the balancer's own, or that of the last guard that was asked.
    #[inline]
    pub fn try_pick(&self, call: &Call) -> Result<Lease<T, G>, Rejection> {
        self.0.try_pick(call)
    }

    /// An endpoint for this call that is none of those of which this is true.
    ///
    /// ```
    /// use rs_balance::{Balancer, BalancerConfig, Endpoint, NoEndpoint};
    /// use rs_core::Call;
    ///
    /// let search = Balancer::new("search", BalancerConfig::default())?;
    /// search.update(["a", "b"].map(|id| Endpoint::new(id, ())));
    /// let call = Call::new("query");
    /// assert_eq!(search.try_pick_but(&call, |id, ()| id == "a")?.id(), "b");
    /// let refused = search.try_pick_but(&call, |_, ()| true).unwrap_err();
    /// assert_eq!(NoEndpoint::of(&refused), Some(NoEndpoint::Excluded));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The rejection that explains why not.
    pub fn try_pick_but(
        &self,
        call: &Call,
        is_excluded: impl Fn(&str, &T) -> bool,
    ) -> Result<Lease<T, G>, Rejection> {
        let wish = Wish {
            call,
            but: Some(&is_excluded),
        };
        self.0.pick_elsewhere(&wish, None, &())
    }

    /// An endpoint for this call, and why this one and no other.
    pub fn pick_explained(&self, call: &Call) -> (Result<Lease<T, G>, Rejection>, Explanation) {
        self.0.pick_explained(call)
    }

    /// Why a call like this would go where it would go. It is a pick whose lease is dropped at once and not
    /// counted as a call.
    #[must_use]
    pub fn explain(&self, call: &Call) -> Explanation {
        let (lease, explanation) = self.0.pick_explained(call);
        if let Ok(mut lease) = lease {
            lease.answered(rs_core::Outcome::Ignored);
        }
        explanation
    }

    /// Calls an operation at an endpoint; every `Err` counts as a failure of the endpoint. See
    /// [`Balancer::through`] for operations that are retried or judged in another way.
    ///
    /// # Errors
    /// [`Failure::Rejected`] when there is no endpoint, else the operation's own error.
    ///
    /// # Cancel safety
    /// Dropping the future counts as a cancelled call.
    pub async fn call<R, E>(
        &self,
        call: impl Into<Call>,
        operation: impl AsyncFnOnce(&T, Call) -> Result<R, E>,
    ) -> Result<R, Failure<E>> {
        let call = call.into();
        let lease = self.try_pick(&call)?;
        let result = operation(&lease, call).await;
        lease.finish(rs_core::ByResult.classify_for(&call, result.as_ref()));
        result.map_err(|error| Failure::Operation {
            error,
            attempts: call.attempt(),
        })
    }

    /// An operation that goes to an endpoint, another one at each attempt: for retries, hedges and whole
    /// pipelines around a balancer.
    ///
    /// The closure gets a clone of what it takes to call the endpoint, as most clients are cheap to clone.
    ///
    /// ```
    /// use rs_balance::{Balancer, BalancerConfig, Endpoint};
    /// use rs_core::{Call, Operation};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
    /// let search = Balancer::new("search", BalancerConfig::default())?;
    /// search.update([Endpoint::new("a", String::from("client a"))]);
    ///
    /// let query = search.through(async |client: String, _call: Call| Ok::<_, std::io::Error>(client.len()));
    /// // `retry.run(&call, &query)`, or without a policy:
    /// assert_eq!(query.attempt(&Call::new("query")).await.unwrap(), 8);
    /// # Ok(()) }
    /// ```
    pub fn through<F>(&self, operation: F) -> Through<'_, T, G, F>
    where
        T: Clone,
    {
        Through::new(self, operation)
    }

    /// These are the endpoints from now on.
    ///
    /// The set is swapped whole: a pick that begins after this has returned finds none that is gone, and
    /// calls to those that are gone may end. An endpoint whose id was there before is the same one: it keeps
    /// its value, its calls in flight, its latency average, its guard, its ejection and its slow start; its
    /// weight, zone, priority and health are those of the update.
    ///
    /// Of several with the same id the first counts. An empty set is taken at its word: whether a registry
    /// that says so is to be believed is the caller's question.
    pub fn update(&self, endpoints: impl IntoIterator<Item = Endpoint<T>>) -> Change {
        self.0.update(endpoints, |_, value| value)
    }

    /// As [`Balancer::update`]; what it takes to call an endpoint is made only for those that are new.
    pub fn update_with<D>(
        &self,
        endpoints: impl IntoIterator<Item = Endpoint<D>>,
        make: impl FnMut(&str, D) -> T,
    ) -> Change {
        self.0.update(endpoints, make)
    }

    /// A check says this about an endpoint; `false` if there is none of this id.
    ///
    /// It holds beside what the registry says in updates, until the next check: the worse of both counts.
    #[expect(
        clippy::must_use_candidate,
        reason = "an endpoint may go while it is checked"
    )]
    pub fn check(&self, id: &str, health: EndpointHealth) -> bool {
        self.0.checked([(id, health)]) > 0
    }

    /// Checks say this about endpoints, all at once. How many of them there are.
    pub fn check_all<'a>(
        &self,
        checked: impl IntoIterator<Item = (&'a str, EndpointHealth)>,
    ) -> usize {
        self.0.checked(checked)
    }

    /// Sends nothing to an endpoint any more, not even in a panic, until it is restored or the mandate
    /// expires; `false` if there is none of this id.
    #[expect(clippy::must_use_candidate, reason = "the endpoint may just have gone")]
    pub fn eject(&self, id: &str, mandate: Mandate) -> bool {
        self.0.order(id, false, mandate)
    }

    /// Sends no new calls to an endpoint, until it is restored or the mandate expires; `false` if there is
    /// none of this id.
    #[expect(clippy::must_use_candidate, reason = "the endpoint may just have gone")]
    pub fn drain(&self, id: &str, mandate: Mandate) -> bool {
        self.0.order(id, true, mandate)
    }

    /// Takes an endpoint back, whether it was ejected by order or for how its calls ended; `false` if there
    /// is none of this id, or if it was not out.
    #[expect(clippy::must_use_candidate, reason = "the endpoint may just have gone")]
    pub fn restore(&self, id: &str, mandate: Mandate) -> bool {
        self.0.restore(id, mandate)
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> Std<BalancerConfig> {
        self.0.rules.get()
    }

    /// Goes by this from now on; endpoints keep what is known about them, and calls go on. The version that
    /// is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: BalancerConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How many calls are in flight to the endpoints of the set.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight()
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.roster().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often the set in force was put together anew.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.view().generation
    }

    /// Whether no health is believed, because too few endpoints look well.
    #[must_use]
    pub fn is_panicking(&self) -> bool {
        self.0.view().panicking
    }

    /// What it looks like: every endpoint with its state.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        self.0.snapshot_value()
    }

    /// Looks after the endpoints until it is dropped: ends ejections and orders, compares endpoints, takes
    /// the steps of slow starts.
    ///
    /// A balancer works without it; picks then look at the clock as long as something is to come. It does
    /// not keep the balancer alive, and is done when that is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future stops it between two steps; picks then look after the endpoints themselves.
    pub fn keep(&self) -> impl Future<Output = ()> + Send + use<T, G> {
        keeper::keep(Std::downgrade(&self.0), Std::clone(&self.0.common))
    }
}

impl<T, G> Clone for Balancer<T, G> {
    fn clone(&self) -> Self {
        Self(Std::clone(&self.0))
    }
}

impl<T, G> fmt::Debug for Balancer<T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balancer")
            .field("name", &self.0.home.name)
            .field("strategy", &self.0.rules.get().strategy().name())
            .finish_non_exhaustive()
    }
}
