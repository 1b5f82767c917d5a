//! Endpoints with guards of their own.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use rs_balance::{Balancer, BalancerConfig, Endpoint, NoEndpoint, Strategy, metrics};
use rs_core::{AnyGuard, Call, Ending, Guard, Name, Outcome, Reason, Rejection};
use rs_metrics::Registry;

use crate::support::{around, call};

static SHUT: Reason = Reason::new("door", "shut");

/// Says no when it is told to, and hears everything.
#[derive(Clone, Default)]
struct Door {
    shut: Arc<AtomicBool>,
    inside: Arc<AtomicU32>,
    heard: Arc<Mutex<Vec<Ending>>>,
}

impl Guard for Door {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        if self.shut.load(SeqCst) {
            return Err(SHUT.reject(Name::of("door")));
        }
        self.inside.fetch_add(1, SeqCst);
        Ok(())
    }

    fn leave(&self, (): (), ending: Ending) {
        self.inside.fetch_sub(1, SeqCst);
        self.heard.lock().unwrap().push(ending);
    }
}

fn doors(count: usize, tries: u8) -> (Balancer<usize, Door>, Vec<Door>, Registry) {
    let all: Vec<Door> = (0..count).map(|_| Door::default()).collect();
    let (around, _) = around();
    let registry = Registry::new();
    let around = around.with_metrics(registry.clone());
    let config = BalancerConfig::new(Strategy::RoundRobin).with_tries(tries);
    let made = all.clone();
    let balancer = Balancer::guarded_within(&around, "search", config, move |_, place: &usize| {
        made[*place].clone()
    });
    let balancer = balancer.unwrap();
    balancer.update((0..count).map(|place| Endpoint::new(place.to_string(), place)));
    (balancer, all, registry)
}

#[test]
fn what_one_refuses_goes_to_the_next() {
    let (balancer, doors, registry) = doors(3, 3);
    doors[0].shut.store(true, SeqCst);
    doors[2].shut.store(true, SeqCst);
    for _ in 0..30 {
        let (lease, why) = balancer.pick_explained(&call());
        let lease = lease.unwrap();
        assert_eq!(*lease, 1);
        assert!(why.moved_on.iter().all(|(id, _)| **id != *"1"), "{why}");
        lease.finish(Outcome::Success);
    }
    assert!(metrics::MOVED_ON.read(&registry, "search", ()).unwrap() > 0);
}

#[test]
fn asking_has_a_bound_and_the_last_refusal_says_why() {
    let (balancer, doors, registry) = doors(10, 4);
    doors.iter().for_each(|door| door.shut.store(true, SeqCst));
    let refused = balancer.try_pick(&call()).unwrap_err();
    assert_eq!(refused.reason(), &SHUT);
    assert_eq!(NoEndpoint::of(&refused), None, "it is the guard's word");
    assert_eq!(metrics::MOVED_ON.read(&registry, "search", ()), Some(4));
    assert_eq!(
        metrics::REFUSED.read(&registry, "search", NoEndpoint::Refused),
        Some(1)
    );
    assert_eq!(balancer.in_flight(), 0);
}

#[test]
fn guards_hear_of_every_end_once() {
    let (balancer, doors, _) = doors(1, 3);
    let pick = || balancer.pick(&call()).unwrap();
    pick().finish(Outcome::Success);
    pick().finish(Outcome::TRANSIENT);
    drop(pick());
    let mut streamed = pick();
    streamed.answered(Outcome::Ignored);
    assert_eq!(balancer.in_flight(), 1, "the answer goes on");
    drop(streamed);
    assert_eq!(
        *doors[0].heard.lock().unwrap(),
        [
            Ending::finished(Outcome::Success),
            Ending::finished(Outcome::TRANSIENT),
            Ending::Cancelled,
            Ending::finished(Outcome::Ignored),
        ]
    );
    assert_eq!(doors[0].inside.load(SeqCst), 0);
}

#[test]
fn a_guard_stays_with_its_endpoint() {
    let (balancer, doors, _) = doors(3, 3);
    doors[0].shut.store(true, SeqCst);
    balancer.update((0..3).map(|place| Endpoint::new(place.to_string(), place).with_weight(3.0)));
    assert!((0..9).all(|_| *balancer.pick(&call()).unwrap() != 0));
}

#[test]
fn any_guard_fits() {
    let (around, _) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let balancer: Balancer<(), AnyGuard> =
        Balancer::guarded_within(&around, "any", config, |id, ()| {
            let door = Door::default();
            door.shut.store(id == "a", SeqCst);
            AnyGuard::new(door)
        })
        .unwrap();
    balancer.update([Endpoint::new("a", ()), Endpoint::new("b", ())]);
    assert!((0..9).all(|_| balancer.pick(&call()).unwrap().id() == "b"));
}

/// A guard that picks from a balancer itself, in the middle of a pick.
#[test]
fn a_guard_may_use_a_balancer() {
    struct Asks(Balancer<u32>);
    impl Guard for Asks {
        type Ticket = rs_balance::Lease<u32>;
        fn try_enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
            self.0.try_pick(call)
        }
        fn leave(&self, lease: Self::Ticket, ending: Ending) {
            match ending.outcome() {
                Some(outcome) => lease.finish(outcome),
                None => drop(lease),
            }
        }
    }
    let (inner, _) = crate::support::of(Strategy::RoundRobin, 2);
    let (around, _) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let asked = inner.clone();
    let outer =
        Balancer::guarded_within(&around, "outer", config, move |_, ()| Asks(asked.clone()))
            .unwrap();
    outer.update([Endpoint::new("a", ()), Endpoint::new("b", ())]);
    let leases: Vec<_> = (0..10).map(|_| outer.pick(&call()).unwrap()).collect();
    assert_eq!((outer.in_flight(), inner.in_flight()), (10, 10));
    drop(leases);
    assert_eq!((outer.in_flight(), inner.in_flight()), (0, 0));
}
