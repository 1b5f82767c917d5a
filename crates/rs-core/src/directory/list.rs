use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{Action, ControlError, Inspect, Mandate, Snapshot};

/// Every named thing of the process that can be looked at and steered.
///
/// It holds them weakly: what its owner drops is gone from the list. Patterns register themselves in
/// [`Directory::global`] unless they are given another, as a test does.
///
/// ```
/// use rs_core::{Action, ControlError, Directory, Inspect, Mandate, Name, Value};
/// use std::sync::{Arc, atomic::{AtomicBool, Ordering::Relaxed}};
///
/// #[derive(Default)]
/// struct Pump { paused: AtomicBool }
///
/// impl Inspect for Pump {
///     fn kind(&self) -> &'static str { "pump" }
///     fn name(&self) -> Name { Name::of("north") }
///     fn snapshot(&self) -> Value { Value::map([("paused", self.paused.load(Relaxed).into())]) }
///     fn control(&self, action: &Action, _by: &Mandate) -> Result<(), ControlError> {
///         match action.name() {
///             "pause" => Ok(self.paused.store(true, Relaxed)),
///             _ => Err(ControlError::unknown(action, self.actions())),
///         }
///     }
/// }
///
/// let directory = Directory::new();
/// let pump = Arc::new(Pump::default());
/// directory.register(&pump);
///
/// let by = Mandate::new("anna", "the filter is being changed");
/// directory.control("pump", "north", &Action::new("pause"), &by)?;
/// assert_eq!(directory.snapshots()[0].state.to_string(), "{paused: true}");
/// # Ok::<(), ControlError>(())
/// ```
#[derive(Clone, Default)]
pub struct Directory(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    list: Vec<Weak<dyn Inspect>>,
    /// The dead are cleared away when the list has grown to this length.
    clear_at: usize,
}

impl Directory {
    /// A directory of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The directory of the process.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<Directory> = LazyLock::new(Directory::new);
        &GLOBAL
    }

    /// Lists this until its owner drops it.
    pub fn register<I: Inspect + 'static>(&self, entry: &Arc<I>) {
        let entry = Arc::downgrade(entry) as Weak<dyn Inspect>;
        let mut entries = self.entries();
        if entries.list.len() >= entries.clear_at {
            entries.list.retain(|entry| entry.strong_count() > 0);
            entries.clear_at = (2 * entries.list.len()).max(64);
        }
        entries.list.push(entry);
    }

    /// Everything that is registered and still there, in the order in which it came.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<dyn Inspect>> {
        let list = &self.entries().list;
        list.iter().filter_map(Weak::upgrade).collect()
    }

    /// What everything looks like now. One that panics when it is asked shows that, and spoils nothing
    /// for the others.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.list()
            .iter()
            .map(|entry| Snapshot::of(&**entry))
            .collect()
    }

    /// The one of this kind and name; the newest, if there are several.
    #[must_use]
    pub fn find(&self, kind: &str, name: &str) -> Option<Arc<dyn Inspect>> {
        self.list()
            .into_iter()
            .rfind(|entry| entry.kind() == kind && entry.name().as_str() == name)
    }

    /// Tells the one of this kind and name to do something.
    ///
    /// # Errors
    /// When there is none, or it does not do it.
    pub fn control(
        &self,
        kind: &str,
        name: &str,
        action: &Action,
        mandate: &Mandate,
    ) -> Result<(), ControlError> {
        let entry = self
            .find(kind, name)
            .ok_or_else(|| ControlError::NotFound {
                kind: kind.to_owned(),
                name: name.to_owned(),
            })?;
        entry.control(action, mandate)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.list();
        f.debug_list()
            .entries(entries.iter().map(|entry| (entry.kind(), entry.name())))
            .finish()
    }
}
