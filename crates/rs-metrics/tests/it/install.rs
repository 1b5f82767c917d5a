use std::time::Duration;

use rs_core::{Clock, Unit};
use rs_metrics::{Counter, Exporter, Gauge, Histogram, InstallError, LATENCY, Metric, Registry};

use crate::{
    outside::{alone, this_test, wait_until},
    page::parse,
    text::promtool_accepts,
};

static SEEN: Metric<Counter, (), 1> = Metric::counter("guests_total", "Guests.").by(["door"]);
static BOTH: Metric<Counter> = Metric::counter("both_total", "Counted here and there.");
static BOTH_GAUGE: Metric<Gauge> = Metric::gauge("both_level", "Here and there.", Unit::Count);
static BOTH_TIMES: Metric<Histogram> =
    Metric::histogram("both_seconds", "Here and there.", Unit::Seconds, LATENCY);

#[test]
fn handles_count_before_and_after() {
    alone(this_test!(), "before", || {
        let before = SEEN.bind("front");
        before.increment();
        let exported = Exporter::new().install().unwrap();
        assert_eq!(exported.address(), None, "none was asked for");
        before.increment();
        let after = SEEN.bind("front");
        after.increment();
        SEEN.bind("back");
        let page = parse(&exported.render()).unwrap();
        assert_eq!(page.value("guests_total", &[("door", "front")]), 3.0);
        assert_eq!(page.value("guests_total", &[("door", "back")]), 0.0);
    });
}

#[test]
fn its_own_series_are_there_from_the_start() {
    alone(this_test!(), "own", || {
        let page = parse(&Exporter::new().install().unwrap().render()).unwrap();
        assert_eq!(page.value("signals_lost_total", &[]), 0.0);
        assert_eq!(page.value("names_folded_total", &[]), 0.0);
    });
}

#[test]
fn the_second_is_told_who_was_first() {
    alone(this_test!(), "second", || {
        let line = line!() + 1;
        let exported = Exporter::new().serve_on("127.0.0.1:0").install().unwrap();
        let error = Exporter::new().install().unwrap_err();
        let said = error.to_string();
        let first = format!("metrics were installed before, at {}:{line}:", file!());
        assert!(said.starts_with(&first), "{said}");
        let InstallError::Twice { first } = error else {
            panic!("{error:?}");
        };
        assert_eq!(first.line(), line);
        SEEN.bind("front").increment();
        assert!(
            exported
                .render()
                .contains("guests_total{door=\"front\"} 1\n"),
            "the first works"
        );
    });
}

#[test]
fn of_many_at_once_one_wins() {
    alone(this_test!(), "race", || {
        let wins: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| usize::from(Exporter::new().install().is_ok())))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
    });
}

#[test]
fn a_foreign_recorder_is_an_error_also_in_async_code() {
    let test = this_test!();
    for scenario in ["foreign", "foreign in async code"] {
        alone(test, scenario, || {
            metrics::set_global_recorder(metrics::NoopRecorder).unwrap();
            let install = || {
                let error = Exporter::new()
                    .serve_on("127.0.0.1:0")
                    .install()
                    .unwrap_err();
                assert!(matches!(error, InstallError::OtherRecorder));
                assert!(
                    error
                        .to_string()
                        .starts_with("other code installed a recorder")
                );
            };
            if scenario == "foreign" {
                return install();
            }
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async { install() });
        });
    }
}

#[test]
fn beside_a_foreign_recorder_the_registry_can_be_exported_alone() {
    alone(this_test!(), "beside", || {
        metrics::set_global_recorder(metrics::NoopRecorder).unwrap();
        let exported = Exporter::new().without_facade().install().unwrap();
        SEEN.bind("front").increment();
        let page = parse(&exported.render()).unwrap();
        assert_eq!(page.value("guests_total", &[("door", "front")]), 1.0);
        let again = Exporter::new().without_facade().install();
        assert!(matches!(again, Err(InstallError::Twice { .. })));
    });
}

#[test]
fn no_buckets_are_an_error_and_leave_nothing_behind() {
    alone(this_test!(), "buckets", || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let exporter = Exporter::new().serve_on("127.0.0.1:0");
            let error = exporter.clone().facade_buckets(&[]).install().unwrap_err();
            assert!(matches!(error, InstallError::NoBuckets), "{error}");
            assert!(exporter.install().is_ok());
        });
    });
}

#[test]
fn it_installs_from_any_runtime_and_scrapes_while_the_runtime_is_blocked() {
    let test = this_test!();
    for scenario in ["current thread", "many threads"] {
        alone(test, scenario, || {
            let mut builder = match scenario {
                "current thread" => tokio::runtime::Builder::new_current_thread(),
                _ => tokio::runtime::Builder::new_multi_thread(),
            };
            let runtime = builder.build().unwrap();
            runtime.block_on(async {
                let exported = Exporter::new().serve_on("127.0.0.1:0").install().unwrap();
                // Blocks this runtime's only thread.
                let answer = crate::server::ask(exported.address().unwrap(), "GET", "/metrics");
                assert_eq!(answer.status, "HTTP/1.1 200 OK");
            });
        });
    }
}

#[test]
fn histograms_of_the_facade_have_the_buckets_they_were_given() {
    alone(this_test!(), "facade", || {
        let exporter = Exporter::new().facade_buckets(&[1.0, 2.0]);
        let exported = exporter.install().unwrap();
        for value in [0.5, 1.0, 1.5, 99.0] {
            metrics::histogram!("foreign", "path" => "a\"b\\").record(value);
        }
        let page = parse(&exported.render()).unwrap();
        assert_eq!(page.0["foreign"].kind, "histogram", "not a summary");
        let bucket = |le| page.value("foreign_bucket", &[("path", "a\"b\\"), ("le", le)]);
        assert_eq!([bucket("1"), bucket("2"), bucket("+Inf")], [2.0, 3.0, 4.0]);
    });
}

#[test]
fn the_facade_gets_conventional_names() {
    alone(this_test!(), "names", || {
        let exported = Exporter::new().install().unwrap();
        metrics::describe_counter!("foreign", metrics::Unit::Bytes, "Sent.");
        metrics::counter!("foreign").increment(1);
        assert!(
            exported
                .render()
                .contains("# TYPE foreign_bytes_total counter\n")
        );
    });
}

/// Prometheus refuses a page that says twice what a name is.
#[test]
fn a_name_that_both_have_is_on_the_page_once_and_counted() {
    alone(this_test!(), "both", || {
        BOTH.bind(()).add(5);
        BOTH_GAUGE.bind(()).set(5.0);
        BOTH_TIMES.bind(()).record(0.1);
        let exported = Exporter::new().install().unwrap();
        metrics::describe_counter!("both_total", "Counted there.");
        metrics::counter!("both_total").increment(70);
        metrics::counter!("both", "other" => "labels").increment(70);
        metrics::gauge!("both_level").set(70.0);
        metrics::histogram!("both_seconds").record(70.0);
        metrics::describe_counter!("only_there_total", "Only there.");
        metrics::counter!("only_there_total").increment(7);

        let conflicts = |name: &str| {
            let text = exported.render();
            let page = parse(&text).unwrap();
            promtool_accepts(&text);
            assert_eq!(page.value("both_total", &[]), 5.0);
            assert_eq!(
                page.0["both_total"].samples.len(),
                1,
                "what is declared is the truth"
            );
            assert_eq!(page.value("both_level", &[]), 5.0);
            assert_eq!(page.value("both_seconds_count", &[]), 1.0);
            assert_eq!(page.value("only_there_total", &[]), 7.0);
            page.find("metrics_conflicts_total", &[("metric", name)])
        };
        wait_until("the conflict is counted", || {
            conflicts("both_total").is_some()
        });
        for name in ["both_total", "both_level", "both_seconds"] {
            assert_eq!(
                conflicts(name),
                Some(1.0),
                "once, however often somebody looks"
            );
        }
        assert_eq!(conflicts("only_there_total"), None);
    });
}

/// Without upkeep each sample costs memory until somebody scrapes. Nobody does here.
#[test]
fn the_memory_of_the_facade_does_not_grow_without_scrapes() {
    alone(this_test!(), "upkeep", || {
        let _exported = Exporter::new().install().unwrap();
        let histogram = metrics::histogram!("foreign");
        let record = |samples: usize| {
            let before = resident();
            (0..samples).for_each(|_| histogram.record(0.1));
            resident().saturating_sub(before)
        };
        let samples = 4_000_000;
        let grown = record(samples);
        assert!(
            grown > samples * 8,
            "the facade keeps samples: {grown} bytes"
        );
        // Every chunk takes new memory until upkeep has made room for it.
        let (chunk, mut without) = (100_000, 0);
        wait_until("samples cost no memory any more", || {
            Clock::default().sleep_blocking(Duration::from_millis(25));
            let grows = record(chunk) > chunk * 8 / 2;
            without = if grows { 0 } else { without + 1 };
            without >= 5
        });
    });
}

/// The bytes this process really has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

#[test]
fn the_registry_of_the_process_is_one() {
    let name = "only here";
    SEEN.bind_in(Registry::global(), name).add(2);
    assert_eq!(SEEN.read(Registry::global(), name, ()), Some(2));
    assert_eq!(SEEN.bind(name).value(), 2);
}
