use std::process::Output;

use http::{HeaderMap, HeaderValue};
use rs_core::{Call, Correlation};
use rs_metrics::tracing::{Incoming, Logs, Tracing, TracingError, call_span, write_headers};
use serde_json::Value;

use crate::outside::{self, alone, finish, start, text, this_test};

const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn correlation() -> Correlation {
    ID.parse().unwrap()
}

/// The lines that are JSON objects; the test runner writes others.
fn json_lines(output: &Output) -> Vec<Value> {
    let all = text(&output.stderr);
    let lines = all.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[track_caller]
fn line<'a>(lines: &'a [Value], message: &str) -> &'a Value {
    lines
        .iter()
        .find(|line| line["message"] == message)
        .unwrap_or_else(|| panic!("no `{message}` in {lines:#?}"))
}

/// The correlation ids of the spans that a line happened in.
fn ids(line: &Value) -> Vec<&str> {
    let spans = line["spans"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    spans
        .iter()
        .filter_map(|span| span["correlation_id"].as_str())
        .collect()
}

#[test]
fn json_lines_carry_the_correlation_id_wherever_they_are() {
    let output = alone(this_test!(), "json", || {
        let traced = Tracing::new("orders").logs(Logs::Json).install().unwrap();
        tracing::info!("outside");
        let call = Call::new("checkout")
            .with_correlation(correlation())
            .at_attempt(3);
        call_span(&call).in_scope(|| {
            tracing::info!(order = 17, "inside");
            tracing::info_span!("deeper", step = "pay").in_scope(|| tracing::warn!("nested"));
            tracing::debug!("too quiet");
        });
        tracing::info!("a \"quoted\"\nsecond line");
        call_span(&Call::new("bare")).in_scope(|| tracing::info!("without an id"));
        traced.shutdown();
        tracing::info!("after the end");
    });
    let Some(output) = output else { return };
    let lines = json_lines(&output);
    let inside = line(&lines, "inside");
    assert_eq!(
        (inside["level"].as_str(), inside["order"].as_u64()),
        (Some("INFO"), Some(17))
    );
    assert!(inside["timestamp"].is_string());
    assert_eq!(ids(inside), [ID]);
    let span = &inside["spans"][0];
    assert_eq!(
        (span["call"].as_str(), span["attempt"].as_u64()),
        (Some("checkout"), Some(3))
    );
    let nested = line(&lines, "nested");
    assert_eq!(ids(nested), [ID]);
    assert_eq!(nested["spans"][1]["step"], "pay");
    assert!(ids(line(&lines, "outside")).is_empty());
    assert!(ids(line(&lines, "without an id")).is_empty());
    assert_eq!(line(&lines, "a \"quoted\"\nsecond line")["level"], "INFO");
    line(&lines, "after the end");
    assert!(lines.iter().all(|line| line["message"] != "too quiet"));
}

/// Whoever turns the noise down still wants to know whose error it is.
#[test]
fn errors_carry_the_correlation_id_whatever_the_filter() {
    let test = this_test!();
    for filter in ["warn", "error", "off,it=error", "warn,rs_metrics=error"] {
        let output = alone(test, filter, || {
            let _traced = Tracing::new("orders")
                .logs(Logs::Json)
                .filter(filter)
                .install()
                .unwrap();
            let call = Call::new("checkout").with_correlation(correlation());
            call_span(&call).in_scope(|| {
                tracing::error!("broken");
                tracing::info!("too quiet");
            });
        });
        let Some(output) = output else { continue };
        let lines = json_lines(&output);
        assert_eq!(ids(line(&lines, "broken")), [ID], "filter `{filter}`");
        assert_eq!(lines.len(), 1, "filter `{filter}`: {lines:#?}");
    }
}

#[test]
fn text_lines_are_for_people_and_carry_it_too() {
    let output = alone(this_test!(), "text", || {
        let _traced = Tracing::new("orders")
            .filter("info,quiet=warn")
            .install()
            .unwrap();
        let call = Call::new("checkout").with_correlation(correlation());
        call_span(&call).in_scope(|| tracing::info!("inside"));
        tracing::info!(target: "quiet", "too quiet");
    });
    let Some(output) = output else { return };
    let all = text(&output.stderr);
    let inside = all.lines().find(|line| line.ends_with("inside")).unwrap();
    assert!(
        inside.contains(ID) && inside.contains("checkout"),
        "{inside}"
    );
    assert!(!all.contains("too quiet"), "{all}");
    assert!(
        !all.contains('\u{1b}'),
        "no colours where nobody sees them: {all:?}"
    );
}

#[test]
fn off_writes_nothing() {
    let output = alone(this_test!(), "off", || {
        let _traced = Tracing::new("orders").logs(Logs::Off).install().unwrap();
        tracing::error!("nobody hears");
    });
    if let Some(output) = output {
        assert!(!text(&output.stderr).contains("nobody hears"));
    }
}

/// A log collector that went away must not take the service with it.
#[test]
fn logs_that_nobody_reads_harm_nobody() {
    let (test, scenario) = (this_test!(), "closed");
    if !outside::is_scenario() {
        let mut child = start(test, scenario);
        drop(child.stderr.take());
        let output = finish(child);
        let said = text(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("still here"), "{said}");
        return;
    }
    alone(test, scenario, || {
        let _traced = Tracing::new("orders").logs(Logs::Json).install().unwrap();
        for _ in 0..10_000 {
            tracing::info!("nobody reads this");
        }
        println!("still here");
    });
}

#[test]
fn a_filter_that_cannot_be_read_is_quoted_with_an_example() {
    #[track_caller]
    fn refused(filter: &str) {
        let error = Tracing::new("orders").filter(filter).install().unwrap_err();
        assert!(matches!(error, TracingError::Filter(_)));
        let said = error.to_string();
        let begin = format!("cannot read the filter `{filter}`: ");
        assert!(said.starts_with(&begin), "{said}");
        assert!(said.contains("`info,hyper=warn`"), "{said}");
    }
    refused("hyper=loud");
    refused("a=b=c");
    refused("info,,warn");
    refused("");
    refused("inof");
    refused("info hyper=warn");
}

#[test]
fn a_filter_may_have_spaces() {
    alone(this_test!(), "spaces", || {
        let _traced = Tracing::new("orders")
            .filter(" info , hyper = warn ")
            .install()
            .unwrap();
    });
}

#[test]
fn the_second_is_an_error() {
    let test = this_test!();
    alone(test, "second", || {
        let line = line!() + 1;
        let _first = Tracing::new("orders").install().unwrap();
        let error = Tracing::new("orders").install().unwrap_err();
        let first = format!("logs and spans were set up before, at {}:{line}:", file!());
        assert!(error.to_string().starts_with(&first), "{error}");
    });
    alone(test, "foreign", || {
        tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::new()).unwrap();
        let error = Tracing::new("orders").install().unwrap_err();
        assert!(matches!(error, TracingError::Twice { first: None }));
        assert_eq!(
            error.to_string(),
            "logs and spans were set up before, by other code"
        );
    });
    alone(test, "after a bad filter", || {
        assert!(Tracing::new("orders").filter("a=b=c").install().is_err());
        assert!(Tracing::new("orders").install().is_ok());
    });
}

fn headers<const N: usize>(all: [(&'static str, &str); N]) -> HeaderMap {
    let pairs =
        all.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
    pairs.into_iter().collect()
}

#[test]
fn who_asks_is_read_from_the_headers() {
    #[track_caller]
    fn check<const N: usize>(all: [(&'static str, &str); N], expected: &str) {
        let read = Incoming::read(&headers(all)).correlation();
        assert_eq!(read.to_string(), expected, "{all:?}");
    }
    let parent = format!("00-{ID}-00f067aa0ba902b7-01");
    check([("x-correlation-id", ID)], ID);
    check([("X-Correlation-Id", &ID.to_uppercase())], ID);
    check(
        [("x-correlation-id", "4bf92f35-77b3-4da6-a3ce-929d0e0e4736")],
        ID,
    );
    check([("x-correlation-id", &format!("  {ID} "))], ID);
    check([("traceparent", &parent)], ID);
    check(
        [
            ("traceparent", &parent),
            ("x-correlation-id", "11111111111111111111111111111111"),
        ],
        "11111111111111111111111111111111",
    );
    check([("traceparent", &parent), ("x-correlation-id", "  ")], ID);
    check(
        [(
            "traceparent",
            &format!("cc-{ID}-00f067aa0ba902b7-01-future"),
        )],
        ID,
    );
    // Any other text becomes an id, always the same one.
    let text = Incoming::read(&headers([("x-correlation-id", "order 17")])).correlation();
    check([("x-correlation-id", "order 17")], &text.to_string());
    assert_ne!(text.to_string(), ID);
}

#[test]
fn what_is_no_id_becomes_a_fresh_one() {
    #[track_caller]
    fn check<const N: usize>(all: [(&'static str, &str); N]) {
        let read = || Incoming::read(&headers(all)).correlation();
        assert_ne!(read(), read(), "{all:?}");
    }
    check([]);
    check([("x-correlation-id", "")]);
    check([("traceparent", "")]);
    check([("traceparent", "garbage")]);
    check([(
        "traceparent",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    )]);
    check([("traceparent", "00-4bf92f35-00f067aa0ba902b7-01")]);
    check([(
        "traceparent",
        "00-zzz92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )]);
    check([(
        "traceparent",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )]);
    check([("traceparent", "-----")]);
    let mut bytes = HeaderMap::new();
    bytes.insert(
        "x-correlation-id",
        HeaderValue::from_bytes(&[0xff, 0xfe]).unwrap(),
    );
    bytes.insert("traceparent", HeaderValue::from_bytes(&[0xff; 55]).unwrap());
    let read = || Incoming::read(&bytes).correlation();
    assert_ne!(read(), read());
}

#[test]
fn an_endless_header_does_no_harm() {
    let long = "4".repeat(1 << 20);
    let read = || Incoming::read(&headers([("x-correlation-id", long.as_str())])).correlation();
    assert_eq!(read(), read());
}

#[test]
fn who_asks_is_written_into_the_headers() {
    let call = Call::new("charge").with_correlation(correlation());
    let mut written = headers([("x-correlation-id", "stale"), ("x-other", "kept")]);
    write_headers(&call, &mut written);
    assert_eq!(written["x-correlation-id"], ID);
    assert_eq!(written.get_all("x-correlation-id").iter().count(), 1);
    assert_eq!(written["x-other"], "kept");
    assert!(!written.contains_key("traceparent"), "there is no span");
    assert_eq!(
        Incoming::read(&written).correlation(),
        correlation(),
        "there and back"
    );

    let mut none = HeaderMap::new();
    write_headers(&Call::new("charge"), &mut none);
    assert!(none.is_empty());
}

#[test]
fn the_span_of_who_asks_has_the_id_of_who_asks() {
    let output = alone(this_test!(), "incoming", || {
        let _traced = Tracing::new("orders").logs(Logs::Json).install().unwrap();
        let incoming = Incoming::read(&headers([("x-correlation-id", ID)]));
        // The call need not have it.
        incoming
            .span(&Call::new("checkout"))
            .in_scope(|| tracing::info!("inside"));
    });
    let Some(output) = output else { return };
    assert_eq!(ids(line(&json_lines(&output), "inside")), [ID]);
}
