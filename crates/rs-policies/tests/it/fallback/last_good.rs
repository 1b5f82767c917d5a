//! The last good answer, where the call fails.

use super::{Answer, Ends, MS, bad, late, now, refused};
use rs_core::{Call, ClockHand, Enforcement, Policy};
use rs_policies::{
    FallbackConfig, FallbackSource, LastGood, LastGoodConfig, Served, Surroundings, Unanswered,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn last_good(config: LastGoodConfig) -> (LastGood<u32>, ClockHand) {
    let (clock, hand) = rs_core::Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    (LastGood::within(&around, "prices", config).unwrap(), hand)
}

fn run(prices: &LastGood<u32>, answer: Answer) -> Answer {
    run_as(prices, &Call::new("price").with_key("sku-17"), answer)
}

fn run_as(prices: &LastGood<u32>, call: &Call, answer: Answer) -> Answer {
    now(prices.run(call, &Ends(answer)))
}

#[test]
fn what_fails_is_answered_by_the_last_that_was_good() {
    let (prices, hand) = last_good(LastGoodConfig::of(100));
    assert_eq!(run(&prices, refused()), refused(), "nothing is known yet");
    assert_eq!(prices.unanswered(Unanswered::Nothing), 1);
    assert_eq!(run(&prices, Ok(1)), Ok(1));
    assert_eq!(run(&prices, Ok(2)), Ok(2));
    // Neither is a good answer.
    assert_eq!(run(&prices, Ok(404)), Ok(404));
    hand.advance(SECOND);
    for failed in [refused(), late(), bad("down"), Ok(503)] {
        assert_eq!(run(&prices, failed), Ok(2));
    }
    for stays in [bad("gone"), bad("mine")] {
        assert_eq!(run(&prices, stays.clone()), stays);
    }
    assert_eq!(prices.answered(FallbackSource::LastGood), 4);
}

#[test]
fn it_says_how_old_an_answer_is_and_why_it_is_served() {
    let (prices, hand) = last_good(LastGoodConfig::of(100));
    let call = Call::new("price").with_key("sku-17");
    let fresh = now(prices.serve_operation(&call, &Ends(Ok(1)))).unwrap();
    assert_eq!(fresh, Served::Fresh(1));
    hand.advance(SECOND);
    let kept = now(prices.serve_operation(&call, &Ends(bad("down")))).unwrap();
    let Served::Kept { value: 1, age, why } = kept else {
        panic!("{kept:?}");
    };
    assert_eq!((age, why.to_string()), (SECOND, "it failed".to_owned()));
    assert!(kept.is_degraded());
}

#[test]
fn what_is_too_old_is_not_served() {
    let (prices, hand) = last_good(LastGoodConfig::of(100).keeping_for(SECOND));
    assert_eq!(run(&prices, Ok(1)), Ok(1));
    hand.advance(SECOND);
    assert_eq!(run(&prices, refused()), Ok(1));
    hand.advance(MS);
    assert_eq!(run(&prices, refused()), refused());
    assert_eq!(run(&prices, Ok(2)), Ok(2));
    assert_eq!(run(&prices, refused()), Ok(2));
}

#[test]
fn calls_of_other_names_and_keys_are_other_calls() {
    let (prices, _hand) = last_good(LastGoodConfig::of(100));
    let calls = [
        Call::new("price").with_key("sku-17"),
        Call::new("price").with_key("sku-18"),
        Call::new("price"),
        Call::new("stock").with_key("sku-17"),
    ];
    for (value, call) in (1..).zip(&calls) {
        assert_eq!(run_as(&prices, call, refused()), refused());
        assert_eq!(run_as(&prices, call, Ok(value)), Ok(value));
    }
    for (value, call) in (1..).zip(&calls) {
        assert_eq!(run_as(&prices, call, refused()), Ok(value));
    }
}

#[test]
fn calls_are_told_apart_by_text() {
    let (prices, _hand) = last_good(LastGoodConfig::of(100));
    let ask = |text, answer: Result<u32, &'static str>| {
        let served = prices.serve_for(text, "price", async |_call| answer);
        now(served).map(Served::into_value)
    };
    assert_eq!(ask("anna", Ok(1)), Ok(1));
    assert_eq!(ask("bert", Ok(2)), Ok(2));
    assert_eq!(ask("anna", Err("down")), Ok(1));
    assert_eq!(ask("bert", Err("down")), Ok(2));
    assert_eq!(ask("carl", Err("down")), bad("down"));
    let call = Call::new("price").with_key("anna");
    assert_eq!(run_as(&prices, &call, refused()), refused());
}

#[test]
fn what_is_remembered_is_bounded() {
    let (prices, _hand) = last_good(LastGoodConfig::of(10));
    for key in 0..1000 {
        let _ = run_as(&prices, &Call::new("price").with_key(key), Ok(key));
    }
    assert!((1..=10).contains(&prices.kept()), "{}", prices.kept());
}

#[test]
fn other_rules_keep_what_is_remembered() {
    let (prices, hand) = last_good(LastGoodConfig::of(100));
    assert_eq!(run(&prices, Ok(1)), Ok(1));
    hand.advance(SECOND);
    assert_eq!(prices.reconfigure(LastGoodConfig::of(5)), Ok(2));
    assert_eq!(run(&prices, refused()), Ok(1));
    for key in 0..100 {
        let _ = run_as(&prices, &Call::new("price").with_key(key), Ok(key));
    }
    assert!(prices.kept() <= 5, "{}", prices.kept());
    let wrong = LastGoodConfig::of(0);
    assert_eq!(
        prices.reconfigure(wrong).unwrap_err().to_string(),
        "entries: 0 is out of range; allowed: 1 to 10000000"
    );
    assert_eq!(prices.config(), LastGoodConfig::of(5));
    let on = FallbackConfig::default().with_enforcement(Enforcement::Dark);
    let dark = LastGoodConfig::of(5).answering(on);
    prices.reconfigure(dark).unwrap();
    assert_eq!(run(&prices, Ok(1)), Ok(1));
    assert_eq!(run(&prices, refused()), refused());
    assert_eq!(prices.unanswered(Unanswered::Dark), 1);
}

#[cfg(feature = "serde")]
#[test]
fn rules_are_read_from_a_file() {
    let text = "entries = 10\nat_most = \"10m\"\nrefresh_after = \"1m\"\non = { permanent = true }";
    let minute = 60 * SECOND;
    assert_eq!(
        toml::from_str::<LastGoodConfig>(text).unwrap(),
        LastGoodConfig::of(10)
            .keeping_for(10 * minute)
            .refreshing_after(minute)
            .answering(FallbackConfig::default().with_permanent(true))
    );
    assert!(toml::from_str::<LastGoodConfig>("at_most = \"10m\"").is_err());
}
