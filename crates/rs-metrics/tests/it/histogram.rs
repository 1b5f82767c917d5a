use std::time::Duration;

use proptest::prelude::*;
use rs_core::Unit;
use rs_metrics::{Distribution, Histogram, LATENCY, Metric, Registry};

static BOUNDS: [f64; 5] = [0.0, 0.5, 1.0, 10.0, 1e6];
static SIZES: Metric<Histogram> = Metric::histogram("cargo_bytes", "Cargo.", Unit::Bytes, &BOUNDS);
static TIMES: Metric<Histogram> =
    Metric::histogram("cargo_seconds", "Times.", Unit::Seconds, LATENCY);
static BARE: Metric<Histogram> = Metric::histogram("bare", "No bounds.", Unit::Count, &[]);

fn recorded(values: impl IntoIterator<Item = f64>) -> Distribution {
    let registry = Registry::new();
    let sizes = SIZES.bind_in(&registry, ());
    values.into_iter().for_each(|value| sizes.record(value));
    SIZES.read(&registry, (), ()).unwrap()
}

/// As plain as it can be: keeps everything.
fn model(values: &[f64]) -> (Vec<u64>, f64) {
    let numbers: Vec<f64> = values
        .iter()
        .filter(|value| !value.is_nan())
        .map(|value| value.max(0.0))
        .collect();
    let edges: Vec<f64> = BOUNDS.into_iter().chain([f64::INFINITY]).collect();
    let mut counts = vec![0; edges.len()];
    for number in &numbers {
        let bucket = edges.iter().position(|edge| number <= edge).unwrap();
        counts[bucket] += 1;
    }
    (
        counts,
        numbers.iter().filter(|number| number.is_finite()).sum(),
    )
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 0.0..20.0,
        2 => prop::sample::select(BOUNDS.to_vec()),
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -3.0, f64::MIN_POSITIVE, 1e-300,
        ]),
        1 => 1e5..1e12,
    ]
}

proptest! {
    #[test]
    fn counts_and_sum_are_those_of_a_plain_model(values in prop::collection::vec(value(), 0..200)) {
        let spread = recorded(values.iter().copied());
        let (counts, sum) = model(&values);
        prop_assert_eq!(&spread.counts, &counts);
        prop_assert_eq!(spread.count(), counts.iter().sum::<u64>());
        let error = (spread.sum - sum).abs();
        prop_assert!(error <= 1e-9 * (1.0 + sum), "sum {} is not {sum}", spread.sum);
    }

    #[test]
    fn times_are_seconds(nanos in prop::collection::vec(0..10_000_000_000_u64, 0..50)) {
        let registry = Registry::new();
        let times = TIMES.bind_in(&registry, ());
        nanos.iter().for_each(|&nanos| times.record_time(Duration::from_nanos(nanos)));
        let spread = TIMES.read(&registry, (), ()).unwrap();
        for (&bound, upto) in LATENCY.iter().zip(1..) {
            let below: u64 = spread.counts.iter().take(upto).sum();
            let expected = nanos.iter().filter(|&&nanos| nanos as f64 / 1e9 <= bound).count();
            prop_assert_eq!(below, expected as u64);
        }
        let sum = nanos.iter().sum::<u64>() as f64 / 1e9;
        prop_assert!((spread.sum - sum).abs() <= 1e-9 * (1.0 + sum));
    }
}

#[test]
fn a_value_on_a_bound_belongs_to_it() {
    for (place, bound) in BOUNDS.into_iter().enumerate() {
        let spread = recorded([bound]);
        assert_eq!(spread.counts[place], 1, "{bound} in {:?}", spread.counts);
    }
    let second = Duration::from_secs(1);
    let registry = Registry::new();
    TIMES.bind_in(&registry, ()).record_time(second);
    let place = LATENCY.iter().position(|bound| *bound == 1.0).unwrap();
    assert_eq!(TIMES.read(&registry, (), ()).unwrap().counts[place], 1);
}

#[test]
fn what_is_not_a_number_is_left_out() {
    let spread = recorded([f64::NAN, -f64::NAN]);
    assert_eq!((spread.count(), spread.sum), (0, 0.0));
}

#[test]
fn what_is_below_zero_counts_as_zero() {
    let spread = recorded([-1.0, f64::NEG_INFINITY, -0.0]);
    assert_eq!((spread.counts[0], spread.sum), (3, 0.0));
    assert!(spread.sum.is_sign_positive());
}

#[test]
fn an_infinite_value_does_not_spoil_the_sum() {
    let spread = recorded([2.0, f64::INFINITY, 3.0]);
    assert_eq!(spread.counts, [0, 0, 0, 2, 0, 1]);
    assert_eq!(spread.sum, 5.0);
}

#[test]
fn many_bytes_do_not_wrap_the_sum() {
    let gigabyte = f64::from(1 << 30);
    let spread = recorded([gigabyte; 100]);
    assert_eq!(spread.sum, 100.0 * gigabyte);
    let spread = recorded([1e300]);
    assert_eq!((spread.counts[5], spread.sum), (1, 1e300));
}

#[test]
fn the_longest_time_does_not_make_the_sum_fall() {
    let registry = Registry::new();
    let times = TIMES.bind_in(&registry, ());
    let sum = || TIMES.read(&registry, (), ()).unwrap().sum;
    times.record_time(Duration::from_secs(1));
    let mut last = sum();
    for time in [
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_secs(9),
    ] {
        times.record_time(time);
        assert!(sum() >= last, "{last} became {}", sum());
        last = sum();
    }
    assert_eq!(TIMES.read(&registry, (), ()).unwrap().count(), 4);
    assert!(last >= Duration::MAX.as_secs_f64());
}

#[test]
fn without_bounds_there_is_one_bucket() {
    let registry = Registry::new();
    BARE.bind_in(&registry, ()).record(4.0);
    let spread = BARE.read(&registry, (), ()).unwrap();
    assert_eq!((spread.counts, spread.sum), (vec![1], 4.0));
}

#[test]
fn quantiles_are_read_off_the_buckets() {
    let spread = recorded([0.25, 0.75, 5.0, 5.0, 1e9]);
    assert_eq!(spread.quantile(0.0), Some(0.0));
    assert_eq!(spread.quantile(0.2), Some(0.5));
    assert_eq!(spread.quantile(0.4), Some(1.0));
    assert_eq!(spread.quantile(0.6), Some(5.5), "half of the bucket");
    assert_eq!(spread.quantile(1.0), Some(1e6), "above the last bound");
    assert_eq!(spread.quantile(7.0), spread.quantile(1.0));
    assert_eq!(recorded([]).quantile(0.5), None);
}

#[test]
fn what_came_since() {
    let registry = Registry::new();
    let sizes = SIZES.bind_in(&registry, ());
    sizes.record(0.75);
    let then = sizes.spread();
    sizes.record(5.0);
    let since = sizes.spread().since(&then);
    assert_eq!((since.count(), since.sum), (1, 5.0));
    assert_eq!(since.quantile(1.0), Some(10.0));
    let others = TIMES.bind_in(&registry, ()).spread();
    assert_eq!(since.since(&others), since, "another histogram");
}
