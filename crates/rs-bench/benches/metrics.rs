//! The cost of counting, beside a bare atomic and the other handles that people use.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusBuilder;
use rs_bench::{Bench, Goal};
use rs_core::{Unit, label_set};
use rs_metrics::{Counter, Gauge, Histogram, LATENCY, Metric};

label_set! {
    /// How a call went.
    enum Outcome: "outcome" {
        /// Well.
        Success = "success",
        /// Badly.
        Failure = "failure",
    }
}

static CALLS: Metric<Counter, Outcome, 1> =
    Metric::counter("bench_calls_total", "Calls.").by(["instance"]);
static TOOK: Metric<Histogram, (), 1> =
    Metric::histogram("bench_call_seconds", "Time.", Unit::Seconds, LATENCY).by(["instance"]);
static IN_FLIGHT: Metric<Gauge, (), 1> =
    Metric::gauge("bench_in_flight", "Calls in flight.", Unit::Count).by(["instance"]);

fn main() {
    let recorder = match PrometheusBuilder::new().set_buckets(LATENCY) {
        Ok(builder) => builder.build_recorder(),
        Err(error) => panic!("{error}"),
    };
    let exporter = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        panic!("somebody installed a recorder");
    }

    let mut bench = Bench::from_args("metrics");

    let ours = CALLS.bind("bench");
    let atomic = AtomicU64::new(0);
    let cached = metrics::counter!("facade_calls_total", "outcome" => "success");
    let client = prometheus_client::metrics::counter::Counter::<u64>::default();
    bench
        .case("counter")
        .ours(|| ours[black_box(Outcome::Success)].increment())
        .peer("bare atomic", || {
            black_box(atomic.fetch_add(1, Relaxed));
        })
        .peer("metrics, cached handle", || cached.increment(1))
        .peer("metrics, macro", || {
            metrics::counter!("macro_calls_total", "outcome" => "success").increment(1);
        })
        .peer("prometheus-client", || {
            client.inc();
        })
        .goal(Goal::times(1.5, "bare atomic"))
        .run();

    let took = TOOK.bind("bench");
    let cached = metrics::histogram!("facade_call_seconds");
    let client = prometheus_client::metrics::histogram::Histogram::new(LATENCY.iter().copied());
    bench
        .case("histogram")
        .ours(|| took.record_time(black_box(Duration::from_micros(1234))))
        .peer("metrics, cached handle", || {
            cached.record(black_box(0.001_234));
        })
        .peer("prometheus-client", || client.observe(black_box(0.001_234)))
        .goal(Goal::times(1.0, "metrics, cached handle"))
        .clearing(|| exporter.run_upkeep())
        .run();

    let in_flight = IN_FLIGHT.bind("bench");
    let cached = metrics::gauge!("facade_in_flight");
    bench
        .case("gauge, set")
        .ours(|| in_flight.set(black_box(3.0)))
        .peer("metrics, cached handle", || cached.set(black_box(3.0)))
        .run();

    bench.finish();
}
