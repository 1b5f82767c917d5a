use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use rs_balance::{Candidate, Endpoint, EndpointHealth, LoadBalancer, Strategy};

use crate::support::strategies;

#[test]
fn every_strategy_selects_from_lists() {
    for strategy in strategies() {
        assert_eq!(
            LoadBalancer::select::<&str>(&[], &strategy),
            None,
            "{strategy}"
        );
        assert_eq!(
            LoadBalancer::select(&["only"], &strategy),
            Some(&"only"),
            "{strategy}"
        );
        let candidates = ["a", "b", "c"];
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for _ in 0..3000 {
            *counts
                .entry(LoadBalancer::select(&candidates, &strategy).unwrap())
                .or_default() += 1;
        }
        assert_eq!(counts.len(), 3, "{strategy}: {counts:?}");
    }
}

#[test]
fn connections_decide_where_they_are_looked_at() {
    let candidates = ["a", "b", "c"].map(String::from);
    let counts: HashMap<String, u32> = [("a", 2), ("b", 0), ("c", 1)]
        .map(|(id, count)| (id.to_owned(), count))
        .into();
    for _ in 0..20 {
        let least =
            LoadBalancer::with_connections(&candidates, &counts, &Strategy::LeastConnections);
        assert_eq!(least.unwrap(), "b");
    }
    let weighted = [
        Endpoint::new("a", ()).with_weight(4.0),
        Endpoint::new("b", ()),
    ];
    let by_weight = |id: &str| if id == "a" { 2 } else { 1 };
    let least = LoadBalancer::with_connections(&weighted, &by_weight, &Strategy::LeastConnections);
    assert_eq!(
        least.unwrap().id(),
        "a",
        "3 for a weight of 4 is less than 2 for 1"
    );
}

#[test]
fn those_that_are_not_up_are_left_out() {
    let candidates = [
        Endpoint::new("a", ()).with_health(EndpointHealth::Unhealthy),
        Endpoint::new("b", ()).with_weight(f64::NAN),
        Endpoint::new("c", ()).with_weight(0.0),
    ];
    for strategy in strategies() {
        for _ in 0..20 {
            assert_eq!(
                LoadBalancer::select(&candidates, &strategy).unwrap().id(),
                "b",
                "{strategy}"
            );
        }
    }
    let ill = candidates.map(|endpoint| endpoint.with_health(EndpointHealth::Unhealthy));
    assert!(LoadBalancer::select(&ill, &Strategy::Random).is_none());
}

#[test]
fn latencies_decide_where_they_are_known() {
    struct Known(&'static str, u64);
    impl Candidate for Known {
        fn id(&self) -> &str {
            self.0
        }
        fn latency(&self) -> Option<Duration> {
            Some(Duration::from_millis(self.1))
        }
    }
    let candidates = [Known("slow", 200), Known("fast", 20)];
    let strategy: Strategy = "latency_based".parse().unwrap();
    for _ in 0..20 {
        assert_eq!(
            LoadBalancer::select(&candidates, &strategy).unwrap().0,
            "fast"
        );
    }
}
