//! What each algorithm wishes for after one window.

use std::time::Duration;

use rs_core::Clock;
use rs_policies::{Aimd, FindLimit, Gradient, Sample, Vegas};

use super::MS;

/// All of the limit in use; calls took so many tenths of a millisecond, unloaded ones ten.
fn sample(limit: f64, tenths: u32) -> Sample {
    Sample {
        now: Clock::default().now(),
        limit,
        in_flight: limit as u32,
        calls: 100,
        dropped: 0,
        is_overloaded: false,
        time: Some(tenths * MS / 10),
        unloaded: Some(MS),
    }
}

fn overloaded(limit: f64) -> Sample {
    Sample {
        dropped: 10,
        is_overloaded: true,
        ..sample(limit, 10)
    }
}

#[track_caller]
fn check(mut algorithm: impl FindLimit, sample: Sample, expected: f64) {
    let next = algorithm.next(&sample);
    assert!((next - expected).abs() < 0.01, "{next}, not {expected}");
}

#[test]
fn aimd_adds_one_and_takes_a_tenth() {
    check(Aimd::default(), sample(100.0, 50), 101.0);
    check(Aimd::default(), overloaded(100.0), 90.0);
    let patient = Aimd::default().with_slow_after(2 * MS);
    check(patient, sample(100.0, 20), 101.0);
    check(patient, sample(100.0, 21), 90.0);
    check(
        Aimd::default().with_increase(5.0).with_backoff(0.5),
        overloaded(100.0),
        50.0,
    );
}

#[test]
fn vegas_keeps_a_few_queueing() {
    let vegas = Vegas::default();
    // Of ten none, half a call, one and a half, two and a half: of more it takes some back.
    check(vegas, sample(10.0, 10), 12.0);
    check(
        vegas,
        Sample {
            time: Some(Duration::from_micros(1080)),
            ..sample(10.0, 10)
        },
        11.0,
    );
    check(
        vegas,
        Sample {
            time: Some(Duration::from_micros(1180)),
            ..sample(10.0, 10)
        },
        10.0,
    );
    check(
        vegas,
        Sample {
            time: Some(Duration::from_micros(1340)),
            ..sample(10.0, 10)
        },
        9.0,
    );
    // Far over it goes half of the way back.
    check(vegas, sample(100.0, 20), 100.0 - (50.0 - 12.0) / 2.0);
    // Of many, a few per cent are chance.
    check(
        vegas,
        Sample {
            time: Some(Duration::from_micros(1040)),
            ..sample(100.0, 10)
        },
        102.0,
    );
    check(vegas, overloaded(100.0), 90.0);
    // Nothing is measured: nothing is known.
    check(
        vegas,
        Sample {
            unloaded: None,
            ..sample(100.0, 90)
        },
        100.0,
    );
    // What few calls there are is what counts, not how many there might be.
    check(
        vegas,
        Sample {
            in_flight: 3,
            ..sample(100.0, 15)
        },
        102.0,
    );
}

#[test]
fn gradient_falls_as_far_as_calls_are_slower_but_at_most_by_half() {
    let gradient = Gradient::default().with_tolerance(1.1);
    let at_once = gradient.with_smoothing(rs_core::Share::ALL);
    check(at_once, sample(100.0, 10), 110.0);
    check(at_once, sample(100.0, 22), 50.0);
    check(at_once, sample(100.0, 90), 50.0);
    check(gradient, sample(100.0, 22), 75.0);
    check(gradient, overloaded(100.0), 90.0);
    check(
        gradient,
        Sample {
            time: None,
            ..sample(100.0, 10)
        },
        100.0,
    );
    // A call cannot be faster than unloaded.
    check(at_once, sample(100.0, 1), 110.0);
}
