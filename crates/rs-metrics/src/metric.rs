use std::marker::PhantomData;

use rs_core::{LabelSet, Name, Unit};

use crate::{Counter, Family, Gauge, Histogram, Kind, MetricKind, Observed, Registry, check};

/// Buckets for times of calls, in seconds: half a millisecond to thirty seconds.
pub const LATENCY: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// A metric, declared once as a `static` and bound where it is used.
///
/// Its type says what it is (`K`), which closed labels it has (`L`) and how many open ones (`N`).
/// Closed labels are enums, so every series is known. Open labels are the names of instances; how
/// many are exported is capped, see [`Metric::capped_at`].
///
/// ```
/// use rs_core::label_set;
/// use rs_metrics::{Counter, Metric, Registry};
///
/// label_set! {
///     /// How a payment went.
///     pub enum Payment: "payment" {
///         /// The money moved.
///         Charged = "charged",
///         /// The bank said no.
///         Declined = "declined",
///     }
/// }
///
/// static PAYMENTS: Metric<Counter, Payment, 1> =
///     Metric::counter("desk_payments_total", "Payments that were tried.").by(["desk"]);
///
/// let registry = Registry::new();
/// let north = PAYMENTS.bind_in(&registry, "north");
/// north[Payment::Charged].increment();
///
/// assert_eq!(PAYMENTS.read(&registry, "north", Payment::Charged), Some(1));
/// assert_eq!(PAYMENTS.read(&registry, "north", Payment::Declined), Some(0));
/// assert_eq!(PAYMENTS.read(&registry, "south", Payment::Charged), None);
/// ```
#[derive(Debug)]
pub struct Metric<K, L = (), const N: usize = 0> {
    name: &'static str,
    help: &'static str,
    unit: Unit,
    open: [&'static str; N],
    bounds: &'static [f64],
    cap: usize,
    of: PhantomData<fn() -> (K, L)>,
}

impl<L: LabelSet> Metric<Counter, L> {
    /// A counter. Its name ends in `_total`.
    ///
    /// # Panics
    /// When Prometheus would not take the name or the labels; a `static` then does not compile.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        check::counter(name);
        Self::declare(name, help, Unit::Count, &[])
    }
}

impl<L: LabelSet> Metric<Gauge, L> {
    /// A gauge in this unit.
    ///
    /// # Panics
    /// When Prometheus would not take the name or the labels; a `static` then does not compile.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, unit: Unit) -> Self {
        Self::declare(name, help, unit, &[])
    }
}

impl<L: LabelSet> Metric<Histogram, L> {
    /// A histogram in this unit with these buckets: the upper bound of each, rising.
    ///
    /// # Panics
    /// When the bounds do not rise, or Prometheus would not take the name or the labels; a `static` then
    /// does not compile.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        unit: Unit,
        bounds: &'static [f64],
    ) -> Self {
        check::bounds(bounds);
        Self::declare(name, help, unit, bounds)
    }
}

impl<K, L: LabelSet> Metric<K, L> {
    const fn declare(
        name: &'static str,
        help: &'static str,
        unit: Unit,
        bounds: &'static [f64],
    ) -> Self {
        check::name(name);
        check::labels(&[], L::LABELS);
        Self {
            name,
            help,
            unit,
            open: [],
            bounds,
            cap: Metric::<K, L>::CAP,
            of: PhantomData,
        }
    }

    /// The same metric, told apart by the names of instances under these labels.
    ///
    /// # Panics
    /// When Prometheus would not take the labels; a `static` then does not compile.
    #[must_use]
    pub const fn by<const N: usize>(self, open: [&'static str; N]) -> Metric<K, L, N> {
        check::labels(&open, L::LABELS);
        Metric {
            name: self.name,
            help: self.help,
            unit: self.unit,
            open,
            bounds: self.bounds,
            cap: self.cap,
            of: PhantomData,
        }
    }
}

impl<K, L, const N: usize> Metric<K, L, N> {
    /// How many instances a metric exports unless it says otherwise.
    pub const CAP: usize = 1000;

    /// The same metric, exporting at most this many instances; those beyond share a series named
    /// `other`, and `metrics_folded_instances_total` counts them. An instance makes room when the
    /// last handle to it is gone; if it comes back, its counters begin at zero.
    #[must_use]
    pub const fn capped_at(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<K: Kind, L: LabelSet, const N: usize> Metric<K, L, N> {
    /// The handles of this instance, in the registry of the process.
    ///
    /// All its series are exported from now on, at zero. Binding the same instance again gives the
    /// same series. The gauges of an instance are exported as long as somebody holds them.
    pub fn bind(&self, instance: impl Instance<N>) -> Family<K, L> {
        self.bind_in(Registry::global(), instance)
    }

    /// The handles of this instance, in a registry of one's own.
    pub fn bind_in(&self, registry: &Registry, instance: impl Instance<N>) -> Family<K, L> {
        registry.bind(self.describe(), &instance.names())
    }

    /// Exports numbers that are kept elsewhere: `read` is asked for each combination of closed labels
    /// when somebody looks. Ends when the returned handle is dropped.
    ///
    /// For a pattern that counts in its own state, so that it need not count twice. An instance that
    /// is observed again is read from the newest observer; one beyond the cap, or one that was bound,
    /// is left out and counted. Nothing is locked while `read` runs; when it panics, that series is
    /// left out and `metrics_observer_panics_total` counts it.
    ///
    /// ```
    /// # use rs_core::Unit;
    /// # use rs_metrics::{Gauge, Metric, Registry};
    /// # use std::sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}};
    /// static IN_FLIGHT: Metric<Gauge, (), 1> =
    ///     Metric::gauge("pool_in_flight", "Calls in flight.", Unit::Count).by(["pool"]);
    ///
    /// let registry = Registry::new();
    /// let calls = Arc::new(AtomicU32::new(3));
    /// let counted = Arc::clone(&calls);
    /// let observed = IN_FLIGHT.observe(&registry, "north", move |()| counted.load(Relaxed).into());
    ///
    /// assert_eq!(IN_FLIGHT.read(&registry, "north", ()), Some(3.0));
    /// drop(observed);
    /// assert_eq!(IN_FLIGHT.read(&registry, "north", ()), None);
    /// ```
    pub fn observe(
        &self,
        registry: &Registry,
        instance: impl Instance<N>,
        read: impl Fn(L) -> K::Value + Send + Sync + 'static,
    ) -> Observed {
        registry.observe(self.describe(), &instance.names(), move |place| {
            L::at(place).map(|labels| read(labels).into())
        })
    }

    /// What one series says now; `None` if that instance was never bound there.
    ///
    /// What a test asserts on.
    pub fn read(
        &self,
        registry: &Registry,
        instance: impl Instance<N>,
        labels: L,
    ) -> Option<K::Value> {
        let reading = registry.find(&self.describe(), &instance.names(), labels.place())?;
        reading.try_into().ok()
    }

    /// What is known of it before anything is bound.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description {
            name: self.name,
            kind: K::KIND,
            unit: self.unit,
            help: self.help,
            open: self.open.to_vec(),
            closed: L::LABELS,
            bounds: self.bounds,
            cap: self.cap,
        }
    }
}

/// What is known of a metric before anything is bound.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What its numbers count.
    pub unit: Unit,
    /// What it says, in a sentence.
    pub help: &'static str,
    /// The labels whose values are names of instances.
    pub open: Vec<&'static str>,
    /// The labels whose values are a closed set, and the values.
    pub closed: &'static [(&'static str, &'static [&'static str])],
    /// The buckets of a histogram.
    pub bounds: &'static [f64],
    /// How many instances are exported.
    pub cap: usize,
}

impl Description {
    /// How many series each instance has.
    #[must_use]
    pub fn series(&self) -> usize {
        self.closed.iter().map(|(_, values)| values.len()).product()
    }

    /// Whether both are one metric. What is said about it, and how much of it is exported, may differ:
    /// two versions of a crate may be in one process.
    pub(crate) fn is_the_same_metric(&self, other: &Self) -> bool {
        let identity = |it: &Self| (it.name, it.kind, it.unit, it.closed, it.bounds);
        identity(self) == identity(other) && self.open == other.open
    }

    /// The closed labels of the series at this place: the last label runs fastest.
    pub(crate) fn closed_at(&self, place: usize) -> Vec<(&'static str, &'static str)> {
        let mut rest = place;
        let mut labels: Vec<_> = self
            .closed
            .iter()
            .rev()
            .map(|(key, values)| {
                let value = values.get(rest % values.len()).copied().unwrap_or_default();
                rest /= values.len();
                (*key, value)
            })
            .collect();
        labels.reverse();
        labels
    }
}

/// Something that describes itself: every [`Metric`], whatever its type.
pub trait Describe: Sync {
    /// What is known of it before anything is bound.
    fn describe(&self) -> Description;
}

impl<K: Kind, L: LabelSet, const N: usize> Describe for Metric<K, L, N> {
    fn describe(&self) -> Description {
        Self::describe(self)
    }
}

/// The names of an instance, one for each open label: `()`, a name, or a tuple of up to three.
pub trait Instance<const N: usize> {
    /// The names.
    fn names(self) -> [Name; N];
}

impl Instance<0> for () {
    fn names(self) -> [Name; 0] {
        []
    }
}

impl<A: Into<Name>> Instance<1> for A {
    fn names(self) -> [Name; 1] {
        [self.into()]
    }
}

impl<A: Into<Name>, B: Into<Name>> Instance<2> for (A, B) {
    fn names(self) -> [Name; 2] {
        [self.0.into(), self.1.into()]
    }
}

impl<A: Into<Name>, B: Into<Name>, C: Into<Name>> Instance<3> for (A, B, C) {
    fn names(self) -> [Name; 3] {
        [self.0.into(), self.1.into(), self.2.into()]
    }
}
