//! A balancer with a breaker on each endpoint, under a retry.

use std::time::Duration;

use rs_patterns::{
    balance::{Balancer, BalancerConfig, Endpoint, Strategy},
    breaker::{Breaker, BreakerConfig, BreakerState, Trip},
    core::{Backoff, Call, Policy},
    metrics::Surroundings,
    policies::{Retry, RetryConfig},
};

#[tokio::test(start_paused = true)]
async fn a_retry_goes_elsewhere_and_an_open_breaker_is_passed_over() {
    let around = Surroundings::apart();
    let config = BalancerConfig::new(Strategy::RoundRobin).without_outliers();
    let breakers = BreakerConfig::default().with_trip([Trip::consecutive_failures(3)]);
    let inside = around.clone();
    let search = Balancer::guarded_within(&around, "search", config, move |_, _: &u32| {
        Breaker::within(&inside, "endpoint", breakers.clone()).unwrap()
    })
    .unwrap();
    search.update((0..4).map(|id| Endpoint::new(id.to_string(), id)));

    let backoff = Backoff::constant(Duration::from_millis(10));
    let retry = Retry::within(&around, "search", RetryConfig::new(2, backoff)).unwrap();
    let query = search.through(
        async |server: u32, _call: Call| {
            if server == 2 { Err("away") } else { Ok(server) }
        },
    );
    for _ in 0..100 {
        let call = Call::new("query").safe_to_repeat();
        let answer = retry.run(&call, &query).await;
        assert!(
            answer.is_ok(),
            "one of four is away, and a retry goes elsewhere: {answer:?}"
        );
    }
    let snapshot = search.snapshot().to_string();
    assert!(
        snapshot.contains("failure: 3"),
        "the breaker opened after three: {snapshot}"
    );
    let lease = search.pick(&Call::new("query")).unwrap();
    assert_eq!(lease.guard().state(), BreakerState::Closed);
}
