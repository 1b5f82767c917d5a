use std::{fmt::Debug, panic::UnwindSafe};

use rs_core::{Label, LabelSet};
use rs_metrics::{
    Catalogue, Counter, Describe, Description, Distribution, Family, Gathered, Gauge, Histogram,
    Metric, MetricKind, Observed, Reading, Registry, Series,
};

const fn shared<T: Send + Sync + Unpin + Debug + 'static>() {}
const fn cloned<T: Clone>() {}
#[cfg(any(feature = "prometheus", feature = "tracing"))]
const fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
const fn compares<T: PartialEq>() {}
const fn survives<T: UnwindSafe>() {}

/// A label that is neither `Debug` nor `Hash` must not make a family less.
#[derive(Clone, Copy)]
struct Plain;

impl Label for Plain {
    const KEY: &'static str = "plain";
    const ALL: &'static [Self] = &[Self];
    const VALUES: &'static [&'static str] = &["plain"];

    fn index(self) -> usize {
        0
    }
}

#[test]
fn every_public_type_is_what_it_should_be() {
    shared::<Catalogue>();
    shared::<Counter>();
    shared::<Description>();
    shared::<Distribution>();
    shared::<Family<Counter>>();
    shared::<Family<Histogram, (Plain, Plain)>>();
    shared::<Gathered>();
    shared::<Gauge>();
    shared::<Histogram>();
    shared::<Metric<Gauge, u8, 2>>();
    shared::<MetricKind>();
    shared::<Observed>();
    shared::<Reading>();
    shared::<Registry>();
    shared::<Series>();

    cloned::<Catalogue>();
    cloned::<Counter>();
    cloned::<Family<Gauge, Plain>>();
    cloned::<Gauge>();
    cloned::<Histogram>();
    cloned::<Registry>();

    compares::<(
        Description,
        Distribution,
        Gathered,
        MetricKind,
        Reading,
        Series,
    )>();
    survives::<(Counter, Gauge, Histogram)>();

    let _described: &dyn Describe = &Metric::<Counter>::counter("x_total", "");
    assert_eq!(<Plain as LabelSet>::at(0).map(LabelSet::place), Some(0));
}

#[cfg(feature = "prometheus")]
#[test]
fn those_of_the_exporter_too() {
    use rs_metrics::{Exported, Exporter, InstallError};
    shared::<Exporter>();
    shared::<Exported>();
    shared::<InstallError>();
    cloned::<(Exporter, Exported)>();
    is_error::<InstallError>();
}

#[cfg(feature = "facade")]
#[test]
fn those_of_the_forwarder_too() {
    shared::<rs_metrics::Forwarder>();
    cloned::<rs_metrics::Forwarder>();
}

#[cfg(feature = "tracing")]
#[test]
fn those_of_tracing_too() {
    use rs_metrics::tracing::{Incoming, Logs, Traced, Tracing, TracingError};
    shared::<Incoming>();
    shared::<Logs>();
    shared::<Traced>();
    shared::<Tracing>();
    shared::<TracingError>();
    cloned::<(Incoming, Logs, Tracing)>();
    is_error::<TracingError>();
}
