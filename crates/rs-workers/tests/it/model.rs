//! Random trees and random ends of workers against OTP's rules, written down as simply as can be.

mod otp;

use crate::support::*;
use otp::{Child, Otp, Spec};
use proptest::prelude::*;
use rs_workers::{GroupConfig, Intensity, Restart, Strategy as Restarts, WorkerState};
use std::time::Duration;

/// The model counts time in these, in seconds: so long that nothing else takes any.
const UNIT: u64 = 1000;

/// Something that happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    End(usize, Order),
    /// Somebody stops it, and starts it.
    Stop(usize),
    Start(usize),
    Pass(u64),
}

fn restart() -> impl Strategy<Value = Restart> {
    prop_oneof![
        3 => Just(Restart::Permanent),
        2 => Just(Restart::Transient),
        1 => Just(Restart::Temporary),
    ]
}

fn strategy() -> impl Strategy<Value = Restarts> {
    prop_oneof![
        Just(Restarts::OneForOne),
        Just(Restarts::OneForAll),
        Just(Restarts::RestForOne),
    ]
}

fn group(depth: u32) -> BoxedStrategy<Spec> {
    let worker = restart().prop_map(Spec::Worker);
    let member = match depth {
        0 => worker.boxed(),
        _ => prop_oneof![3 => worker, 1 => group(depth - 1)].boxed(),
    };
    let members = prop::collection::vec(member, 1..4);
    (strategy(), restart(), 0..4_u32, 1..20_u64, members)
        .prop_map(
            |(strategy, restart, restarts, within, members)| Spec::Group {
                strategy,
                restart,
                restarts,
                within,
                members,
            },
        )
        .boxed()
}

fn event() -> impl Strategy<Value = Event> {
    let order = prop_oneof![Just(Order::Return), Just(Order::Fail), Just(Order::Panic)];
    prop_oneof![
        8 => (0..12_usize, order).prop_map(|(who, how)| Event::End(who, how)),
        1 => (0..12_usize).prop_map(Event::Stop),
        1 => (0..12_usize).prop_map(Event::Start),
        3 => (1..15_u64).prop_map(Event::Pass),
    ]
}

/// Puts a group of the specification into ours, and into OTP's.
fn build(
    to: &rs_workers::Group,
    members: &[Spec],
    puppets: &mut Vec<Puppet>,
    groups: &mut usize,
) -> Vec<Child> {
    let mut children = Vec::new();
    for member in members {
        match member {
            Spec::Worker(restart) => {
                let puppet = Puppet::new(rs_core::Name::new(&format!("w{}", puppets.len())));
                let config = |it: rs_workers::WorkerConfig| {
                    it.with_restart(*restart).with_backoff(at_once())
                };
                to.register_with(puppet.worker(), config).unwrap();
                children.push(Child::worker(puppets.len(), *restart));
                puppets.push(puppet);
            }
            Spec::Group {
                strategy,
                restart,
                restarts,
                within,
                members,
            } => {
                *groups += 1;
                let name = rs_core::Name::new(&format!("g{groups}"));
                let config = config_of(*strategy, *restarts, *within)
                    .with_restart(*restart)
                    .with_backoff(at_once());
                let inner = to.group(name, config).unwrap();
                let members = build(&inner, members, puppets, groups);
                children.push(Child::group(
                    *strategy, *restart, *restarts, *within, members,
                ));
            }
        }
    }
    children
}

fn config_of(strategy: Restarts, restarts: u32, within: u64) -> GroupConfig {
    GroupConfig::default()
        .with_strategy(strategy)
        .with_intensity(Intensity::of(
            restarts,
            Duration::from_secs(within * UNIT + UNIT / 2),
        ))
}

async fn compare(spec: Spec, events: Vec<Event>, slow: bool) {
    let Spec::Group {
        strategy,
        restarts,
        within,
        members,
        ..
    } = spec
    else {
        unreachable!("the root is a group");
    };
    let bench = Bench::with(root(config_of(strategy, restarts, within)));
    let (mut puppets, mut groups) = (Vec::new(), 0);
    let children = build(&bench.workers.root(), &members, &mut puppets, &mut groups);
    let mut otp = Otp::new(strategy, restarts, within, children);
    if slow {
        for (place, puppet) in puppets.iter().enumerate() {
            puppet.slow(MILLI * u32::try_from(place).unwrap());
        }
    }
    bench.workers.start_all().await.unwrap();
    otp.start();
    // Whoever is slow to obey has obeyed by then.
    let rest = async || match slow {
        true => sleep(100 * MILLI).await,
        false => settle().await,
    };
    rest().await;
    let mut now = 0;
    for (step, event) in events.iter().enumerate() {
        match *event {
            Event::End(who, how) => {
                if let Some(puppet) = puppets.get(who).filter(|puppet| puppet.is_alive()) {
                    puppet.pull(how);
                    otp.ended(who, how != Order::Return, now);
                }
            }
            Event::Stop(who) => {
                if let Some(puppet) = puppets.get(who) {
                    bench.workers.stop(puppet.name).await.unwrap();
                    otp.stopped(who);
                }
            }
            Event::Start(who) => {
                // What has given up is started as a whole.
                if let Some(puppet) = puppets.get(who).filter(|_| !otp.gave_up)
                    && otp.may_start(who)
                {
                    let _ = bench.workers.start(puppet.name).await;
                    otp.started(who);
                }
            }
            Event::Pass(units) => {
                tokio::time::advance(Duration::from_secs(units * UNIT)).await;
                now += units;
            }
        }
        rest().await;
        let ours: Vec<bool> = puppets.iter().map(Puppet::is_alive).collect();
        let starts: Vec<usize> = puppets.iter().map(Puppet::starts).collect();
        assert_eq!(
            ours,
            otp.running(puppets.len()),
            "after step {step}, {event:?}"
        );
        assert_eq!(
            starts,
            otp.starts(puppets.len()),
            "starts after step {step}, {event:?}"
        );
        let gave_up = bench.workers.ended();
        let gave_up = in_time(MILLI / 1000, gave_up).await.is_ok();
        assert_eq!(gave_up, otp.gave_up, "after step {step}, {event:?}");
    }
    bench.workers.stop_all().await;
    assert!(
        puppets
            .iter()
            .all(|puppet| !puppet.is_alive() && puppet.most() <= 1)
    );
    let off = |status: rs_workers::WorkerStatus| status.state == WorkerState::Off;
    assert!(bench.workers.statuses().into_iter().all(off));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_does_what_otp_does(
        spec in group(2),
        events in prop::collection::vec(event(), 1..40),
        slow in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(compare(spec, events, slow));
    }
}
