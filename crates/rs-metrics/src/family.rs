use std::{
    any::Any,
    fmt,
    marker::PhantomData,
    ops::{Deref, Index},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{Ordering, fence},
    },
};

use rs_core::LabelSet;

use crate::{Description, Gauge, Kind, Reading, registry::Bound};

/// The handles of one instance of a metric, one for each combination of its closed labels.
///
/// `family[Outcome::Success].increment()`; a metric without closed labels is used as its only handle.
pub struct Family<K, L = ()> {
    handles: Arc<Handles<K>>,
    of: PhantomData<fn() -> L>,
}

/// The handles behind a family; the registry holds them too.
pub(crate) struct Handles<K> {
    all: Box<[K]>,
    /// Two that switch at once would leave none or both.
    switching: Mutex<()>,
}

impl<K: Kind> Handles<K> {
    pub(crate) fn new(description: &Description) -> Self {
        let places = 0..description.series();
        Self {
            all: places.map(|_| K::new(description.bounds)).collect(),
            switching: Mutex::new(()),
        }
    }

    pub(crate) fn downcast(bound: &Arc<dyn Bound>) -> Option<Arc<Self>> {
        let bound: Arc<dyn Any + Send + Sync> = Arc::clone(bound) as _;
        bound.downcast().ok()
    }
}

impl<K: Kind> Bound for Handles<K> {
    fn read(&self, place: usize) -> Option<Reading> {
        self.all.get(place).map(|handle| handle.value().into())
    }

    fn is_held_in_part(&self) -> bool {
        // A handle was cloned before the family was dropped: whoever saw the drop sees the clone.
        fence(Ordering::Acquire);
        self.all.iter().any(Kind::is_shared)
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
    ///
    /// Of several that switch at once, one goes last. They wait for each other; nobody else does.
    pub fn switch_to(&self, labels: L) {
        let switching = self.handles.switching.lock();
        let _switching = switching.unwrap_or_else(PoisonError::into_inner);
        for (place, gauge) in self.handles.all.iter().enumerate() {
            gauge.set(if place == labels.place() { 1.0 } else { 0.0 });
        }
    }
}

impl<K: Kind, L: LabelSet> Index<L> for Family<K, L> {
    type Output = K;

    #[inline]
    fn index(&self, labels: L) -> &K {
        // There is a handle for every combination.
        &self.handles.all[labels.place()]
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
            .field("series", &self.handles.all.len())
            .finish_non_exhaustive()
    }
}
