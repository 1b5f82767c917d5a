use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{BackendError, ServiceInstance};

/// All instances of a service at one moment, sorted by id, and how well that is known.
#[derive(Debug, Clone)]
pub struct InstanceSet {
    service: Arc<str>,
    instances: Arc<[Arc<ServiceInstance>]>,
    standing: Standing,
    confirmed: Instant,
}

/// How well a set is known.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// The registry says so.
    Current,
    /// The registry said so last; since then it cannot be asked, and this is why.
    Kept(BackendError),
    /// The registry now says that there are none. That is believed when it has said so for the whole
    /// grace; until then these are kept.
    Doubted,
}

impl InstanceSet {
    /// These, confirmed at that moment. Of several with the same id the first is kept.
    #[must_use]
    pub fn new(
        service: &str,
        instances: impl IntoIterator<Item = ServiceInstance>,
        confirmed: Instant,
    ) -> Self {
        let mut instances: Vec<_> = instances.into_iter().map(Arc::new).collect();
        sort(&mut instances);
        Self::known(
            service.into(),
            instances.into(),
            Standing::Current,
            confirmed,
        )
    }

    pub(crate) const fn known(
        service: Arc<str>,
        instances: Arc<[Arc<ServiceInstance>]>,
        standing: Standing,
        confirmed: Instant,
    ) -> Self {
        Self {
            service,
            instances,
            standing,
            confirmed,
        }
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The instances, sorted by id, each once.
    #[must_use]
    pub fn instances(&self) -> &Arc<[Arc<ServiceInstance>]> {
        &self.instances
    }

    /// The same set, known otherwise: for backends of your own that keep what they knew last.
    #[must_use]
    pub fn standing_as(self, standing: Standing) -> Self {
        Self { standing, ..self }
    }

    /// Those that may be called.
    pub fn usable(&self) -> impl Iterator<Item = &Arc<ServiceInstance>> {
        self.instances
            .iter()
            .filter(|instance| instance.health().is_usable())
    }

    /// The instance of this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<ServiceInstance>> {
        let place = self
            .instances
            .binary_search_by(|instance| instance.id().cmp(id));
        self.instances.get(place.ok()?)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instances.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    /// How well this is known.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Whether the registry says so now.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        matches!(self.standing, Standing::Current)
    }

    /// When the registry said so last, as far as this set knows.
    #[must_use]
    pub const fn confirmed(&self) -> Instant {
        self.confirmed
    }

    /// How long that is ago.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.confirmed)
    }

    /// The same set with only these instances.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&ServiceInstance) -> bool) -> Self {
        let kept = self.instances.iter().filter(|instance| keep(instance));
        Self {
            instances: kept.cloned().collect(),
            ..self.clone()
        }
    }
}

impl InstanceSet {
    /// The same set; what is also in the other one is the same allocation as there.
    pub(crate) fn like(self, other: &Self) -> Self {
        let instances = if self.instances == other.instances {
            Arc::clone(&other.instances)
        } else {
            let mut instances = self.instances.to_vec();
            reuse(&other.instances, &mut instances);
            instances.into()
        };
        Self { instances, ..self }
    }
}

/// What a watch showed last.
#[derive(Debug, Default)]
pub(crate) struct Shown(Option<InstanceSet>);

impl Shown {
    /// This, if it is new: other instances, or known otherwise. Another reason for the same is not new.
    pub(crate) fn news(&mut self, set: InstanceSet) -> Option<InstanceSet> {
        let set = match &self.0 {
            Some(shown) => set.like(shown),
            None => set,
        };
        let is_new = self.0.as_ref().is_none_or(|shown| {
            shown.instances != set.instances
                || mem::discriminant(&shown.standing) != mem::discriminant(&set.standing)
        });
        self.0 = Some(set.clone());
        is_new.then_some(set)
    }

    pub(crate) const fn last(&self) -> Option<&InstanceSet> {
        self.0.as_ref()
    }

    /// This, as far as it was shown the same allocations.
    pub(crate) fn alike(&self, set: InstanceSet) -> InstanceSet {
        match &self.0 {
            Some(shown) => set.like(shown),
            None => set,
        }
    }
}

/// Those that stay, stay the same allocation: whoever keeps state beside them can tell. Both are sorted.
pub(crate) fn reuse(known: &[Arc<ServiceInstance>], heard: &mut [Arc<ServiceInstance>]) {
    for new in heard {
        let place = known.binary_search_by(|old| old.id().cmp(new.id()));
        if let Some(old) = place.ok().and_then(|place| known.get(place))
            && old == new
        {
            *new = Arc::clone(old);
        }
    }
}

/// Sorts by id and keeps the first of each; how many were left out.
pub(crate) fn sort(instances: &mut Vec<Arc<ServiceInstance>>) -> u64 {
    let all = instances.len();
    instances.sort_by(|one, other| one.id().cmp(other.id()));
    instances.dedup_by(|later, first| later.id() == first.id());
    (all - instances.len()) as u64
}
