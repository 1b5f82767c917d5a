//! Who is let go, and who is not.

use super::{HOUR, House, call_is_kept, rules};
use crate::support::{SECOND, percent, plain};
use rs_breaker::{BreakerState, Forced, OpenTime, Ramp, Supervisor};
use rs_core::{Call, Guard, Mandate, Outcome};
use std::pin::pin;

#[test]
fn an_idle_breaker_goes_after_its_time_and_not_before() {
    let house = House::with(rules().with_idle(HOUR));
    house.call("a", Outcome::Success);
    house.pass(HOUR);
    assert!(
        house.has("a"),
        "it was called within the last hour when it was first looked at"
    );
    house.pass(60 * SECOND);
    assert!(!house.has("a"));
    assert!(house.breakers.is_empty());
    assert_eq!(
        house.breakers.get("a").snapshot().total_requests,
        0,
        "a new one"
    );
}

#[test]
fn whatever_is_called_now_and_then_stays() {
    for how in [Outcome::Success, Outcome::Ignored, Outcome::TRANSIENT] {
        let house = House::with(rules().with_idle(HOUR));
        for _ in 0..3 {
            house.call("a", how);
            house.pass(HOUR / 2);
        }
        assert_eq!(
            house.breakers.get("a").snapshot().total_requests,
            3,
            "{how:?}"
        );
    }
    let house = House::with(rules().with_idle(HOUR));
    for _ in 0..3 {
        drop(house.breakers.get("a").try_admit(&Call::new("cancelled")));
        house.pass(HOUR / 2);
    }
    assert_eq!(house.breakers.get("a").snapshot().cancelled, 3);
}

#[test]
fn only_a_closed_breaker_is_let_go() {
    #[track_caller]
    fn check(prepare: impl Fn(&House), expected: BreakerState) {
        let config = plain().with_ramp(Ramp::over(24 * HOUR).starting_at(percent(50)));
        let house = House::with(rules().with_default(config).with_idle(60 * SECOND));
        prepare(&house);
        house.pass(10 * HOUR);
        assert_eq!(house.state("a"), Some(expected));
        house.breakers.get("a").reset(Mandate::new("anna", "done"));
        house.pass(600 * SECOND);
        assert_eq!(house.state("a"), None, "once closed, it goes");
    }
    let order = |forced| {
        move |house: &House| {
            house
                .breakers
                .get("a")
                .force(forced, Mandate::new("anna", "a drill"))
        }
    };
    check(order(Forced::Open), BreakerState::ForcedOpen);
    check(order(Forced::Closed), BreakerState::ForcedClosed);
    check(order(Forced::Isolated), BreakerState::Isolated);
    check(|house| house.open("a"), BreakerState::HalfOpen);
    check(
        |house| {
            house.open("a");
            house.pass(60 * SECOND);
            assert!(house.call("a", Outcome::Success), "the probe");
        },
        BreakerState::Ramping,
    );
}

#[test]
fn an_open_breaker_stays_while_it_is_open() {
    let open_for_a_day = OpenTime::fixed(24 * HOUR);
    let config = plain().with_open_time(open_for_a_day);
    let house = House::with(
        rules()
            .with_default(config)
            .with_idle(60 * SECOND)
            .with_limit(1),
    );
    house.open("a");
    for _ in 0..100 {
        house.pass(600 * SECOND);
        assert!(!call_is_kept(&house, "b"));
    }
    assert_eq!(house.state("a"), Some(BreakerState::Open));
}

#[test]
fn an_order_and_a_ramp_that_end_by_themselves_keep_nobody_for_ever() {
    let ramp = Ramp::over(60 * SECOND).starting_at(percent(50));
    let house = House::with(
        rules()
            .with_default(plain().with_ramp(ramp))
            .with_idle(60 * SECOND),
    );
    house.open("a");
    let for_an_hour = Mandate::new("anna", "a drill").lasting(HOUR);
    house.breakers.get("b").force_closed(for_an_hour);
    house.pass(60 * SECOND);
    assert!(house.call("a", Outcome::Success));
    house.pass(HOUR / 2);
    assert_eq!((house.has("a"), house.has("b")), (false, true));
    house.pass(HOUR);
    assert!(!house.has("b"));
}

#[test]
fn a_breaker_that_somebody_holds_is_not_let_go() {
    let house = House::with(rules().with_idle(60 * SECOND));
    let held = house.breakers.get("a");
    let permit = house
        .breakers
        .get("b")
        .try_admit_owned(&Call::new("charge"))
        .unwrap();
    house.pass(10 * HOUR);
    assert!(house.has("a") && house.has("b"));
    permit.finish(Outcome::Success);
    drop(held);
    house.pass(600 * SECOND);
    assert!(house.breakers.is_empty());
}

#[test]
fn the_supervisor_clears_away_the_idle() {
    let house = House::with(rules().with_idle(10 * SECOND));
    house.call("a", Outcome::Success);
    let running = Supervisor::of(&house.around);
    let mut running = pin!(running.run());
    for _ in 0..13 {
        let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(running.as_mut().poll(context).is_pending());
        house.hand.advance(SECOND);
    }
    assert!(house.breakers.is_empty());
}
