use std::fmt;

use rs_core::Name;

/// Something that calls can be sent to: an id, what it takes to call it, and what is known about it.
///
/// ```
/// use rs_balance::Endpoint;
///
/// let near = Endpoint::new("10.0.0.7:8080", "client 7").with_weight(2.0).in_zone("eu-1a");
/// assert_eq!(near.id(), "10.0.0.7:8080");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint<T> {
    pub(crate) id: Box<str>,
    pub(crate) value: T,
    pub(crate) weight: f64,
    pub(crate) zone: Option<Name>,
    pub(crate) priority: u16,
    pub(crate) health: EndpointHealth,
}

/// What somebody says about an endpoint: its registry, or whoever checks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndpointHealth {
    /// Nothing that speaks against it.
    #[default]
    Healthy,
    /// It is not well: no calls unless too many are not well.
    Unhealthy,
    /// It goes: no new calls, and those that run may end.
    Draining,
}

impl EndpointHealth {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for EndpointHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T> Endpoint<T> {
    /// An endpoint of weight 1 that is well.
    ///
    /// The id says which one it is: an endpoint whose id is in the next set, too, is the same one, keeps its
    /// value and its state. What is called in another way is another endpoint and has another id; an
    /// address is a good one.
    pub fn new(id: impl Into<Box<str>>, value: T) -> Self {
        Self {
            id: id.into(),
            value,
            weight: 1.0,
            zone: None,
            priority: 0,
            health: EndpointHealth::Healthy,
        }
    }

    /// It can carry so much in comparison with others, 1 unless told.
    ///
    /// An endpoint of weight 0 gets nothing, by any strategy, as long as one of its priority with more is
    /// there; if all have 0, all count the same. What is no weight (not a number, infinite, below zero)
    /// counts as 1, and [`Change::mended`](crate::Change::mended) says so. Weights count from 1e-9 to 1e9.
    #[must_use]
    pub const fn with_weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// It is in this zone.
    #[must_use]
    pub fn in_zone(mut self, zone: impl Into<Name>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// It is used when those of lower numbers cannot carry everything; 0 unless told.
    #[must_use]
    pub const fn with_priority(mut self, priority: u16) -> Self {
        self.priority = priority;
        self
    }

    /// Its registry says this about it.
    #[must_use]
    pub const fn with_health(mut self, health: EndpointHealth) -> Self {
        self.health = health;
        self
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it takes to call it.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// How much it can carry.
    #[must_use]
    pub const fn weight(&self) -> f64 {
        self.weight
    }

    /// Where it is.
    #[must_use]
    pub const fn zone(&self) -> Option<Name> {
        self.zone
    }

    /// When it is used.
    #[must_use]
    pub const fn priority(&self) -> u16 {
        self.priority
    }

    /// What its registry says.
    #[must_use]
    pub const fn health(&self) -> EndpointHealth {
        self.health
    }

    /// The same endpoint, called by something else.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Endpoint<U> {
        Endpoint {
            id: self.id,
            value: make(self.value),
            weight: self.weight,
            zone: self.zone,
            priority: self.priority,
            health: self.health,
        }
    }
}

/// What an update did to a set of endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// So many are new.
    pub added: usize,
    /// So many are gone.
    pub removed: usize,
    /// So many stayed.
    pub kept: usize,
    /// So many came twice; the first of each id counts.
    pub duplicates: usize,
    /// So many had a weight that is none, and count as weight 1.
    pub mended: usize,
}

impl Change {
    /// Whether endpoints came or went.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        self.added > 0 || self.removed > 0
    }
}

/// A weight that can be counted with, and whether it had to be mended.
pub(crate) fn mend(weight: f64) -> (f32, bool) {
    if weight.is_finite() && weight >= 0.0 {
        let counted = if weight > 0.0 {
            weight.clamp(1e-9, 1e9)
        } else {
            0.0
        };
        (counted as f32, false)
    } else {
        (1.0, true)
    }
}
