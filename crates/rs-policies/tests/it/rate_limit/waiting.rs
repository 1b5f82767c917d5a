//! Calls that wait for their turn.

use std::time::Duration;

use rs_core::{Call, Deadline, Guard, Policy};
use rs_policies::{RateLimit, RateLimitConfig, Surroundings, TooFast};

use super::{MS, NS, SECOND, Stand, bucket, per_second};
use crate::rate_limit::cancel::Entered;

fn waiting(config: RateLimitConfig) -> Stand {
    Stand::new(config.with_wait(SECOND))
}

#[test]
fn in_the_order_in_which_they_came() {
    let stand = waiting(bucket(1, 10.0));
    let call = Call::new("look up");
    let mut all: Vec<_> = (0..4).map(|_| Entered::by(&stand.limit, &call)).collect();
    assert!(all[0].is_admitted());
    for later in &mut all[1..] {
        assert!(later.is_waiting());
    }
    assert_eq!((stand.limit.waiting(), stand.limit.available()), (3, -3.0));
    for next in 1..4 {
        stand.hand.advance(100 * MS - NS);
        assert!(all[next].is_waiting());
        stand.hand.advance(NS);
        // Those behind look, too, and are not let in.
        for later in all[next + 1..].iter_mut().rev() {
            assert!(later.is_waiting());
        }
        assert!(all[next].is_admitted());
    }
    assert_eq!((stand.limit.waiting(), stand.limit.available()), (0, 0.0));
}

#[test]
fn who_cannot_wait_does_not_go_before_those_who_do() {
    let stand = waiting(bucket(1, 10.0));
    let call = Call::new("look up");
    let _first = stand.limit.try_admit(&call).unwrap();
    let mut second = Entered::by(&stand.limit, &call);
    assert!(second.is_waiting());
    stand.hand.advance(100 * MS);
    let refused = stand.limit.try_admit(&call).unwrap_err();
    assert_eq!(refused.retry_after(stand.clock.now()), Some(100 * MS));
    assert!(second.is_admitted());
}

#[test]
fn not_longer_than_they_may() {
    let stand = Stand::new(bucket(1, 1.0).with_wait(250 * MS));
    let call = Call::new("look up");
    assert!(stand.admits());
    let refused = Entered::by(&stand.limit, &call).refused();
    assert_eq!(
        refused.to_string().split(';').next().unwrap(),
        "rate_limit `geocoder` refused the call: wait_too_long (wait 1s, limit 250ms)"
    );
    assert_eq!((stand.limit.waiting(), stand.limit.available()), (0, 0.0));

    // The moment is the very one from which on the same call may wait.
    let wait = refused.retry_after(stand.clock.now()).unwrap();
    assert_eq!(wait, 750 * MS);
    stand.hand.advance(wait - NS);
    let _ = Entered::by(&stand.limit, &call).refused();
    stand.hand.advance(NS);
    let mut entered = Entered::by(&stand.limit, &call);
    assert!(entered.is_waiting());
    stand.hand.advance(250 * MS);
    assert!(entered.is_admitted());
}

#[test]
fn not_to_their_deadline() {
    let stand = waiting(bucket(1, 10.0));
    assert!(stand.admits());
    let by = |time| Call::new("look up").by(Deadline::after(stand.clock.now(), time));
    for (too_soon, left) in [(99 * MS, "99ms"), (100 * MS, "100ms")] {
        let refused = Entered::by(&stand.limit, &by(too_soon)).refused();
        let said = refused.to_string();
        assert!(
            said.contains(&format!("past_deadline (wait 100ms, limit {left})")),
            "{said}"
        );
    }
    assert_eq!(stand.limit.refused(TooFast::PastDeadline), 2);
    // A limit that begins when the call does is one, too.
    let limited = Call::new("look up").limited_to(99 * MS);
    let _ = Entered::by(&stand.limit, &limited).refused();
    assert_eq!(stand.limit.available(), 0.0);

    let call = by(100 * MS + NS);
    let mut entered = Entered::by(&stand.limit, &call);
    assert!(entered.is_waiting());
    stand.hand.advance(100 * MS);
    assert!(entered.is_admitted());
}

#[test]
fn a_timer_that_rang_too_late() {
    let stand = waiting(bucket(1, 10.0));
    assert!(stand.admits());
    let call = Call::new("look up").by(Deadline::after(stand.clock.now(), 150 * MS));
    let mut entered = Entered::by(&stand.limit, &call);
    assert!(entered.is_waiting());
    stand.hand.advance(150 * MS);
    let refused = entered.refused();
    assert_eq!(refused.reason().code(), "past_deadline");
    // What it was promised is there for others.
    assert_eq!((stand.limit.waiting(), stand.admitted()), (0, 1));
}

#[test]
fn not_more_than_may() {
    let stand = waiting(bucket(1, 10.0).with_waiters(2));
    let call = Call::new("look up");
    assert!(stand.admits());
    let mut all: Vec<_> = (0..2).map(|_| Entered::by(&stand.limit, &call)).collect();
    assert!(all.iter_mut().all(Entered::is_waiting));
    let refused = Entered::by(&stand.limit, &call).refused();
    assert_eq!(
        refused.to_string().split(';').next().unwrap(),
        "rate_limit `geocoder` refused the call: too_many_wait (calls waiting 2, limit 2)"
    );
    assert_eq!(refused.retry_after(stand.clock.now()), Some(300 * MS));
    all.clear();
    assert_eq!(stand.limit.waiting(), 0);
    assert!(Entered::by(&stand.limit, &call).is_waiting());
}

#[test]
fn promises_are_kept_when_the_rules_change() {
    let stand = waiting(bucket(1, 10.0));
    let call = Call::new("look up");
    assert!(stand.admits());
    let mut all: Vec<_> = (0..3).map(|_| Entered::by(&stand.limit, &call)).collect();
    assert!(all.iter_mut().all(Entered::is_waiting));
    // What is owed is owed, at the new rate.
    stand
        .limit
        .reconfigure(bucket(1, 1.0).with_wait(SECOND))
        .unwrap();
    assert!((stand.limit.available() + 3.0).abs() < 1e-6);
    let refused = stand.limit.try_take(1).unwrap_err();
    let wait = refused.retry_after(stand.clock.now()).unwrap();
    assert!(wait >= 4 * SECOND && wait < 4 * SECOND + MS, "{wait:?}");
    stand.hand.advance(300 * MS);
    assert!(all.iter_mut().all(Entered::is_admitted));
    // Nor can they give back what was not taken at this rate.
    assert!(stand.limit.available() < -2.0);
}

#[test]
fn in_the_dark_nobody_waits() {
    let dark = rs_core::Enforcement::Dark;
    let stand = waiting(bucket(1, 1.0).with_enforcement(dark));
    let call = Call::new("look up");
    for _ in 0..5 {
        assert!(Entered::by(&stand.limit, &call).is_admitted());
    }
    assert_eq!(stand.limit.would_have_held_up(), 4);
    assert_eq!((stand.limit.waiting(), stand.limit.available()), (0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn on_tokios_clock_through_a_policy() {
    let registry = rs_metrics::Registry::new();
    let around = Surroundings::apart().with_metrics(registry.clone());
    let config = RateLimitConfig::gcra(per_second(10.0)).with_wait(SECOND);
    let limit = RateLimit::within(&around, "geocoder", config).unwrap();
    let begin = around.clock().now();
    for _ in 0..6 {
        let answer = limit.call("look up", async |_call| Ok::<_, std::io::Error>(7));
        assert_eq!(answer.await.unwrap(), 7);
    }
    let took = around.clock().now() - begin;
    // Tokio's timers ring at whole milliseconds.
    assert!((500 * MS..510 * MS).contains(&took), "{took:?}");
    let waits = rs_policies::metrics::RATE_LIMIT_WAIT
        .read(&registry, "geocoder", ())
        .unwrap();
    assert_eq!(waits.count(), 5);
    assert!(Duration::from_secs_f64(waits.sum) >= 490 * MS);
}
