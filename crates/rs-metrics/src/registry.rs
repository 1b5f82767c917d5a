use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
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

struct Entry {
    description: Description,
    instances: BTreeMap<Vec<Name>, Arc<dyn Source>>,
}

/// Says what the series of one instance say.
pub(crate) trait Source: Any + Send + Sync {
    /// What the series at this place says.
    fn read(&self, place: usize) -> Option<Reading>;
}

struct Elsewhere<F>(F);

impl<F: Fn(usize) -> Option<Reading> + Send + Sync + 'static> Source for Elsewhere<F> {
    fn read(&self, place: usize) -> Option<Reading> {
        (self.0)(place)
    }
}

/// Counts that are kept elsewhere are exported while this lives; see [`Metric::observe`].
#[must_use = "the numbers are exported only while this lives"]
pub struct Observed {
    registry: Registry,
    metric: &'static str,
    instance: Vec<Name>,
    source: Arc<dyn Source>,
}

impl Drop for Observed {
    fn drop(&mut self) {
        let mut entries = self.registry.entries();
        if let Some(entry) = entries.get_mut(self.metric)
            && let Some(source) = entry.instances.get(&self.instance)
            && Arc::ptr_eq(source, &self.source)
        {
            entry.instances.remove(&self.instance);
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
pub(crate) static FOLDED: Metric<Counter, (), 1> = Metric::counter(
    "metrics_folded_instances_total",
    "Instances beyond a metric's cap, which share its series `other`.",
)
.by(["metric"]);

/// Metrics that were declared twice in different ways.
pub(crate) static CONFLICTS: Metric<Counter, (), 1> = Metric::counter(
    "metrics_conflicts_total",
    "Bindings of a metric whose name another metric of a different kind or labels already has; they are not exported.",
)
.by(["metric"]);

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
        let metric = Name::of(description.name);
        let fresh = Arc::new(Handles::<K>::new(&description));
        let mut entries = self.entries();
        let Some(entry) = Entry::of(&mut entries, description) else {
            drop(entries);
            CONFLICTS.bind_in(self, metric).increment();
            return Family::new(fresh);
        };
        let (instance, folded) = entry.fold(instance);
        let source = entry
            .instances
            .entry(instance)
            .or_insert_with(|| Arc::clone(&fresh) as _);
        let handles = Handles::downcast(source).unwrap_or(fresh);
        drop(entries);
        if folded {
            FOLDED.bind_in(self, metric).increment();
        }
        Family::new(handles)
    }

    pub(crate) fn observe(
        &self,
        description: Description,
        instance: &[Name],
        read: impl Fn(usize) -> Option<Reading> + Send + Sync + 'static,
    ) -> Observed {
        let metric = description.name;
        let source: Arc<dyn Source> = Arc::new(Elsewhere(read));
        let mut entries = self.entries();
        let problem = match Entry::of(&mut entries, description) {
            None => Some(&CONFLICTS),
            Some(entry) => {
                let (instance, folded) = entry.fold(instance);
                // Numbers kept elsewhere cannot be added up in the series `other`.
                if !folded {
                    entry.instances.insert(instance, Arc::clone(&source));
                }
                folded.then_some(&FOLDED)
            }
        };
        drop(entries);
        if let Some(problem) = problem {
            problem.bind_in(self, Name::of(metric)).increment();
        }
        Observed {
            registry: self.clone(),
            metric,
            instance: instance.to_vec(),
            source,
        }
    }

    pub(crate) fn find(&self, metric: &str, instance: &[Name], place: usize) -> Option<Reading> {
        let source = {
            let entries = self.entries();
            Arc::clone(entries.get(metric)?.instances.get(instance)?)
        };
        source.read(place)
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
        sources
            .into_iter()
            .map(|(description, instances)| Gathered {
                series: instances
                    .iter()
                    .flat_map(|(names, source)| series_of(&description, names, &**source))
                    .collect(),
                description,
            })
            .collect()
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
        (entry.description == description).then_some(entry)
    }

    /// The instance under which these names are exported, and whether that is `other`.
    fn fold(&mut self, instance: &[Name]) -> (Vec<Name>, bool) {
        let full = |entry: &Self| {
            entry.instances.len() >= entry.description.cap
                && !entry.instances.contains_key(instance)
        };
        if full(self) {
            self.forget_unheld();
        }
        if full(self) {
            (vec![Name::OTHER; instance.len()], true)
        } else {
            (instance.to_vec(), false)
        }
    }

    fn forget_unheld(&mut self) {
        self.instances
            .retain(|_, source| Arc::strong_count(source) > 1);
    }
}

fn series_of(description: &Description, names: &[Name], source: &dyn Source) -> Vec<Series> {
    let open = description.open.iter().copied();
    let open = open.zip(names.iter().map(|name| name.as_str()));
    (0..description.series())
        .filter_map(|place| {
            Some(Series {
                labels: open.clone().chain(description.closed_at(place)).collect(),
                reading: source.read(place)?,
            })
        })
        .collect()
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
