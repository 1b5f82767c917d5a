use std::io;
use std::net::SocketAddr;

use rs_testkit::http::Request;
use rs_testkit::{Error, Prometheus, program, wait_until};

use crate::life::{self, PATIENCE};
use crate::net::Listener;

const RULES: &str = "groups: [{name: test, rules: [{record: doubled, expr: 2 * answer}]}]";

#[tokio::test]
async fn life() -> Result<(), Error> {
    let exporter = Listener::http("answer 21\n").await;
    let server = Prometheus::builder()
        .scrape("it's \"a\" job", exporter.addr)
        .rules(RULES)
        .start()
        .await?;
    let addr = server.addr();
    wait_until("the rule's result", PATIENCE, || async move {
        Ok::<_, io::Error>(query(addr, "doubled").await?.contains("\"42\""))
    })
    .await?;
    // What it knows after a restart can only come from its data.
    drop(exporter);
    life::check(&server, true, || async move {
        Ok(query(addr, "last_over_time(doubled[10m])")
            .await?
            .contains("\"42\""))
    })
    .await
}

#[tokio::test]
async fn a_mistake_in_the_rules_is_shown() {
    let error = Prometheus::builder()
        .rules("groups: [{nam: test}]")
        .start()
        .await
        .unwrap_err();
    assert!(
        format!("{error:?}").contains("field nam not found"),
        "{error:?}"
    );
}

#[test]
fn promtool_is_here() {
    assert!(program("promtool").unwrap().is_file());
}

async fn query(addr: SocketAddr, expression: &str) -> io::Result<String> {
    Request::get(addr, format!("/api/v1/query?query={expression}"))
        .send()
        .await?
        .ok()
}
