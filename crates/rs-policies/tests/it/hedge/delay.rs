//! After how long a hedge is started.

use super::{Lanes, MS, bad, hedge, now, poll, read};
use proptest::prelude::*;
use rs_core::{Call, ClockHand, Policy, Share};
use rs_policies::{Hedge, HedgeConfig, HedgeDelay};
use std::{pin::pin, time::Duration};

fn quantile(percent: f64) -> HedgeConfig {
    HedgeConfig::at_quantile(Share::percent(percent).unwrap())
}

/// A call that takes this long and is good.
fn takes(hedge: &Hedge, hand: &ClockHand, time: Duration) {
    ends(hedge, hand, time, &read(), Ok(1));
}

fn ends(hedge: &Hedge, hand: &ClockHand, time: Duration, call: &Call, answer: super::Answer) {
    let lanes = Lanes::default();
    let mut running = pin!(hedge.run(call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(time);
    lanes.answer(0, answer);
    assert!(poll(running).is_ready());
}

#[track_caller]
fn check_near(found: Option<Duration>, exact: Duration) {
    let found = found.unwrap();
    let off = found.abs_diff(exact).as_secs_f64() / exact.as_secs_f64();
    assert!(off <= 1.0 / 31.0, "{found:?} for {exact:?}");
}

#[test]
fn below_the_number_of_samples_there_is_no_hedge() {
    let (hedge, hand) = hedge(quantile(50.0).with_samples(10));
    for _ in 0..9 {
        takes(&hedge, &hand, MS * 20);
        assert_eq!(hedge.delay(), None);
    }
    let (lanes, call) = (Lanes::default(), read());
    {
        let mut running = pin!(hedge.run(&call, &lanes));
        for _ in 0..5 {
            assert!(poll(running.as_mut()).is_pending());
            hand.advance(MS * 1000);
        }
        assert_eq!(lanes.begun(), 1);
    }
    takes(&hedge, &hand, MS * 20);
    check_near(hedge.delay(), MS * 20);
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 21);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(lanes.alive(), [0, 1]);
}

#[test]
fn only_good_answers_of_calls_that_may_be_hedged_count() {
    let (hedge, hand) = hedge(quantile(50.0).with_samples(1));
    ends(&hedge, &hand, MS * 20, &read(), bad("down"));
    ends(&hedge, &hand, MS * 20, &read(), Ok(503));
    ends(&hedge, &hand, MS * 20, &Call::new("charge"), Ok(1));
    for (call, answer) in [(Call::new("charge"), Ok(1)), (read(), bad("down"))] {
        let at_once = Lanes::default();
        at_once.answer(0, answer.clone());
        assert_eq!(now(hedge.run(&call, &at_once)), answer);
    }
    assert_eq!(hedge.delay(), None);
    takes(&hedge, &hand, MS * 20);
    check_near(hedge.delay(), MS * 20);
}

#[test]
fn answers_at_once_are_answers() {
    let (hedge, hand) = hedge(quantile(95.0).with_samples(100));
    let good = Lanes::default();
    good.answer(0, Ok(1));
    for call in 0..100 {
        if call % 10 == 9 {
            takes(&hedge, &hand, MS * 20 * (1 + call / 10));
        } else {
            assert_eq!(now(hedge.run(&read(), &good)), Ok(1));
        }
    }
    // Of a hundred, ninety are at once and ten from 20 to 200 ms: the 95th takes 100 ms.
    check_near(hedge.delay(), MS * 100);
}

#[test]
fn it_is_never_shorter_than_the_least_delay() {
    let (hedge, hand) = hedge(quantile(50.0).with_samples(1).with_least_delay(MS * 30));
    takes(&hedge, &hand, MS * 2);
    assert_eq!(hedge.delay(), Some(MS * 30));
}

#[test]
fn what_is_old_is_forgotten() {
    let (hedge, hand) = hedge(quantile(50.0).with_samples(5));
    for _ in 0..100 {
        takes(&hedge, &hand, MS * 100);
    }
    check_near(hedge.delay(), MS * 100);
    hand.advance(Duration::from_secs(30));
    check_near(hedge.delay(), MS * 100);
    for _ in 0..10 {
        takes(&hedge, &hand, MS * 10);
    }
    hand.advance(Duration::from_secs(30));
    check_near(hedge.delay(), MS * 10);
    for _ in 0..10 {
        takes(&hedge, &hand, MS * 10);
    }
    hand.advance(Duration::from_secs(61));
    assert_eq!(hedge.delay(), None, "nothing is known of the last minute");
}

#[test]
fn a_first_attempt_that_lost_counts_with_the_time_that_it_had() {
    let (hedge, hand) = hedge(quantile(50.0).with_samples(4));
    for _ in 0..4 {
        takes(&hedge, &hand, MS * 10);
    }
    // From now on the first attempts hang. Were they left out, the delay would stay for ever.
    for _ in 0..16 {
        let (lanes, call) = (Lanes::default(), read());
        let mut running = pin!(hedge.run(&call, &lanes));
        assert!(poll(running.as_mut()).is_pending());
        hand.advance(hedge.delay().unwrap());
        assert!(poll(running.as_mut()).is_pending());
        hand.advance(MS * 500);
        lanes.answer(1, Ok(2));
        assert!(poll(running.as_mut()).is_ready());
    }
    assert!(hedge.delay().unwrap() > MS * 400, "{:?}", hedge.delay());
}

#[test]
fn a_call_given_up_after_the_delay_counts_and_one_before_does_not() {
    for (given_up_after, is_longer) in [(5, false), (500, true)] {
        let (hedge, hand) = hedge(quantile(50.0).with_samples(4));
        for _ in 0..4 {
            takes(&hedge, &hand, MS * 10);
        }
        for _ in 0..16 {
            let (lanes, call) = (Lanes::default(), read());
            let mut running = pin!(hedge.run(&call, &lanes));
            assert!(poll(running.as_mut()).is_pending());
            hand.advance(MS * given_up_after);
        }
        match is_longer {
            true => assert!(hedge.delay().unwrap() > MS * 400),
            false => check_near(hedge.delay(), MS * 10),
        }
    }
}

#[test]
fn other_rules_hold_at_once_and_keep_what_was_measured() {
    let (hedge, hand) = hedge(quantile(50.0).with_samples(10));
    for time in 1..=100 {
        takes(&hedge, &hand, MS * time);
    }
    check_near(hedge.delay(), MS * 50);
    assert_eq!(hedge.reconfigure(quantile(90.0)), Ok(2));
    check_near(hedge.delay(), MS * 90);
    hedge.reconfigure(HedgeConfig::after(MS * 7)).unwrap();
    assert_eq!(hedge.delay(), Some(MS * 7));
    takes(&hedge, &hand, MS * 1000);
    hedge.reconfigure(quantile(99.0)).unwrap();
    check_near(hedge.delay(), MS * 99);
    let wrong = hedge.reconfigure(quantile(100.0)).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "delay: 1 is out of range; allowed: 0.01 to 0.9999"
    );
    assert_eq!(
        hedge.config().delay(),
        HedgeDelay::Quantile(Share::percent(99.0).unwrap())
    );
}

#[track_caller]
fn check_wrong(config: HedgeConfig, expected: &str) {
    assert_eq!(config.check().unwrap_err().to_string(), expected);
    assert!(Hedge::new("prices", config).is_err());
}

#[test]
fn wrong_rules_are_refused_by_name() {
    let fixed = HedgeConfig::after(MS * 50);
    check_wrong(
        HedgeConfig::after(Duration::ZERO),
        "delay: 0s is out of range; allowed: 1ms to 1h",
    );
    check_wrong(
        fixed.with_hedges(0),
        "hedges: 0 is out of range; allowed: 1 to 8",
    );
    check_wrong(
        fixed.with_samples(0),
        "samples: 0 is out of range; allowed: 1 to 1000000",
    );
    check_wrong(
        fixed.with_least_delay(Duration::ZERO),
        "least_delay: 0s is out of range; allowed: 1ms to 1h",
    );
}

#[cfg(feature = "serde")]
#[test]
fn rules_are_read_from_a_file() {
    let read = |text: &str| toml::from_str::<HedgeConfig>(text);
    assert_eq!(
        read("delay = { fixed = \"50ms\" }").unwrap(),
        HedgeConfig::after(MS * 50)
    );
    assert_eq!(
        read("delay = { quantile = \"95%\" }\nhedges = 2\nsamples = 50\nleast_delay = \"5ms\"")
            .unwrap(),
        quantile(95.0)
            .with_hedges(2)
            .with_samples(50)
            .with_least_delay(MS * 5)
    );
    assert!(read("delay = { fixed = \"50ms\" }\nhedge = 2").is_err());
    let written = serde_json::to_value(quantile(95.0)).unwrap();
    let again: HedgeConfig = serde_json::from_value(written).unwrap();
    assert_eq!(again, quantile(95.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_quantile_is_the_exact_one_but_for_a_thirty_second(
        mut micros in proptest::collection::vec(1_000_u64..5_000_000, 20..60),
        percent in 1.0..99.9_f64,
    ) {
        let config = quantile(percent).with_samples(20);
        let (hedge, hand) = hedge(config.with_least_delay(MS));
        // All of them begin together, or some would be forgotten while others run.
        let lanes: Vec<_> = micros.iter().map(|_| Lanes::default()).collect();
        let call = read();
        let mut running: Vec<_> = lanes.iter().map(|lanes| Box::pin(hedge.run(&call, lanes))).collect();
        for one in &mut running {
            assert!(poll(one.as_mut()).is_pending());
        }
        micros.sort_unstable();
        let mut passed = 0;
        for (at, micros) in micros.iter().enumerate() {
            hand.advance(Duration::from_micros(micros - passed));
            passed = *micros;
            lanes[at].answer(0, Ok(1));
            assert!(poll(running[at].as_mut()).is_ready());
        }
        // What was found last may lack a sixteenth of the samples: other rules look again.
        hedge.reconfigure(config).unwrap();
        let rank = (micros.len() as f64 * (percent / 100.0)).ceil().max(1.0) as usize;
        let exact = Duration::from_micros(micros[rank - 1]);
        check_near(hedge.delay(), exact);
    }
}
