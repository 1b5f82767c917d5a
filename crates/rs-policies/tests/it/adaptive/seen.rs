//! What is exported and shown.

use rs_core::{Clock, Criticality, Directory, Fault, Guard, Outcome, Value};
use rs_metrics::{Reading, Registry};
use rs_policies::{AdaptiveLimit, Saturated, Surroundings};

use super::{MS, fixed};

#[test]
fn numbers_are_exported_and_shown() {
    let ((clock, hand), registry, directory) = (Clock::manual(), Registry::new(), Directory::new());
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_metrics(registry.clone())
        .with_directory(directory.clone());
    let limit = AdaptiveLimit::within(&around, "search", fixed(12)).unwrap();
    for round in 0..40 {
        let permits: Vec<_> = (0..12)
            .map(|_| limit.try_admit(&"x".into()).unwrap())
            .collect();
        assert!(limit.try_admit(&"x".into()).is_err());
        hand.advance(20 * MS);
        for permit in permits {
            permit.finish(match round {
                0 => Fault::throttled().into(),
                _ => Outcome::Success,
            });
        }
    }
    let _inside = limit.try_admit(&"x".into()).unwrap();
    assert_eq!(limit.refused(Saturated::Full, Criticality::Critical), 40);
    let shown = directory.snapshots();
    let shown = &shown.first().unwrap().state;
    assert_eq!(shown.get("in_flight"), Some(&Value::Count(1)));
    assert_eq!(shown.get("dropped"), Some(&Value::Count(12)));
    assert_eq!(
        shown.get("unloaded_call_time").map(ToString::to_string),
        Some("20ms".into())
    );
    assert!(shown.get("last_change").is_some());
    for line in [
        "adaptive_limit search 12",
        "adaptive_in_flight search 1",
        "adaptive_queue_size search 0",
        "adaptive_dropped_calls_total search 12",
        "adaptive_min_rtt_seconds search 0.02",
        "adaptive_rejected_calls_total search full critical 40",
    ] {
        assert!(page(&registry).contains(&line.to_owned()), "{line}");
    }
}

/// Everything that is exported, a line for each series.
pub(crate) fn page(registry: &Registry) -> Vec<String> {
    let mut page = Vec::new();
    for metric in registry.gather() {
        for series in metric.series {
            let value = match series.reading {
                Reading::Counter(count) => count as f64,
                Reading::Gauge(value) => value,
                Reading::Histogram(times) => times.count() as f64,
            };
            let labels: Vec<_> = series.labels.iter().map(|(_, value)| *value).collect();
            let labels = labels.join(" ");
            page.push(format!("{} {labels} {value}", metric.description.name));
        }
    }
    page
}
