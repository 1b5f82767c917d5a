use std::{
    collections::{BTreeMap, HashMap},
    sync::Barrier,
    thread,
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::{
    MetricKindMask,
    debugging::{DebugValue, DebuggingRecorder, Snapshotter},
};
use rs_core::{Clock, Name, Unit, label_set};
use rs_metrics::{Counter, Forwarder, Gauge, Histogram, Metric, Registry};

use crate::outside::{alone, this_test};

label_set! {
    /// How a post went.
    enum Post: "post" {
        /// It arrived.
        Arrived = "arrived",
        /// It got lost.
        Lost = "lost",
    }
}

static POSTS: Metric<Counter, Post, 1> = Metric::counter("posts_total", "Posts.")
    .by(["office"])
    .capped_at(1);
static QUEUE: Metric<Gauge> = Metric::gauge("post_queue", "Who waits.", Unit::Count);
static WAITS: Metric<Histogram, (), 1> = Metric::histogram(
    "post_wait_seconds",
    "Waits.",
    Unit::Seconds,
    &[0.0, 1.0, 2.0],
)
.by(["office"])
.capped_at(1);
static BARE: Metric<Histogram> = Metric::histogram("post_bare", "No bounds.", Unit::Count, &[]);
static AT_ZERO: Metric<Histogram> =
    Metric::histogram("post_at_zero", "One bound.", Unit::Count, &[0.0]);

/// A recorder that adds up what it is given, as one that is never asked to reset would.
#[derive(Default)]
struct Seen {
    numbers: HashMap<String, f64>,
    values: BTreeMap<String, Vec<f64>>,
}

impl Seen {
    /// What the recorder has now; the snapshot empties it.
    fn take(&mut self, snapshotter: &Snapshotter) {
        for (key, _unit, _help, value) in snapshotter.snapshot().into_vec() {
            let (_, key) = key.into_parts();
            let labels: Vec<_> = key.labels().map(|label| label.value().to_owned()).collect();
            let name = format!("{} {}", key.name(), labels.join(" "))
                .trim_end()
                .to_owned();
            match value {
                DebugValue::Counter(count) => {
                    self.numbers.insert(name, count as f64);
                }
                DebugValue::Gauge(value) => {
                    self.numbers.insert(name, value.into_inner());
                }
                DebugValue::Histogram(values) => {
                    let values = values.into_iter().map(|value| value.into_inner());
                    self.values.entry(name).or_default().extend(values);
                }
            }
        }
    }
}

/// Forwards to a recorder of this thread.
fn forward(forwarder: &Forwarder, recorder: &DebuggingRecorder, seen: &mut Seen) {
    metrics::with_local_recorder(recorder, || forwarder.forward());
    seen.take(&recorder.snapshotter());
}

#[test]
fn every_series_arrives_with_its_labels_also_at_zero() {
    let (registry, recorder, mut seen) =
        (Registry::new(), DebuggingRecorder::new(), Seen::default());
    let posts = POSTS.bind_in(&registry, "north");
    posts[Post::Arrived].add(3);
    QUEUE.bind_in(&registry, ()).set(-4.5);
    let _waits = WAITS.bind_in(&registry, "north");
    forward(&Forwarder::new(registry), &recorder, &mut seen);
    assert_eq!(seen.numbers["posts_total north arrived"], 3.0);
    assert_eq!(seen.numbers["posts_total north lost"], 0.0);
    assert_eq!(seen.numbers["post_queue"], -4.5);
    assert!(seen.values["post_wait_seconds north"].is_empty());
}

#[test]
fn help_arrives_too() {
    let (registry, recorder) = (Registry::new(), DebuggingRecorder::new());
    POSTS.bind_in(&registry, "north");
    metrics::with_local_recorder(&recorder, || Forwarder::new(registry).forward());
    let all = recorder.snapshotter().snapshot().into_vec();
    assert!(
        all.iter()
            .all(|(_, _, help, _)| help.as_deref() == Some("Posts."))
    );
}

#[test]
fn counters_arrive_exactly_however_often_it_forwards() {
    let (registry, recorder, mut seen) =
        (Registry::new(), DebuggingRecorder::new(), Seen::default());
    let posts = POSTS.bind_in(&registry, "north");
    let forwarder = Forwarder::new(registry);
    for total in 1..=20 {
        posts[Post::Lost].increment();
        forward(&forwarder, &recorder, &mut seen);
        forward(&forwarder.clone(), &recorder, &mut seen);
        assert_eq!(seen.numbers["posts_total north lost"], f64::from(total));
    }
}

#[test]
fn each_value_of_a_histogram_arrives_once_in_its_bucket() {
    let (registry, recorder, mut seen) =
        (Registry::new(), DebuggingRecorder::new(), Seen::default());
    let waits = WAITS.bind_in(&registry, "north");
    let forwarder = Forwarder::new(registry);
    for value in [0.0, 0.2, 1.0, 1.5, 77.0] {
        waits.record(value);
    }
    forward(&forwarder, &recorder, &mut seen);
    let [zero, first, second, third, beyond] = seen.values["post_wait_seconds north"][..] else {
        panic!("{:?}", seen.values);
    };
    assert_eq!([zero, first, second, third], [0.0, 1.0, 1.0, 2.0]);
    assert!(beyond > 2.0);
    forward(&forwarder, &recorder, &mut seen);
    assert_eq!(
        seen.values["post_wait_seconds north"].len(),
        5,
        "nothing twice"
    );
    waits.record(0.5);
    forward(&forwarder, &recorder, &mut seen);
    assert_eq!(seen.values["post_wait_seconds north"].len(), 6);
}

#[test]
fn values_above_all_bounds_stay_above_them() {
    let (registry, recorder, mut seen) =
        (Registry::new(), DebuggingRecorder::new(), Seen::default());
    BARE.bind_in(&registry, ()).record(3.0);
    AT_ZERO.bind_in(&registry, ()).record(3.0);
    forward(&Forwarder::new(registry), &recorder, &mut seen);
    assert_eq!(
        seen.values["post_bare"].len(),
        1,
        "a value is lost: {:?}",
        seen.values
    );
    assert!(
        matches!(seen.values["post_at_zero"][..], [value] if value > 0.0),
        "{:?}",
        seen.values
    );
}

#[test]
fn an_instance_that_begins_anew_loses_nothing() {
    let (registry, recorder, mut seen) =
        (Registry::new(), DebuggingRecorder::new(), Seen::default());
    let forwarder = Forwarder::new(registry.clone());
    let add = |office: &'static str, count: u64, seen: &mut Seen| {
        POSTS.bind_in(&registry, office)[Post::Lost].add(count);
        let waits = WAITS.bind_in(&registry, office);
        (0..count).for_each(|_| waits.record(0.5));
        forward(&forwarder, &recorder, seen);
    };
    add("north", 10, &mut seen);
    // The cap is one and nobody holds it: `south` takes the room, and `north` then takes it back.
    add("south", 1, &mut seen);
    add("north", 4, &mut seen);
    assert_eq!(seen.numbers["posts_total north lost"], 14.0);
    assert_eq!(seen.values["post_wait_seconds north"].len(), 14);
}

#[test]
fn forwarding_from_many_threads_hands_over_nothing_twice() {
    alone(this_test!(), "threads", || {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().unwrap();
        let registry = Registry::new();
        let waits = WAITS.bind_in(&registry, "north");
        let forwarder = Forwarder::new(registry);
        let (threads, rounds) = (4, 3_000);
        let together = Barrier::new(threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    together.wait();
                    for _ in 0..rounds {
                        waits.record(0.5);
                        forwarder.forward();
                    }
                });
            }
        });
        forwarder.forward();
        let mut seen = Seen::default();
        seen.take(&snapshotter);
        assert_eq!(
            seen.values["post_wait_seconds north"].len(),
            threads * rounds
        );
    });
}

#[test]
fn a_recorder_that_comes_late_gets_everything() {
    alone(this_test!(), "late", || {
        let registry = Registry::new();
        let (posts, waits) = (
            POSTS.bind_in(&registry, "north"),
            WAITS.bind_in(&registry, "north"),
        );
        let forwarder = Forwarder::new(registry);
        posts[Post::Lost].add(2);
        waits.record(0.5);
        forwarder.forward();
        posts[Post::Lost].increment();
        waits.record(0.5);
        forwarder.forward();

        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        recorder.install().unwrap();
        forwarder.forward();
        let mut seen = Seen::default();
        seen.take(&snapshotter);
        assert_eq!(seen.numbers["posts_total north lost"], 3.0);
        assert_eq!(seen.values["post_wait_seconds north"], [1.0, 1.0]);
    });
}

#[test]
fn two_recorders_each_get_everything_once() {
    let registry = Registry::new();
    let (posts, waits) = (
        POSTS.bind_in(&registry, "north"),
        WAITS.bind_in(&registry, "north"),
    );
    let forwarder = Forwarder::new(registry);
    let mut both = [(); 2].map(|()| (DebuggingRecorder::new(), Seen::default()));
    for _ in 0..3 {
        posts[Post::Lost].increment();
        waits.record(0.5);
        for (recorder, seen) in &mut both {
            forward(&forwarder, recorder, seen);
        }
    }
    for (_, seen) in &both {
        assert_eq!(seen.numbers["posts_total north lost"], 3.0);
        assert_eq!(seen.values["post_wait_seconds north"].len(), 3);
    }
}

/// The exporter forgets an idle series; a handle that somebody kept would count into nothing.
#[test]
fn an_exporter_that_forgets_idle_series_loses_nothing() {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.0, 1.0, 2.0])
        .unwrap()
        .idle_timeout(MetricKindMask::ALL, Some(Duration::from_millis(20)))
        .build_recorder();
    let exporter = recorder.handle();
    let registry = Registry::new();
    let (posts, waits) = (
        POSTS.bind_in(&registry, "north"),
        WAITS.bind_in(&registry, "north"),
    );
    let forwarder = Forwarder::new(registry);
    let forward = || {
        metrics::with_local_recorder(&recorder, || forwarder.forward());
        exporter.render()
    };
    posts[Post::Lost].add(41);
    waits.record(0.5);
    assert!(forward().contains("posts_total{office=\"north\",post=\"lost\"} 41\n"));
    let clock = Clock::default();
    crate::outside::wait_until("the exporter forgets", || {
        clock.sleep_blocking(Duration::from_millis(20));
        !exporter.render().contains("posts_total")
    });
    posts[Post::Lost].increment();
    let page = forward();
    assert!(
        page.contains("posts_total{office=\"north\",post=\"lost\"} 42\n"),
        "{page}"
    );
    assert!(
        page.contains("posts_total{office=\"north\",post=\"arrived\"} 0\n"),
        "{page}"
    );
}

#[test]
fn names_with_anything_in_them_arrive_as_they_are() {
    let (registry, recorder, mut seen) =
        (Registry::new(), DebuggingRecorder::new(), Seen::default());
    let name = Name::of("a\"\n\\ü");
    POSTS.bind_in(&registry, name)[Post::Lost].increment();
    forward(&Forwarder::new(registry), &recorder, &mut seen);
    assert_eq!(seen.numbers["posts_total a\"\n\\ü lost"], 1.0);
}
