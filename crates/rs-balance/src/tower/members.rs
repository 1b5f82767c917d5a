use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use rs_core::{Clock, ConfigError, Name, Value};
use rs_metrics::Surroundings;
use tokio::sync::Notify;
use tower::discover::{Change as News, Discover};

use super::BalanceService;
use crate::{Balancer, BalancerConfig, Change, Endpoint, EndpointHealth};

/// The service of an endpoint, from which handles take clones.
pub(crate) struct Member<S> {
    prototype: Mutex<S>,
    is_gone: AtomicBool,
}

impl<S> Member<S> {
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }
}

impl<S: Clone> Member<S> {
    pub(crate) fn take_clone(&self) -> S {
        self.prototype
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Services that do the same, each an endpoint of a balancer.
///
/// ```
/// use rs_balance::{BalancerConfig, Endpoint, tower::Services};
/// use tower::{Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let search = Services::new("search", BalancerConfig::default())?;
/// search.update(["a", "b"].map(|id| {
///     Endpoint::new(id, service_fn(move |query: &'static str| async move {
///         Ok::<_, std::io::Error>(format!("{query} at {id}"))
///     }))
/// }));
/// let mut service = search.service();
/// let answer = service.ready().await?.call("rust").await?;
/// assert!(answer.starts_with("rust at "));
/// # Ok(()) }
/// ```
pub struct Services<S>(Arc<Inner<S>>);

struct Inner<S> {
    balancer: Balancer<Arc<Member<S>>>,
    /// Those of the set, by id. Held by whoever changes which there are.
    members: Mutex<HashMap<Box<str>, Arc<Member<S>>>>,
    changed: Arc<Notify>,
    clock: Clock,
}

impl<S: Send + 'static> Services<S> {
    /// No services yet, under this name.
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
        let balancer = Balancer::within(around, name, config)?;
        Ok(Self(Arc::new(Inner {
            balancer,
            members: Mutex::default(),
            changed: Arc::default(),
            clock: around.clock().clone(),
        })))
    }

    /// A service that sends each request to one of them.
    #[must_use]
    pub fn service(&self) -> BalanceService<S> {
        BalanceService::over(self)
    }

    /// These are the endpoints from now on; see [`Balancer::update`]. One that stays keeps its service.
    pub fn update(&self, endpoints: impl IntoIterator<Item = Endpoint<S>>) -> Change {
        let endpoints = endpoints.into_iter();
        self.put(endpoints.map(|endpoint| endpoint.map(Some)).collect())
    }

    /// `None` for a service that is there.
    fn put(&self, endpoints: Vec<Endpoint<Option<S>>>) -> Change {
        let known = self.members();
        // What is said to be there and is not cannot be made.
        let endpoints: Vec<_> = endpoints
            .into_iter()
            .filter(|endpoint| endpoint.value().is_some() || known.contains_key(endpoint.id()))
            .collect();
        let ids: HashSet<Box<str>> = endpoints
            .iter()
            .map(|endpoint| endpoint.id().into())
            .collect();
        let mut members = known;
        let mut new = Vec::new();
        let change = self.0.balancer.update_with(endpoints, |id, service| {
            match (service, members.get(id)) {
                (Some(service), _) => {
                    let member = Arc::new(Member {
                        prototype: Mutex::new(service),
                        is_gone: AtomicBool::new(false),
                    });
                    new.push((id.into(), Arc::clone(&member)));
                    member
                }
                (None, Some(member)) => Arc::clone(member),
                (None, None) => unreachable!("those were filtered out"),
            }
        });
        let gone: Vec<_> = members.extract_if(|id, _| !ids.contains(id)).collect();
        members.extend(new);
        drop(members);
        for (_, member) in &gone {
            member.is_gone.store(true, Ordering::Release);
        }
        self.0.changed.notify_waiters();
        change
    }

    /// Follows what a [`Discover`] says, until that ends or fails, or this is dropped. The endpoints stay.
    ///
    /// Somebody has to run it, in a task as a rule. Each key is the id of an endpoint; a service that comes
    /// under a key that is there replaces the one before.
    ///
    /// # Errors
    /// What the discovery fails with.
    ///
    /// # Cancel safety
    /// Dropping the future loses no change that it has taken.
    pub async fn follow<D>(&self, discover: D) -> Result<(), D::Error>
    where
        D: Discover<Service = S>,
        D::Key: ToString,
    {
        let mut discover = pin!(discover);
        let mut news = Vec::new();
        poll_fn(|context| {
            loop {
                match discover.as_mut().poll_discover(context) {
                    Poll::Ready(Some(Ok(change))) => news.push(change),
                    Poll::Ready(ended) => {
                        self.hear(std::mem::take(&mut news));
                        return Poll::Ready(ended.map_or(Ok(()), |failed| failed.map(drop)));
                    }
                    Poll::Pending => {
                        self.hear(std::mem::take(&mut news));
                        return Poll::Pending;
                    }
                }
            }
        })
        .await
    }

    /// Puts all that has come in force at once.
    fn hear<K: ToString>(&self, news: Vec<News<K, S>>) {
        if news.is_empty() {
            return;
        }
        let before: HashSet<Box<str>> = self.members().keys().cloned().collect();
        let mut stays = before.clone();
        let mut comes: HashMap<Box<str>, S> = HashMap::new();
        for change in news {
            match change {
                News::Insert(key, service) => {
                    let id: Box<str> = key.to_string().into();
                    stays.remove(&id);
                    comes.insert(id, service);
                }
                News::Remove(key) => {
                    let id: Box<str> = key.to_string().into();
                    stays.remove(&id);
                    comes.remove(&id);
                }
            }
        }
        let old = |id: &str| Endpoint::new(id, None);
        // An endpoint that stays keeps its service, so one with another service goes first.
        if comes.keys().any(|id| before.contains(id)) {
            self.put(stays.iter().map(|id| old(id)).collect());
        }
        let new = comes
            .into_iter()
            .map(|(id, service)| Endpoint::new(id, Some(service)));
        self.put(stays.iter().map(|id| old(id)).chain(new).collect());
    }

    /// What chooses among them. Its endpoints are changed by `update` and `follow` alone.
    pub(crate) fn balancer(&self) -> &Balancer<Arc<Member<S>>> {
        &self.0.balancer
    }

    pub(crate) fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    pub(crate) fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.0.changed)
    }

    fn members(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Member<S>>>> {
        self.0
            .members
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many calls are in flight to endpoints of the set.
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

    /// A check says this about an endpoint; see [`Balancer::check`].
    #[expect(
        clippy::must_use_candidate,
        reason = "an endpoint may go while it is checked"
    )]
    pub fn check(&self, id: &str, health: EndpointHealth) -> bool {
        self.0.balancer.check(id, health)
    }

    /// What it looks like: every endpoint with its state.
    #[must_use]
    pub fn snapshot(&self) -> Value {
        self.0.balancer.snapshot()
    }

    /// Goes by this from now on; see [`Balancer::reconfigure`].
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: BalancerConfig) -> Result<u64, ConfigError> {
        self.0.balancer.reconfigure(config)
    }
}

impl<S> Clone for Services<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Services<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services")
            .field("balancer", &self.0.balancer)
            .finish_non_exhaustive()
    }
}
