use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use rs_core::{LabelSet, Name};

use crate::{Counter, Description, Family, Kind, Metric, MetricKind, Reading, family::Handles};

/// Where the series of metrics live.
///
/// The numbers here are the truth; exporters only read them. So a handle is right whether an
/// exporter was installed before it was bound, after, or never, and nothing that an exporter forgets
/// is lost. A test takes a registry of its own and reads from it by the metric's typed name.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Entries>>);

type Entries = BTreeMap<&'static str, Entry>;

/// A counter of what went wrong with a metric.
type Problem = Metric<Counter, (), 1>;

struct Entry {
    description: Description,
    /// Whoever reads clones the outer `Arc`, so that the counts inside are those of holders alone.
    instances: BTreeMap<Vec<Name>, Arc<Source>>,
}

/// What the series of one instance say.
enum Source {
    /// What was counted through handles.
    Bound(Arc<dyn Bound>),
    /// What those say who count in a state of their own; the newest, who is last, is believed.
    Observed(Vec<Arc<Read>>),
}

type Read = dyn Fn(usize) -> Option<Reading> + Send + Sync;

/// The handles of one instance, of whatever kind.
pub(crate) trait Bound: Any + Send + Sync {
    /// What the series at this place says.
    fn read(&self, place: usize) -> Option<Reading>;

    /// Whether somebody holds one of the handles without the family.
    fn is_held_in_part(&self) -> bool;
}

impl Source {
    fn read(&self, place: usize) -> Result<Option<Reading>, Panicked> {
        match self {
            Self::Bound(bound) => Ok(bound.read(place)),
            Self::Observed(readers) => match readers.last() {
                Some(read) => catch_unwind(AssertUnwindSafe(|| read(place))).map_err(|_| Panicked),
                None => Ok(None),
            },
        }
    }

    fn is_held(&self) -> bool {
        match self {
            Self::Bound(bound) => Arc::strong_count(bound) > 1 || bound.is_held_in_part(),
            Self::Observed(_) => true,
        }
    }
}

struct Panicked;

/// Counts that are kept elsewhere are exported while this lives; see [`Metric::observe`].
#[must_use = "the numbers are exported only while this lives"]
pub struct Observed {
    registry: Registry,
    metric: &'static str,
    instance: Vec<Name>,
    read: Arc<Read>,
}

impl Drop for Observed {
    fn drop(&mut self) {
        let mut entries = self.registry.entries();
        let Some(entry) = entries.get_mut(self.metric) else {
            return;
        };
        let mut readers = entry.readers(&self.instance);
        let all = readers.len();
        readers.retain(|read| !Arc::ptr_eq(read, &self.read));
        if readers.len() < all {
            entry.read_from(self.instance.clone(), readers);
        }
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("metric", &self.metric)
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// Instances that found their metric's cap reached.
// The names of metrics are written in code: their number needs no cap.
pub(crate) static FOLDED: Metric<Counter, (), 1> = Metric::counter(
    "metrics_folded_instances_total",
    "Bindings of instances beyond a metric's cap, which share its series `other`.",
)
.by(["metric"])
.capped_at(usize::MAX);

/// Metrics that were declared twice in different ways.
pub(crate) static CONFLICTS: Metric<Counter, (), 1> = Metric::counter(
    "metrics_conflicts_total",
    "Bindings that are not exported, because a different metric has the name, or the instance is observed.",
)
.by(["metric"])
.capped_at(usize::MAX);

/// Observers that panicked.
pub(crate) static PANICS: Metric<Counter, (), 1> = Metric::counter(
    "metrics_observer_panics_total",
    "Panics of observers, whose series were left out.",
)
.by(["metric"])
.capped_at(usize::MAX);

impl Registry {
    /// A registry of one's own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The registry of the process.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<Registry> = LazyLock::new(Registry::new);
        &GLOBAL
    }

    pub(crate) fn bind<K: Kind, L: LabelSet>(
        &self,
        description: Description,
        instance: &[Name],
    ) -> Family<K, L> {
        let metric = description.name;
        let (handles, problem) = self.try_bind(description, instance);
        if let Some(problem) = problem {
            self.count(problem, metric);
        }
        Family::new(handles)
    }

    /// The handles of this instance, and which counter should hear of it.
    fn try_bind<K: Kind>(
        &self,
        description: Description,
        instance: &[Name],
    ) -> (Arc<Handles<K>>, Option<&'static Problem>) {
        let fresh = Arc::new(Handles::<K>::new(&description));
        let mut entries = self.entries();
        let Some(entry) = Entry::of(&mut entries, description) else {
            return (fresh, Some(&CONFLICTS));
        };
        let (instance, folded) = entry.fold(instance);
        let source = entry
            .instances
            .entry(instance)
            .or_insert_with(|| Arc::new(Source::Bound(Arc::clone(&fresh) as _)));
        match &**source {
            Source::Bound(bound) => {
                let handles = Handles::downcast(bound).unwrap_or(fresh);
                (handles, folded.then_some(&FOLDED))
            }
            Source::Observed(_) => (fresh, Some(&CONFLICTS)),
        }
    }

    pub(crate) fn observe(
        &self,
        description: Description,
        instance: &[Name],
        read: impl Fn(usize) -> Option<Reading> + Send + Sync + 'static,
    ) -> Observed {
        let metric = description.name;
        let read: Arc<Read> = Arc::new(read);
        let problem = self.try_observe(description, instance, &read);
        if let Some(problem) = problem {
            self.count(problem, metric);
        }
        Observed {
            registry: self.clone(),
            metric,
            instance: instance.to_vec(),
            read,
        }
    }

    fn try_observe(
        &self,
        description: Description,
        instance: &[Name],
        read: &Arc<Read>,
    ) -> Option<&'static Problem> {
        let mut entries = self.entries();
        let Some(entry) = Entry::of(&mut entries, description) else {
            return Some(&CONFLICTS);
        };
        let (instance, folded) = entry.fold(instance);
        if folded {
            // Numbers kept elsewhere cannot be added up in the series `other`.
            return Some(&FOLDED);
        }
        let known = entry.instances.get(&instance);
        if known.is_some_and(|source| matches!(**source, Source::Bound(_))) {
            return Some(&CONFLICTS);
        }
        let mut readers = entry.readers(&instance);
        readers.push(Arc::clone(read));
        entry.read_from(instance, readers);
        None
    }

    /// Counts a problem of this metric; problems of the counter itself are not counted in turn.
    pub(crate) fn count(&self, problem: &Problem, metric: &'static str) {
        let (handles, _) = self.try_bind(problem.describe(), &[Name::of(metric)]);
        Family::<Counter>::new(handles).increment();
    }

    pub(crate) fn find(
        &self,
        description: &Description,
        instance: &[Name],
        place: usize,
    ) -> Option<Reading> {
        let source = {
            let entries = self.entries();
            let entry = entries.get(description.name)?;
            let known = entry.description.is_the_same_metric(description);
            Arc::clone(entry.instances.get(instance).filter(|_| known)?)
        };
        source.read(place).unwrap_or_else(|Panicked| {
            self.count(&PANICS, description.name);
            None
        })
    }

    /// What everything says now, by metric, instance and labels.
    ///
    /// An instance's gauges are left out once the last handle to them is gone: they say what is, and
    /// the instance is no more.
    #[must_use]
    pub fn gather(&self) -> Vec<Gathered> {
        let mut sources = Vec::new();
        for entry in self.entries().values_mut() {
            if entry.description.kind == MetricKind::Gauge && !entry.description.open.is_empty() {
                entry.forget_unheld();
            }
            let instances: Vec<_> = entry
                .instances
                .iter()
                .map(|(names, source)| (names.clone(), Arc::clone(source)))
                .collect();
            sources.push((entry.description.clone(), instances));
        }
        // Read without the lock: a number that is kept elsewhere may be slow to come.
        let mut all = Vec::with_capacity(sources.len());
        for (description, instances) in sources {
            let mut series = Vec::new();
            for (names, source) in &instances {
                self.read_all(&description, names, source, &mut series);
            }
            all.push(Gathered {
                description,
                series,
            });
        }
        all
    }

    fn read_all(
        &self,
        description: &Description,
        names: &[Name],
        source: &Source,
        into: &mut Vec<Series>,
    ) {
        let open = description.open.iter().copied();
        let open = open.zip(names.iter().map(|name| name.as_str()));
        for place in 0..description.series() {
            match source.read(place) {
                Ok(Some(reading)) => into.push(Series {
                    labels: open.clone().chain(description.closed_at(place)).collect(),
                    reading,
                }),
                Ok(None) => {}
                Err(Panicked) => self.count(&PANICS, description.name),
            }
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// The entry of this metric, unless another metric has its name.
    fn of(entries: &mut Entries, description: Description) -> Option<&mut Self> {
        let entry = entries.entry(description.name).or_insert_with(|| Self {
            description: description.clone(),
            instances: BTreeMap::new(),
        });
        entry
            .description
            .is_the_same_metric(&description)
            .then_some(entry)
    }

    /// Those who say what this instance says.
    fn readers(&self, instance: &[Name]) -> Vec<Arc<Read>> {
        match self.instances.get(instance).map(|source| &**source) {
            Some(Source::Observed(readers)) => readers.clone(),
            Some(Source::Bound(_)) | None => Vec::new(),
        }
    }

    fn read_from(&mut self, instance: Vec<Name>, readers: Vec<Arc<Read>>) {
        if readers.is_empty() {
            self.instances.remove(&instance);
        } else {
            let source = Arc::new(Source::Observed(readers));
            self.instances.insert(instance, source);
        }
    }

    /// The instance under which these names are exported, and whether that is `other`.
    fn fold(&mut self, instance: &[Name]) -> (Vec<Name>, bool) {
        let other = vec![Name::OTHER; instance.len()];
        if instance == other || self.has_room_for(instance, &other) {
            return (instance.to_vec(), false);
        }
        self.forget_unheld();
        if self.has_room_for(instance, &other) {
            (instance.to_vec(), false)
        } else {
            (other, true)
        }
    }

    fn has_room_for(&self, instance: &[Name], other: &[Name]) -> bool {
        let named = self.instances.len() - usize::from(self.instances.contains_key(other));
        self.instances.contains_key(instance) || named < self.description.cap
    }

    /// What was counted for instances that share `other` stays: they may be many, and gone.
    fn forget_unheld(&mut self) {
        let keeps_other = self.description.kind != MetricKind::Gauge;
        self.instances
            .retain(|names, source| (keeps_other && is_other(names)) || source.is_held());
    }
}

fn is_other(names: &[Name]) -> bool {
    names.iter().all(|name| *name == Name::OTHER)
}

/// What a metric says at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Gathered {
    /// The metric.
    pub description: Description,
    /// Its series.
    pub series: Vec<Series>,
}

/// What one series says at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// Its labels.
    pub labels: Vec<(&'static str, &'static str)>,
    /// What it says.
    pub reading: Reading,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries().keys()).finish()
    }
}
