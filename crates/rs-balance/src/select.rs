use std::{
    borrow::Borrow,
    cell::Cell,
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    Endpoint, EndpointHealth, Strategy,
    dice::Dice,
    endpoint::mend,
    ewma::Ewma,
    strategy::{Choosing, Field, Table},
};

/// Chooses from a list that the caller brings with each call, for who has no use for a [`Balancer`].
///
/// It takes as long as the list is, and knows nothing from one call to the next but whose turn it is: one
/// counter for all lists of the process. What there is to know comes with the candidates.
///
/// ```
/// use rs_balance::{LoadBalancer, Strategy};
/// use std::collections::HashMap;
///
/// let candidates = ["10.0.0.7:80", "10.0.0.8:80", "10.0.0.9:80"];
/// let strategy: Strategy = "round_robin".parse()?;
/// let first = LoadBalancer::select(&candidates, &strategy);
/// let second = LoadBalancer::select(&candidates, &strategy);
/// assert_ne!(first, second);
///
/// let connections = HashMap::from([("10.0.0.7:80", 3), ("10.0.0.8:80", 1), ("10.0.0.9:80", 2)]);
/// let least = LoadBalancer::with_connections(&candidates, &connections, &Strategy::LeastConnections);
/// assert_eq!(least, Some(&"10.0.0.8:80"));
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
///
/// [`Balancer`]: crate::Balancer
#[derive(Debug, Clone, Copy)]
pub struct LoadBalancer;

/// Something that [`LoadBalancer`] can choose. Text is one; so is an [`Endpoint`].
pub trait Candidate {
    /// Which one it is.
    fn id(&self) -> &str;

    /// How much it can carry; what is no weight counts as 1.
    fn weight(&self) -> f64 {
        1.0
    }

    /// Whether it may be chosen. If none may, there is none.
    fn is_up(&self) -> bool {
        true
    }

    /// How long its calls took lately, if that is known.
    fn latency(&self) -> Option<Duration> {
        None
    }

    /// It is chosen when none of a lower number is up, by [`Strategy::PriorityFailover`].
    fn priority(&self) -> u16 {
        0
    }
}

impl Candidate for str {
    fn id(&self) -> &str {
        self
    }
}

impl Candidate for String {
    fn id(&self) -> &str {
        self
    }
}

impl<C: Candidate + ?Sized> Candidate for &C {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn weight(&self) -> f64 {
        (**self).weight()
    }

    fn is_up(&self) -> bool {
        (**self).is_up()
    }

    fn latency(&self) -> Option<Duration> {
        (**self).latency()
    }

    fn priority(&self) -> u16 {
        (**self).priority()
    }
}

impl<T> Candidate for Endpoint<T> {
    fn id(&self) -> &str {
        Self::id(self)
    }

    fn weight(&self) -> f64 {
        Self::weight(self)
    }

    fn is_up(&self) -> bool {
        self.health() == EndpointHealth::Healthy
    }

    fn priority(&self) -> u16 {
        Self::priority(self)
    }
}

/// How many calls are in flight to a candidate: a map by id, or a function of the id.
pub trait Connections {
    /// To the one of this id.
    fn to(&self, id: &str) -> u32;
}

impl<K, S> Connections for HashMap<K, u32, S>
where
    K: Borrow<str> + Eq + Hash,
    S: BuildHasher,
{
    fn to(&self, id: &str) -> u32 {
        self.get(id).copied().unwrap_or(0)
    }
}

impl<K: Borrow<str> + Ord> Connections for BTreeMap<K, u32> {
    fn to(&self, id: &str) -> u32 {
        self.get(id).copied().unwrap_or(0)
    }
}

impl<F: Fn(&str) -> u32> Connections for F {
    fn to(&self, id: &str) -> u32 {
        self(id)
    }
}

impl LoadBalancer {
    /// One of the candidates; `None` if there is none that is up.
    #[must_use]
    pub fn select<'a, C: Candidate>(candidates: &'a [C], strategy: &Strategy) -> Option<&'a C> {
        Self::with_connections(candidates, &|_: &str| 0, strategy)
    }

    /// One of the candidates, by how many calls are in flight to each as far as the strategy looks at that;
    /// `None` if there is none that is up.
    ///
    /// Of those of weight 0 one is chosen only if there are no others. [`Strategy::ConsistentHash`] chooses
    /// by the call's key in a [`Balancer`](crate::Balancer); here there is no call, and any is chosen.
    #[must_use]
    pub fn with_connections<'a, C: Candidate>(
        candidates: &'a [C],
        connections: &impl Connections,
        strategy: &Strategy,
    ) -> Option<&'a C> {
        static TURNS: AtomicU64 = AtomicU64::new(0);
        let mut up: Vec<(&C, f32)> = candidates
            .iter()
            .filter(|candidate| candidate.is_up())
            .map(|candidate| (candidate, mend(candidate.weight()).0))
            .collect();
        if *strategy == Strategy::PriorityFailover {
            let best = up.iter().map(|(candidate, _)| candidate.priority()).min();
            up.retain(|(candidate, _)| Some(candidate.priority()) == best);
        }
        if up.iter().any(|(_, weight)| *weight > 0.0) {
            up.retain(|(_, weight)| *weight > 0.0);
        } else {
            up.iter_mut().for_each(|(_, weight)| *weight = 1.0);
        }
        let first = up.first()?.0;
        let weights: Vec<f32> = if strategy.is_weighted() {
            up.iter().map(|(_, weight)| *weight).collect()
        } else {
            vec![1.0; up.len()]
        };
        let brought = Brought {
            in_flight: up
                .iter()
                .map(|(candidate, _)| connections.to(candidate.id()))
                .collect(),
            latencies: up
                .iter()
                .map(|(candidate, _)| match candidate.latency() {
                    Some(latency) => Ewma::UNKNOWN.after(latency.as_secs_f32(), 0, 1.0),
                    None => Ewma::UNKNOWN,
                })
                .collect(),
            keys: up
                .iter()
                .map(|(candidate, _)| rs_core::hash::stable(candidate.id().as_bytes()))
                .collect(),
            weights: &weights,
        };
        let turn = if strategy.takes_turns() {
            TURNS.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        let keys = || brought.keys.clone();
        let strategy = match strategy {
            // There is no key.
            Strategy::ConsistentHash(_) => &Strategy::WeightedRandom,
            other => other,
        };
        let table = Table::new(strategy, &brought, &weights, keys, false, turn);
        let state = Cell::new(fastrand::u64(..));
        let call = rs_core::Call::new(rs_core::Name::of("select"));
        let choosing = Choosing {
            call: &call,
            dice: &Dice(&state),
            again: 0,
        };
        let place = table.choose(&brought, &choosing, 0);
        Some(up.get(place).map_or(first, |(candidate, _)| *candidate))
    }
}

/// What is known about candidates.
struct Brought<'a> {
    in_flight: Vec<u32>,
    latencies: Vec<Ewma>,
    keys: Vec<u64>,
    weights: &'a [f32],
}

impl Field for Brought<'_> {
    fn len(&self) -> usize {
        self.weights.len()
    }

    fn in_flight(&self, place: usize) -> u32 {
        self.in_flight.get(place).copied().unwrap_or(0)
    }

    fn weight(&self, place: usize) -> f32 {
        self.weights.get(place).copied().unwrap_or(1.0)
    }

    fn share(&self, place: usize) -> f64 {
        let sum: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        f64::from(self.weight(place)) / sum
    }

    fn latency(&self, place: usize) -> Ewma {
        self.latencies.get(place).copied().unwrap_or(Ewma::UNKNOWN)
    }

    fn key(&self, place: usize) -> u64 {
        self.keys.get(place).copied().unwrap_or(0)
    }

    fn takes_part(&self, _place: usize, _choosing: &Choosing<'_>) -> bool {
        true
    }

    fn all_in_flight(&self) -> u64 {
        self.in_flight.iter().copied().map(u64::from).sum()
    }
}
