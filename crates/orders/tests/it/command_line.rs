use std::net::TcpListener;

use crate::running::{Running, get, orders};

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let output = orders(args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(
        said.starts_with("error: ") && said.contains(expected),
        "{args:?}: {said}"
    );
}

#[test]
fn bad_input_is_refused_with_what_would_be_good() {
    refused(
        &["--rate", "-5"],
        "--rate: -5 is out of range; allowed: above 0",
    );
    refused(
        &["--scenario", "payment-outag"],
        "did you mean `payment-outage`?",
    );
    refused(&["--qiet"], "did you mean `--quiet`?");
    refused(&["--for", "soon"], "--for");
    refused(&["serve", "coffee"], "there is no service `coffee`");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(
        &["--port", &port],
        &format!("cannot listen on 127.0.0.1:{port}"),
    );
    refused(
        &["--metrics-port", &port],
        "--metrics-port: cannot serve /metrics",
    );
}

#[test]
fn nobody_is_told_while_no_demo_runs() {
    let folder = tempfile::tempdir().unwrap();
    let output = orders(&["do", "payments", "fail"])
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no demo runs")
    );
}

#[test]
fn the_stories_are_listed() {
    let output = orders(&["--list-scenarios"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), 8, "{said}");
    assert!(
        said.lines().all(|line| line.split_whitespace().count() > 5),
        "{said}"
    );
}

#[test]
fn the_last_line_is_for_programs() {
    let output = orders(&["--for", "2s", "--rate", "20", "--quiet", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert!(last["requests"].as_u64().unwrap() > 10, "{last}");
    assert!(
        last["failed"].is_u64() && last["degraded"].is_u64(),
        "{last}"
    );
    assert!(
        last["p50_ms"].as_f64().unwrap() <= last["p99_ms"].as_f64().unwrap(),
        "{last}"
    );
    assert!(last["orders_per_second"].as_f64().unwrap() > 5.0, "{last}");
}

#[test]
fn a_running_demo_takes_orders_faults_and_scrapes() {
    let demo = Running::start(&["--rate", "10"]);
    let ordered = get(&demo.gateway, "POST /orders HTTP/1.1\r\nproduct: 7");
    assert!(ordered.starts_with("HTTP/1.1 20"), "{ordered}");
    let nonsense = get(&demo.gateway, "POST /orders HTTP/1.1\r\nproduct: tea");
    assert!(nonsense.starts_with("HTTP/1.1 400"), "{nonsense}");

    let told = demo.tell("payments fail");
    assert!(told.status.success(), "{told:?}");
    assert_eq!(
        String::from_utf8(told.stdout).unwrap(),
        "fail: payments-1, payments-2\n"
    );
    let ordered = get(&demo.gateway, "POST /orders HTTP/1.1\r\nproduct: 7");
    assert!(
        ordered.starts_with("HTTP/1.1 202"),
        "it is charged later: {ordered}"
    );
    let told = demo.tell("paiments fail");
    let said = String::from_utf8(told.stderr).unwrap();
    assert!(said.contains("did you mean `payments`?"), "{said}");
    assert!(demo.tell("heal").status.success());

    let page = get(&demo.metrics, "GET /metrics HTTP/1.1");
    for metric in [
        "orders_total{result=\"queued\"}",
        "circuit_breaker_state{",
        "balancer_calls_total{",
    ] {
        assert!(page.contains(metric), "{metric} is missing: {page}");
    }
}
