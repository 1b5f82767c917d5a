use rs_balance::{Balancer, BalancerConfig, Cause, Endpoint, NoEndpoint, Strategy, metrics};
use rs_core::{Action, Call, ControlError, Directory, Mandate, Outcome, Share};
use rs_metrics::Registry;
use std::time::Duration;

use crate::support::{around, call, endpoints, shares};

fn by() -> Mandate {
    Mandate::new("anna", "a drill")
}

#[test]
#[expect(clippy::result_large_err, reason = "the directory's own error")]
fn it_is_listed_shown_and_steered() {
    let (around, _) = around();
    let directory = Directory::new();
    let around = around.with_directory(directory.clone());
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let balancer: Balancer<u32> = Balancer::within(&around, "search", config).unwrap();
    balancer.update(endpoints(3));
    let tell = |action: Action| directory.control("balancer", "search", &action, &by());
    tell(Action::new("eject").with("id", "e1")).unwrap();
    assert_eq!(shares(&balancer, 90).len(), 2);
    let state = directory.snapshots()[0].state.to_string();
    assert!(state.contains("author: anna"), "{state}");
    assert!(matches!(
        tell(Action::new("eject").with("id", "e9")),
        Err(ControlError::NotNow(_))
    ));
    assert!(matches!(
        tell(Action::new("eject")),
        Err(ControlError::Arguments(_))
    ));
    assert!(matches!(
        tell(Action::new("restore").with("id", "e2")),
        Err(ControlError::NotNow(_))
    ));
    tell(Action::new("restore").with("id", "e1")).unwrap();
    tell(Action::new("drain").with("id", "e2")).unwrap();
    assert_eq!(
        shares(&balancer, 90).keys().copied().collect::<Vec<_>>(),
        [0, 1]
    );
    #[cfg(feature = "serde")]
    {
        use rs_core::Value;
        let config = Value::map([("strategy", Value::from("random"))]);
        let reconfigure = |config: Value| tell(Action::new("reconfigure").with("config", config));
        reconfigure(config).unwrap();
        assert_eq!(*balancer.config().strategy(), Strategy::Random);
        assert!(reconfigure(Value::map([("strategy", Value::from("rondom"))])).is_err());
    }
    drop(balancer);
    assert!(directory.list().is_empty(), "it is not kept alive");
}

#[test]
fn metrics_say_what_happened() {
    let (around, _) = around();
    let registry = Registry::new();
    let around = around.with_metrics(registry.clone());
    let config = BalancerConfig::new(Strategy::RoundRobin).with_panic_below(Share::NONE);
    let balancer: Balancer<u32> = Balancer::within(&around, "search", config).unwrap();
    assert!(balancer.pick(&call()).is_none());
    balancer.update(endpoints(2));
    let end = |outcome| balancer.pick(&call()).unwrap().finish(outcome);
    (0..7).for_each(|_| end(Outcome::Success));
    (0..3).for_each(|_| end(Outcome::Ignored));
    drop(balancer.pick(&call()));
    for _ in 0..9 {
        let lease = balancer.pick(&call()).unwrap();
        let outcome = if *lease == 1 {
            Outcome::TRANSIENT
        } else {
            Outcome::Success
        };
        lease.finish(outcome);
        if shares(&balancer, 1).is_empty() {
            break;
        }
    }
    let _held = balancer.pick(&call());
    let read = |outcome| metrics::CALLS.read(&registry, "search", outcome).unwrap();
    assert_eq!(read(metrics::Ended::Ignored), 3);
    assert_eq!(
        read(metrics::Ended::Success) + read(metrics::Ended::Failure),
        16
    );
    assert!(read(metrics::Ended::Cancelled) >= 1);
    assert_eq!(metrics::IN_FLIGHT.read(&registry, "search", ()), Some(1.0));
    assert_eq!(
        metrics::REFUSED.read(&registry, "search", NoEndpoint::Empty),
        Some(1)
    );
    let before = read(metrics::Ended::Success);
    balancer.update([]);
    assert_eq!(
        read(metrics::Ended::Success),
        before,
        "what those counted who are gone stays"
    );
}

#[test]
fn ejections_are_counted_and_told() {
    let (around, _) = around();
    let registry = Registry::new();
    let recorder = around.recorder().clone();
    let around = around.with_metrics(registry.clone());
    let balancer: Balancer<u32> =
        Balancer::within(&around, "search", BalancerConfig::new(Strategy::RoundRobin)).unwrap();
    balancer.update(endpoints(2));
    for _ in 0..20 {
        let lease = balancer.pick(&call()).unwrap();
        let outcome = if *lease == 1 {
            Outcome::TRANSIENT
        } else {
            Outcome::Success
        };
        lease.finish(outcome);
    }
    let ejections = metrics::EJECTIONS.read(&registry, "search", Cause::ConsecutiveFailures);
    assert_eq!(ejections, Some(1));
    let ejected = metrics::ENDPOINTS.read(&registry, "search", metrics::EndpointState::Ejected);
    assert_eq!(ejected, Some(1.0));
    let told: Vec<String> = recorder
        .recent(10)
        .iter()
        .map(|recorded| recorded.signal.to_string())
        .collect();
    assert!(
        told.contains(
            &"balancer search: ejected an endpoint for 30s, 5 calls failed in a row (limit 5): e1"
                .to_owned()
        ),
        "{told:#?}"
    );
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "as a user would")]
async fn somebody_may_keep_house() {
    let around = rs_metrics::Surroundings::apart();
    let balancer: Balancer<u32> =
        Balancer::within(&around, "search", BalancerConfig::new(Strategy::RoundRobin)).unwrap();
    balancer.update(endpoints(2));
    let keeping = tokio::spawn(balancer.keep());
    for _ in 0..20 {
        let lease = balancer.pick(&call()).unwrap();
        let outcome = if *lease == 1 {
            Outcome::TRANSIENT
        } else {
            Outcome::Success
        };
        lease.finish(outcome);
    }
    assert_eq!(shares(&balancer, 10).len(), 1);
    let generation = balancer.generation();
    around
        .clock()
        .sleep(std::time::Duration::from_secs(31))
        .await;
    assert!(balancer.generation() > generation, "without any pick");
    assert_eq!(shares(&balancer, 10).len(), 2);
    let endpoints = Endpoint::new("x", 1);
    balancer.update([endpoints]);
    drop(balancer);
    around
        .clock()
        .sleep(std::time::Duration::from_secs(3700))
        .await;
    assert!(
        keeping.is_finished(),
        "it does not keep a balancer that is gone"
    );
}

#[tokio::test]
async fn calls_and_operations_go_through() {
    use rs_core::{Failure, Operation};
    let (around, _) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let balancer: Balancer<u32> = Balancer::within(&around, "search", config).unwrap();
    let query = balancer.through(async |server: u32, call: Call| {
        if call.attempt() == 1 {
            Err(server)
        } else {
            Ok(server)
        }
    });
    let nobody = query.attempt(&call()).await.unwrap_err();
    assert!(nobody.is_rejected());
    balancer.update(endpoints(2));
    let first = call();
    let Err(Failure::Operation { error: failed, .. }) = query.attempt(&first).await else {
        panic!("the first attempt fails");
    };
    let other = query.attempt(&first.at_attempt(2)).await.unwrap();
    assert_ne!(failed, other, "a retry goes elsewhere");
    let value = balancer
        .call("query", async |server, _| Ok::<_, ()>(*server))
        .await;
    assert!(value.is_ok());
    assert_eq!(balancer.in_flight(), 0);
}

/// What a time limit around it ends is dropped. Were that a cancelled call, a server that hangs would never be
/// ejected.
#[tokio::test]
async fn what_a_time_limit_ends_counts_against_the_endpoint() {
    use rs_core::Operation;
    let (around, hand) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let balancer: Balancer<u32> = Balancer::within(&around, "search", config).unwrap();
    balancer.update(endpoints(1));
    let hangs = balancer.through(async |_: u32, _: Call| {
        std::future::pending::<()>().await;
        Ok::<_, ()>(())
    });
    let limit = Duration::from_millis(100);
    for (name, waited, expected) in [
        ("ended by the limit", limit, "{failures_in_a_row: 1}"),
        ("the caller left", limit / 2, "{failures_in_a_row: 0}"),
    ] {
        balancer.update([]);
        balancer.update(endpoints(1));
        let call = call().limited_to(limit);
        let mut attempt = Box::pin(hangs.attempt(&call));
        assert!(futures_poll(&mut attempt), "it waits");
        hand.advance(waited);
        drop(attempt);
        let shown = balancer.snapshot().to_string();
        let expected = expected.trim_matches(['{', '}']);
        assert!(shown.contains(expected), "{name}: {shown}");
        assert_eq!(balancer.in_flight(), 0);
    }
}

/// Whether it waits when it is polled once.
fn futures_poll(future: &mut (impl Future + Unpin)) -> bool {
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    std::pin::Pin::new(future).poll(&mut context).is_pending()
}
