use std::{hint::black_box, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use rs_core::{Unit, label_set};
use rs_metrics::{Counter, Gauge, Histogram, LATENCY, Metric, Registry};

label_set! {
    /// A side.
    enum Side: "side" {
        /// Left.
        Left = "left",
        /// Right.
        Right = "right",
    }
}

label_set! {
    /// How far.
    enum Reach: "reach" {
        /// Short.
        Short = "short",
        /// Long.
        Long = "long",
    }
}

static STEPS: Metric<Counter, (Side, Reach), 1> =
    Metric::counter("steps_total", "Steps.").by(["walker"]);
static LEANS: Metric<Gauge, Side, 1> =
    Metric::gauge("leans", "Leans to a side.", Unit::Count).by(["walker"]);
static STRIDES: Metric<Histogram, Side> =
    Metric::histogram("stride_seconds", "Strides.", Unit::Seconds, LATENCY);

#[test]
fn nothing_allocates_after_binding() {
    let registry = Registry::new();
    let (steps, leans) = (
        STEPS.bind_in(&registry, "ann"),
        LEANS.bind_in(&registry, "ann"),
    );
    let strides = STRIDES.bind_in(&registry, ());
    // The first use in a thread counts too: threads are numbered without an allocation.
    let info = std::thread::scope(|scope| {
        let work = || {
            measure(|| {
                for turn in 0..100_u32 {
                    steps[(Side::Left, Reach::Long)].increment();
                    steps[(Side::Right, Reach::Short)].add(3);
                    leans[Side::Left].set(f64::from(turn));
                    leans[Side::Right].add(-0.5);
                    leans.switch_to(Side::Right);
                    strides[Side::Left].record(f64::from(turn));
                    strides[Side::Right].record_time(Duration::from_millis(turn.into()));
                    black_box(steps[(Side::Left, Reach::Long)].value());
                    black_box((steps.clone(), leans[Side::Left].clone()));
                }
            })
        };
        scope.spawn(work).join().unwrap()
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}

#[test]
fn the_test_sees_an_allocation_where_there_is_one() {
    let info: AllocationInfo = measure(|| {
        black_box(Registry::new().gather());
    });
    assert!(info.count_total > 0);
}

#[test]
fn what_comes_and_goes_leaves_nothing() {
    let registry = Registry::new();
    let turn = || {
        drop(LEANS.observe(&registry, "ann", |_| 1.0));
        drop(STEPS.bind_in(&registry, "ann"));
        black_box(registry.gather());
    };
    turn();
    let info = measure(|| (0..1000).for_each(|_| turn()));
    assert!(info.bytes_current <= 0, "{info:?}");
}
