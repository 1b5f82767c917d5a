//! Any sequence of updates, picks, ends, checks and orders, against a model that is plain.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rs_balance::{
    BalancerConfig, EndpointHealth, Lease, NoEndpoint, Outliers, SlowStart, Strategy,
};
use rs_core::{Call, Mandate, Outcome, Share};
use std::time::Duration;

use crate::support::{balancer, endpoint, strategies};

#[derive(Debug, Clone)]
enum Step {
    /// These of eight are there, and so heavy.
    Update(u8, u8),
    Pick {
        key: u64,
        attempt: u32,
    },
    End {
        which: usize,
        how: u8,
    },
    Check(u32, EndpointHealth),
    Eject(u32),
    Restore(u32),
    Pass(u64),
}

fn step() -> impl Strategy_ {
    prop_oneof![
        2 => (any::<u8>(), any::<u8>()).prop_map(|(there, heavy)| Step::Update(there, heavy)),
        8 => (any::<u64>(), 1..4_u32).prop_map(|(key, attempt)| Step::Pick { key, attempt }),
        6 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Step::End { which, how }),
        1 => (0..8_u32, prop_oneof![Just(EndpointHealth::Healthy), Just(EndpointHealth::Unhealthy), Just(EndpointHealth::Draining)])
            .prop_map(|(id, health)| Step::Check(id, health)),
        1 => (0..8_u32).prop_map(Step::Eject),
        1 => (0..8_u32).prop_map(Step::Restore),
        1 => (0..40_000_u64).prop_map(Step::Pass),
    ]
}

use proptest::strategy::Strategy as _;

trait Strategy_: proptest::strategy::Strategy<Value = Step> {}
impl<S: proptest::strategy::Strategy<Value = Step>> Strategy_ for S {}

#[derive(Default)]
struct Model {
    there: BTreeSet<u32>,
    checked: BTreeMap<u32, EndpointHealth>,
    ordered: BTreeSet<u32>,
}

impl Model {
    /// Those that may be picked, whatever happened by itself.
    fn may(&self, panic: bool) -> BTreeSet<u32> {
        let health = |id: &u32| self.checked.get(id).copied().unwrap_or_default();
        self.there
            .iter()
            .copied()
            .filter(|id| !self.ordered.contains(id) && health(id) != EndpointHealth::Draining)
            .filter(|id| panic || health(id) == EndpointHealth::Healthy)
            .collect()
    }
}

fn config(strategy: Strategy, panic: bool) -> BalancerConfig {
    let config = BalancerConfig::new(strategy)
        .with_outliers(Outliers::default().with_consecutive_failures(2))
        .with_slow_start(SlowStart::over(Duration::from_secs(5)));
    if panic {
        config
    } else {
        config.with_panic_below(Share::NONE)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn counts_are_exact_and_nobody_is_picked_who_is_gone(
        which in 0..10_usize,
        panic in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let strategy = strategies()[which].clone();
        let (balancer, hand) = balancer(config(strategy.clone(), panic));
        let mut model = Model::default();
        // Leases with the endpoint's time in the set: one that went and came again is another one.
        let mut leases: Vec<(Lease<u32>, u32)> = Vec::new();
        let mut incarnations: BTreeMap<u32, u32> = BTreeMap::new();
        let mut ended = [0_u64; 4];
        for step in steps {
            match step {
                Step::Update(there, heavy) => {
                    let now: BTreeSet<u32> = (0..8).filter(|id| there >> id & 1 == 1).collect();
                    for id in model.there.symmetric_difference(&now) {
                        *incarnations.entry(*id).or_default() += 1;
                        model.checked.remove(id);
                        model.ordered.remove(id);
                    }
                    let change = balancer.update(now.iter().map(|id| {
                        endpoint(*id).with_weight(f64::from(1 + (heavy >> id & 1)))
                    }));
                    prop_assert_eq!(change.kept, model.there.intersection(&now).count());
                    prop_assert_eq!(change.added + change.kept, now.len());
                    model.there = now;
                }
                Step::Pick { key, attempt } => {
                    let call = Call::new("x").with_key(key).at_attempt(attempt);
                    match balancer.try_pick(&call) {
                        Ok(lease) => {
                            prop_assert!(model.may(panic).contains(&*lease), "{} picked {}", strategy, *lease);
                            let incarnation = incarnations[&*lease];
                            leases.push((lease, incarnation));
                        }
                        Err(why) => {
                            let why = NoEndpoint::of(&why);
                            // Ejection by itself may leave nobody only if nobody is believed to be well.
                            prop_assert!(model.may(panic).is_empty() || why == Some(NoEndpoint::Ejected) || why == Some(NoEndpoint::Unhealthy));
                            prop_assert!(!panic || model.may(true).is_empty(), "a panic has somebody: {:?}", why);
                            prop_assert_eq!(why == Some(NoEndpoint::Empty), model.there.is_empty());
                        }
                    }
                }
                Step::End { which, how } => {
                    if !leases.is_empty() {
                        let (lease, _) = leases.swap_remove(which % leases.len());
                        ended[usize::from(how)] += 1;
                        match how {
                            0 => lease.finish(Outcome::Success),
                            1 => lease.finish(Outcome::TRANSIENT),
                            2 => lease.finish(Outcome::Ignored),
                            _ => drop(lease),
                        }
                    }
                }
                Step::Check(id, health) => {
                    let known = balancer.check(&format!("e{id}"), health);
                    prop_assert_eq!(known, model.there.contains(&id));
                    if known {
                        model.checked.insert(id, health);
                    }
                }
                Step::Eject(id) => {
                    let known = balancer.eject(&format!("e{id}"), Mandate::new("a", "b"));
                    prop_assert_eq!(known, model.there.contains(&id));
                    if known {
                        model.ordered.insert(id);
                    }
                }
                Step::Restore(id) => {
                    let done = balancer.restore(&format!("e{id}"), Mandate::new("a", "b"));
                    prop_assert!(done || !model.ordered.contains(&id));
                    model.ordered.remove(&id);
                }
                Step::Pass(millis) => hand.advance(Duration::from_millis(millis)),
            }
            let here = leases.iter().filter(|(lease, incarnation)| {
                model.there.contains(&**lease) && incarnations[&**lease] == *incarnation
            });
            prop_assert_eq!(balancer.in_flight(), here.count() as u64);
        }
        leases.clear();
        let calls = balancer.snapshot().get("calls").cloned().unwrap_or_default();
        let count = |name: &str| calls.get(name).map(ToString::to_string);
        prop_assert_eq!(count("success"), Some(ended[0].to_string()));
        prop_assert_eq!(count("failure"), Some(ended[1].to_string()));
        prop_assert_eq!(count("ignored"), Some(ended[2].to_string()));
    }
}
