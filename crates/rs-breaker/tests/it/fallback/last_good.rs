//! The last good value of each call.

use super::{Shut, force, never, now, open, poll};
use crate::support::{Bench, SECOND, plain};
use rs_breaker::{BreakerState, LastGood, Served};
use rs_core::{Call, Failure, Outcome, Policy, operation};
use std::{pin::pin, time::Duration};

async fn fresh(value: u32) -> Result<u32, &'static str> {
    Ok(value)
}

fn serve(
    prices: &LastGood<u32>,
    call: Call,
    value: u32,
) -> Result<Served<u32>, Failure<&'static str>> {
    now(prices.serve(call, |_call| fresh(value)))
}

fn sku(key: u32) -> Call {
    Call::new("price").with_key(key)
}

#[test]
fn a_kept_value_says_how_old_it_is_and_why_it_is_not_fresh() {
    let bench = Bench::with(plain());
    let prices = LastGood::new(&bench.breaker, 100);
    bench.wait(3 * SECOND);
    let served = serve(&prices, sku(17), 250).unwrap();
    assert_eq!(served, Served::Fresh(250));
    assert_eq!((served.age(), *served.value()), (Duration::ZERO, 250));
    bench.wait(5 * SECOND);
    open(&bench);
    bench.wait(2 * SECOND);
    let served = now(prices.serve(sku(17), never)).unwrap();
    assert_eq!(served.age(), 7 * SECOND);
    let Served::Kept { value, why, .. } = served else {
        panic!("{served:?}");
    };
    assert_eq!((value, why.reason().code()), (250, "open"));
    bench.wait(8 * SECOND);
    assert_eq!(
        serve(&prices, sku(17), 300),
        Ok(Served::Fresh(300)),
        "the probe"
    );
    bench.wait(SECOND);
    force(&bench);
    let served = now(prices.clone().serve(sku(17), never)).unwrap();
    assert_eq!((served.age(), served.into_value()), (SECOND, 300));
}

#[test]
fn without_a_kept_value_the_rejection_comes_out() {
    let bench = Bench::with(plain());
    let prices = LastGood::<u32>::new(&bench.breaker, 100);
    open(&bench);
    let failed = now(prices.serve(sku(17), never)).unwrap_err();
    assert_eq!(failed.rejection().unwrap().reason().code(), "open");
}

#[test]
fn a_failure_is_not_glossed_over_by_a_kept_value() {
    let bench = Bench::with(plain());
    let prices = LastGood::new(&bench.breaker, 100);
    serve(&prices, sku(17), 250).unwrap();
    let failed = now(prices.serve(sku(17), async |_call| Err("down")));
    assert_eq!(
        failed,
        Err(Failure::Operation {
            error: "down",
            attempts: 1
        })
    );
    assert_eq!(bench.breaker.snapshot().failures, 1);
    force(&bench);
    assert_eq!(
        now(prices.serve(sku(17), never)).unwrap().into_value(),
        250,
        "nor forgotten"
    );
}

#[test]
fn an_ok_that_is_bad_news_or_says_nothing_is_not_kept() {
    for outcome in [Outcome::TRANSIENT, Outcome::Ignored] {
        let bench = Bench::with(plain());
        let prices = LastGood::new(&bench.breaker, 100);
        serve(&prices, sku(17), 250).unwrap();
        let answer = operation(async |_call| Ok::<_, &str>(503))
            .classified(move |_: Result<&u32, &&str>| outcome);
        let served = now(prices.serve_operation(&sku(17), &answer));
        assert_eq!(served, Ok(Served::Fresh(503)), "the caller gets it");
        force(&bench);
        assert_eq!(now(prices.serve(sku(17), never)).unwrap().into_value(), 250);
        assert!(now(prices.serve(sku(18), never)).is_err());
    }
}

#[test]
fn a_dropped_call_keeps_nothing_and_gives_its_probe_back() {
    let bench = Bench::with(plain());
    let prices = LastGood::new(&bench.breaker, 100);
    open(&bench);
    bench.wait(10 * SECOND);
    {
        let hang = async |_call| std::future::pending::<Result<u32, &str>>().await;
        let mut probe = pin!(prices.serve(sku(17), hang));
        assert!(poll(probe.as_mut()).is_pending());
        assert!(now(prices.serve(sku(17), never)).is_err());
    }
    serve(&prices, sku(17), 1).unwrap();
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert_eq!(bench.breaker.snapshot().cancelled, 1);
}

#[test]
fn names_and_keys_are_apart() {
    let bench = Bench::with(plain());
    let prices = LastGood::new(&bench.breaker, 100);
    let calls = [
        sku(1),
        sku(2),
        Call::new("price"),
        Call::new("stock").with_key(1_u32),
    ];
    for (value, call) in calls.into_iter().enumerate() {
        serve(&prices, call, value as u32).unwrap();
    }
    force(&bench);
    for (value, call) in calls.into_iter().enumerate() {
        assert_eq!(
            now(prices.serve(call, never)).unwrap().into_value(),
            value as u32
        );
    }
    assert!(now(prices.serve(Call::new("stock"), never)).is_err());
}

#[test]
fn how_much_is_kept_is_bounded() {
    let bench = Bench::with(plain());
    let prices = LastGood::new(&bench.breaker, 50);
    for key in 0..20_000 {
        serve(&prices, sku(key), key).unwrap();
    }
    force(&bench);
    let kept = (0..20_000)
        .filter(|key| now(prices.serve(sku(*key), never)).is_ok())
        .count();
    // What was not yet tidied up is bounded too.
    assert!((1..2_000).contains(&kept), "{kept}");
}

#[test]
fn what_is_too_old_is_not_served() {
    let bench = Bench::with(plain());
    let prices = LastGood::keeping_for(&bench.breaker, 100, 60 * SECOND);
    serve(&prices, sku(1), 1).unwrap();
    bench.wait(30 * SECOND);
    serve(&prices, sku(2), 2).unwrap();
    force(&bench);
    bench.wait(30 * SECOND);
    assert_eq!(now(prices.serve(sku(1), never)).unwrap().age(), 60 * SECOND);
    bench.wait(SECOND);
    let failed = now(prices.serve(sku(1), never)).unwrap_err();
    assert_eq!(failed.rejection().unwrap().reason().code(), "forced_open");
    assert_eq!(now(prices.serve(sku(2), never)).unwrap().age(), 31 * SECOND);
    assert!(
        bench
            .breaker
            .release(rs_core::Mandate::new("anna", "enough"))
    );
    serve(&prices, sku(1), 3).unwrap();
    force(&bench);
    assert_eq!(now(prices.serve(sku(1), never)).unwrap().into_value(), 3);
}

#[test]
fn the_refusal_of_an_inner_guard_stays_a_refusal() {
    let bench = Bench::with(plain());
    let prices = LastGood::new(&bench.breaker, 100);
    now(prices.run(&sku(17), &operation(|_call| fresh(250)))).unwrap();
    let stack = (prices.clone(), Shut);
    let failed = now(stack.run(&sku(17), &operation(never))).unwrap_err();
    assert_eq!(failed.rejection().unwrap().reason().code(), "shut");
    force(&bench);
    assert_eq!(now(stack.run(&sku(17), &operation(never))), Ok(250));
}
