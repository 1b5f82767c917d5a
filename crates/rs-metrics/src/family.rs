use std::{
    any::Any,
    fmt,
    marker::PhantomData,
    ops::{Deref, Index},
    sync::Arc,
};

use rs_core::LabelSet;

use crate::{Description, Gauge, Kind, Reading, registry::Source};

/// The handles of one instance of a metric, one for each combination of its closed labels.
///
/// `family[Outcome::Success].increment()`; a metric without closed labels is used as its only handle.
pub struct Family<K, L = ()> {
    handles: Arc<Handles<K>>,
    of: PhantomData<fn() -> L>,
}

/// The handles behind a family; the registry holds them too.
pub(crate) struct Handles<K>(Box<[K]>);

impl<K: Kind> Handles<K> {
    pub(crate) fn new(description: &Description) -> Self {
        let places = 0..description.series();
        Self(places.map(|_| K::new(description.bounds)).collect())
    }

    pub(crate) fn downcast(source: &Arc<dyn Source>) -> Option<Arc<Self>> {
        let source: Arc<dyn Any + Send + Sync> = Arc::clone(source) as _;
        source.downcast().ok()
    }
}

impl<K: Kind> Source for Handles<K> {
    fn read(&self, place: usize) -> Option<Reading> {
        self.0.get(place).map(|handle| handle.value().into())
    }
}

impl<K: Kind, L: LabelSet> Family<K, L> {
    pub(crate) const fn new(handles: Arc<Handles<K>>) -> Self {
        Self {
            handles,
            of: PhantomData,
        }
    }
}

impl<L: LabelSet> Family<Gauge, L> {
    /// Sets this one to 1 and all others to 0: how a state is exported.
    pub fn switch_to(&self, labels: L) {
        for (place, gauge) in self.handles.0.iter().enumerate() {
            gauge.set(if place == labels.place() { 1.0 } else { 0.0 });
        }
    }
}

impl<K: Kind, L: LabelSet> Index<L> for Family<K, L> {
    type Output = K;

    #[inline]
    fn index(&self, labels: L) -> &K {
        // There is a handle for every combination.
        &self.handles.0[labels.place()]
    }
}

impl<K: Kind> Deref for Family<K, ()> {
    type Target = K;

    #[inline]
    fn deref(&self) -> &K {
        &self[()]
    }
}

impl<K, L> Clone for Family<K, L> {
    fn clone(&self) -> Self {
        Self {
            handles: Arc::clone(&self.handles),
            of: PhantomData,
        }
    }
}

impl<K, L> fmt::Debug for Family<K, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("series", &self.handles.0.len())
            .finish_non_exhaustive()
    }
}
