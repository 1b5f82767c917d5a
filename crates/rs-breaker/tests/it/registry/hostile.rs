//! Many names, many threads, and callbacks that reach back.

use super::{House, SECOND, call, rules};
use crate::support::plain;
use rs_breaker::{
    Breaker, BreakerRegistry, BreakerState, OpenTime, Probing,
    metrics::{REQUESTS, RequestOutcome},
};
use rs_core::{Call, Mandate, Outcome};
use std::{
    sync::{
        Arc, Barrier, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::Duration,
};

const THREADS: u64 = 4;

#[test]
fn a_hundred_thousand_hostile_names_stay_within_the_limit() {
    let house = House::keyed(rules().with_limit(1000));
    house.open("honest");
    for number in 0..100_000 {
        let breaker = house.breakers.get(&format!("hostile-{number}"));
        assert!(call(&breaker, Outcome::TRANSIENT));
        assert!(house.breakers.len() <= 1000);
        if number % 10_000 == 0 {
            house.hand.advance(SECOND);
        }
    }
    assert!(house.breakers.list().len() <= 1000);
    assert_eq!(
        house.state("honest"),
        Some(BreakerState::HalfOpen),
        "ten seconds later"
    );
    assert!(house.not_kept("hosts") > 80_000);
}

#[test]
fn strangers_without_room_cannot_hurt_each_other() {
    let house = House::with(rules().with_limit(1));
    house.open("a");
    let (hostile, other) = (house.breakers.get("hostile"), house.breakers.get("other"));
    let order = || Mandate::new("mallory", "because I can");
    hostile.force_open(order());
    assert!(call(&other, Outcome::Success));
    assert!(call(&house.breakers.get("third"), Outcome::Success));
    hostile.release(order());
    hostile.reset(order());
    for _ in 0..100 {
        call(&hostile, Outcome::TRANSIENT);
    }
    assert!(call(&other, Outcome::Success));
    assert!(call(&house.breakers.get("third"), Outcome::Success));
}

#[test]
fn to_be_without_room_floods_no_recorder() {
    let house = House::with(rules().with_limit(1));
    house.open("a");
    let said = house.around.recorder().recent(100).len();
    for number in 0..100 {
        house.call(&number.to_string(), Outcome::Success);
    }
    assert!(house.around.recorder().recent(100).len() <= said + 1);
}

#[test]
fn one_new_name_asked_for_by_all_threads_is_one_breaker() {
    let houses: Vec<_> = (0..2000)
        .map(|_| House::with(rules().with_limit(1)))
        .collect();
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for house in &houses {
                    start.wait();
                    call(&house.breakers.get("the only one"), Outcome::Success);
                }
            });
        }
    });
    for house in houses {
        assert_eq!(house.not_kept("breakers"), 0, "there is room for it");
        let breaker = house.breakers.find("the only one").unwrap();
        assert_eq!(breaker.snapshot().successes, THREADS);
        assert_eq!(house.breakers.len(), 1);
    }
}

#[test]
fn look_ups_and_calls_go_on_while_breakers_are_let_go() {
    let house = House::keyed(rules().with_idle(Duration::from_millis(1)));
    let over = AtomicBool::new(false);
    const CALLS: u64 = 20_000;
    thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let house = &house;
                scope.spawn(move || {
                    for number in 0..CALLS {
                        house.call(&format!("{}", (number + thread) % 64), Outcome::Success);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                house.hand.advance(Duration::from_millis(1));
                house.breakers.evict_idle();
            }
        });
        for caller in callers {
            caller.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(house.not_kept("hosts"), 0);
    let calls = REQUESTS.read(&house.metrics, "hosts", RequestOutcome::Success);
    assert_eq!(calls, Some(THREADS * CALLS), "none is lost");
}

#[test]
fn who_reads_the_metrics_while_breakers_are_let_go_misses_none_and_counts_none_twice() {
    let house = House::keyed(rules().with_idle(Duration::from_millis(1)));
    const KEYS: u64 = 1_000;
    let read = || REQUESTS.read(&house.metrics, "hosts", RequestOutcome::Ignored);
    for round in 1..=50 {
        for key in 0..KEYS {
            house.call(&key.to_string(), Outcome::Ignored);
        }
        house.breakers.evict_idle();
        house.hand.advance(Duration::from_millis(1));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(read(), Some(round * KEYS));
                }
            });
            while !house.breakers.is_empty() {
                house.breakers.evict_idle();
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn rules_that_change_during_look_ups_reach_every_breaker() {
    use super::after;
    let house = House::with(rules());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let house = &house;
            scope.spawn(move || {
                for number in 0..500 {
                    house.call(&format!("{thread}-{number}"), Outcome::Success);
                }
            });
        }
        for failures in 1..20 {
            house
                .breakers
                .reconfigure(rules().with_default(after(failures)))
                .unwrap();
        }
    });
    for breaker in house.breakers.list() {
        assert_eq!(*breaker.config(), after(19), "{breaker:?}");
    }
}

/// What a function that decides the open time may do: ask the registry that its breaker lives in.
fn reaching_back(limit: usize, act: impl FnOnce(&House) + Send + 'static) {
    let known: Arc<OnceLock<BreakerRegistry>> = Arc::default();
    let asked = Arc::clone(&known);
    let open_time = OpenTime::fixed(10 * SECOND).decided_by(move |opening| {
        if let Some(registry) = asked.get() {
            for number in 0..100 {
                drop(registry.get(&format!("made on the way {number}")));
            }
            drop(registry.find("a"));
        }
        opening.otherwise
    });
    let config = plain()
        .with_open_time(open_time)
        .with_probing(Probing::needing(1).with_lease(SECOND));
    let (done, over) = channel();
    thread::spawn(move || {
        let house = House::keyed(rules().with_default(config).with_limit(limit));
        let breaker = house.breakers.get("a");
        while call(&breaker, Outcome::TRANSIENT) {}
        house.hand.advance(20 * SECOND);
        let probe = breaker.try_admit_owned(&Call::new("hung"));
        drop(breaker);
        house.hand.advance(SECOND);
        known.set(house.breakers.clone()).unwrap();
        act(&house);
        let asked = house.has("made on the way 0") || house.not_kept("hosts") > 0;
        assert!(asked, "the function was asked");
        drop(probe);
        done.send(()).unwrap();
    });
    assert!(over.recv_timeout(Duration::from_secs(20)).is_ok(), "hangs");
}

#[test]
fn a_callback_may_use_its_registry_while_the_metrics_are_read() {
    reaching_back(1000, |house| drop(house.metrics.gather()));
}

#[test]
fn a_callback_may_use_its_registry_while_idle_breakers_are_let_go() {
    reaching_back(1000, |house| house.breakers.evict_idle());
}

#[test]
fn a_callback_may_use_its_registry_while_it_is_inspected() {
    reaching_back(1000, |house| drop(house.directory.snapshots()));
}

#[test]
fn a_callback_may_use_its_registry_while_it_is_given_other_rules() {
    reaching_back(1000, |house| house.breakers.reconfigure(rules()).unwrap());
}

#[test]
fn a_callback_may_use_its_registry_while_room_is_made() {
    reaching_back(1, |house| drop(house.breakers.get("one too many")));
}

#[test]
fn handles_outlive_their_registry() {
    let house = House::keyed(rules());
    let breaker: Breaker = house.breakers.get("a");
    drop(house);
    while call(&breaker, Outcome::TRANSIENT) {}
    assert_eq!(breaker.state(), BreakerState::Open);
}
