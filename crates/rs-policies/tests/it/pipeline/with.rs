//! What a pipeline has beside what is built in: a hedge, a single flight, a fallback, several limits.

use super::{Broken, House, MILLI, SECOND, Spy, finish, never, twice};
use rs_core::{Call, Clock, Failure, Guard, Outcome, Policy};
use rs_policies::{
    AdaptiveConfig, AdaptiveLimit, Backoff, Because, Both, BudgetConfig, Bulkhead, BulkheadConfig,
    Coalesce, CoalesceConfig, Fallback, FallbackConfig, Hedge, HedgeConfig, HedgeEnd, Jitter,
    LoadShed, LoadShedConfig, OrValue, Pipeline, RateLimit, RateLimitConfig, RetryConfig, Served,
    With,
};
use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering::Relaxed},
};

#[test]
fn a_hedge_goes_through_the_guards_once_more_and_shares_the_budget() {
    let (house, spy) = (House::new(), Spy::default());
    let pipeline: Pipeline<Spy, Bulkhead, With<Hedge>> = Pipeline::named("p")
        .within(&house.around)
        .safe_to_repeat()
        .timeout(SECOND)
        .hedge(HedgeConfig::after(100 * MILLI))
        .retry(twice())
        .guard(spy.clone())
        .bulkhead(BulkheadConfig::of(2))
        .attempt_timeout(400 * MILLI)
        .build()
        .unwrap();
    let hedge = pipeline.with().hedge();
    assert_eq!(
        hedge.budget().unwrap().name(),
        pipeline.retry().unwrap().budget().unwrap().name()
    );
    // The first attempt hangs; the one beside it answers.
    let seen = Mutex::new(Vec::new());
    let result = finish(
        &house,
        10 * MILLI,
        pipeline.call("x", async |call: Call| {
            seen.lock()
                .unwrap()
                .push((call.attempt(), call.hedge(), call.limits().call()));
            match call.hedge() {
                0 => never().await.map(|()| 0),
                hedge => Ok::<_, Broken>(hedge),
            }
        }),
    );
    assert_eq!(result, Ok(1));
    assert_eq!(
        *seen.lock().unwrap(),
        [(1, 0, Some(SECOND)), (1, 1, Some(SECOND))]
    );
    assert_eq!(hedge.ended(HedgeEnd::Won), 1);
    assert_eq!(
        spy.outcomes(),
        [Some(Outcome::Success), None],
        "the loser was cancelled"
    );
    assert_eq!((pipeline.limit().in_flight(), hedge.running()), (0, 0));
    let plan = pipeline.plan();
    assert_eq!((plan.attempts(), plan.longest()), (4, Some(SECOND)));
    assert!(
        (plan.load() - 1.2).abs() < 1e-9,
        "one budget for both: {}",
        plan.load()
    );
    println!("{plan}");
}

#[test]
fn a_hedge_of_calls_that_nobody_declared_safe_is_refused() {
    let house = House::new();
    let built = Pipeline::named("p")
        .within(&house.around)
        .hedge(HedgeConfig::after(100 * MILLI))
        .build();
    assert_eq!(
        built.unwrap_err().to_string(),
        "pipeline `p` cannot work: hedge and calls: the pipeline's calls are not declared safe to repeat"
    );
    let late = Pipeline::named("p")
        .within(&house.around)
        .safe_to_repeat()
        .hedge(HedgeConfig::after(500 * MILLI))
        .attempt_timeout(300 * MILLI)
        .build();
    assert_eq!(
        late.unwrap_err().to_string(),
        "pipeline `p` cannot work: hedge and attempt timeout: it begins after 500ms, when 300ms are over"
    );
}

#[test]
fn a_fallback_answers_whatever_happened_within() {
    let house = House::new();
    let fallback = || {
        Fallback::within(
            &house.around,
            "p",
            FallbackConfig::default(),
            OrValue(0_u32),
        )
        .unwrap()
    };
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .fallback(fallback())
        .timeout(SECOND)
        .retry(twice())
        .bulkhead(BulkheadConfig::of(1))
        .build()
        .unwrap();
    let failing = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Err::<u32, _>(Broken)),
    );
    assert_eq!(failing, Ok(0));
    let hanging = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| never().await.map(|()| 9)),
    );
    assert_eq!(hanging, Ok(0));
    let taken = pipeline.limit().try_admit(&Call::new("y")).unwrap();
    let refused = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Ok::<_, Broken>(7)),
    );
    assert_eq!(refused, Ok(0));
    drop(taken);
    let fine = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Ok::<_, Broken>(7)),
    );
    assert_eq!(fine, Ok(7));
    let said = pipeline.plan().to_string();
    assert!(
        said.starts_with("p\n  fallback\n  total timeout    1s\n  retry"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_key_share_all_that_is_within() {
    let around = rs_policies::Surroundings::apart();
    let coalesce =
        Coalesce::<u32, Broken>::within(&around, "p", CoalesceConfig::default()).unwrap();
    let pipeline = Pipeline::named("p")
        .within(&around)
        .timeout(SECOND)
        .coalesce(coalesce)
        .retry(twice())
        .bulkhead(BulkheadConfig::of(1))
        .build()
        .unwrap();
    let runs = AtomicU32::new(0);
    let price = || {
        pipeline.call(Call::new("price").with_key("sku-17"), async |call| {
            runs.fetch_add(1, Relaxed);
            Clock::tokio().sleep(20 * MILLI).await;
            if call.attempt() == 1 {
                Err(Broken)
            } else {
                Ok(250)
            }
        })
    };
    let prices = tokio::join!(price(), price(), price());
    assert_eq!(prices, (Ok(250), Ok(250), Ok(250)));
    assert_eq!(runs.load(Relaxed), 2, "one run of two attempts for all");
    assert_eq!(pipeline.limit().in_flight(), 0);
}

#[test]
fn limits_stand_in_the_right_order_however_they_are_written() {
    let house = House::new();
    let rate = || RateLimitConfig::bucket(1, "1/s".parse().unwrap());
    let all: Pipeline<(), Both<LoadShed, Both<RateLimit, Bulkhead>>> = Pipeline::named("p")
        .within(&house.around)
        .bulkhead(BulkheadConfig::of(1))
        .rate_limit(rate())
        .load_shed(LoadShedConfig::default())
        .build()
        .unwrap();
    let _two: Pipeline<(), Both<RateLimit, AdaptiveLimit>> = Pipeline::named("p")
        .within(&house.around)
        .adaptive_limit(AdaptiveConfig::default())
        .rate_limit(rate())
        .build()
        .unwrap();
    let _one: Pipeline<(), RateLimit> = Pipeline::named("p")
        .within(&house.around)
        .rate_limit(rate())
        .build()
        .unwrap();
    let kinds: Vec<_> = all
        .plan()
        .to_string()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    assert!(kinds[1].starts_with("load_shed"), "{kinds:?}");
    assert!(kinds[2].starts_with("rate_limit"), "{kinds:?}");
    assert!(kinds[3].starts_with("bulkhead"), "{kinds:?}");
    // The bulkhead is full: the token that the call took is not the dependency's business.
    let Both(_, Both(_, bulkhead)) = all.limit();
    let call = || finish(&house, MILLI, all.call("x", async |_| Ok::<_, Broken>(7)));
    assert_eq!(call(), Ok(7));
    assert_eq!(bulkhead.in_flight(), 0);
    let refused = call().unwrap_err();
    assert!(
        refused.to_string().starts_with("rate_limit `p` refused"),
        "{refused}"
    );
    house.hand.advance(SECOND);
    let taken = bulkhead.try_admit(&Call::new("y")).unwrap();
    let refused = call().unwrap_err();
    assert!(
        refused.to_string().starts_with("bulkhead `p` refused"),
        "{refused}"
    );
    drop(taken);
}

#[test]
fn two_guards_as_one_give_back_what_they_took() {
    let house = House::new();
    let full = |limit| Bulkhead::within(&house.around, "b", BulkheadConfig::of(limit)).unwrap();
    let both = Both(full(2), full(1));
    let call = Call::new("x");
    let first = both.try_admit(&call).unwrap();
    assert!(both.try_admit(&call).is_err());
    assert_eq!((both.0.in_flight(), both.1.in_flight()), (1, 1));
    drop(first);
    assert_eq!((both.0.in_flight(), both.1.in_flight()), (0, 0));
    let outline = both.outline();
    assert_eq!(outline.words(), "bulkhead: 2 at once; bulkhead: 1 at once");
    // One that is dropped while it waits for the second.
    let slow = Bulkhead::within(
        &house.around,
        "b",
        BulkheadConfig::of(1).with_queue(1, SECOND),
    )
    .unwrap();
    let both = Both(full(2), slow);
    let taken = both.1.try_admit(&call).unwrap();
    let mut waiting = Box::pin(both.admit(&call));
    assert!(super::poll(waiting.as_mut()).is_pending());
    assert_eq!((both.0.in_flight(), both.1.waiting()), (1, 1));
    drop(waiting);
    assert_eq!((both.0.in_flight(), both.1.waiting()), (0, 0));
    drop(taken);
}

#[test]
fn with_a_hedge_too_no_wait_ends_after_the_deadline_and_a_call_counts_once() {
    let house = House::new();
    let waits = Backoff::constant(400 * MILLI).with_jitter(Jitter::None);
    let budget = BudgetConfig::of("100%".parse().unwrap()).at_least("0/s".parse().unwrap());
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .safe_to_repeat()
        .timeout(SECOND)
        .retry(RetryConfig::new(9, waits))
        .budget(budget)
        .hedge(HedgeConfig::after(100 * MILLI))
        .build()
        .unwrap();
    let fine = async |_call| Ok::<_, Broken>(7);
    for _ in 0..10 {
        assert_eq!(finish(&house, MILLI, pipeline.call("x", fine)), Ok(7));
    }
    let budget = pipeline.with().hedge().budget().unwrap();
    assert_eq!(budget.balance().round(), 10.0, "ten calls, ten tokens");
    let began = house.clock.now();
    let failing = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Err::<(), _>(Broken)),
    );
    let last = Failure::Operation {
        error: Broken,
        attempts: 3,
    };
    assert_eq!(failing, Err(last));
    assert_eq!(house.clock.now() - began, 800 * MILLI);
}

#[test]
fn what_the_second_of_two_guards_refuses_is_not_the_dependencys_fault() {
    let house = House::new();
    let full = Bulkhead::within(&house.around, "b", BulkheadConfig::of(1)).unwrap();
    let call = Call::new("x");
    let _taken = full.try_admit(&call).unwrap();
    let both = Both(Spy::default(), full.clone());
    assert!(both.try_admit(&call).is_err());
    assert!(finish(&house, MILLI, both.admit(&call)).is_err());
    let ignored = Some(Outcome::Ignored);
    assert_eq!(both.0.outcomes(), [ignored, ignored]);
}

#[test]
fn a_pipeline_says_where_its_answer_is_from() {
    let bench = crate::support::Bench::new();
    let pipeline = Pipeline::named("bank")
        .within(&bench.around)
        .timeout(SECOND)
        .fallback(Fallback::value("bank", 3).unwrap())
        .build()
        .unwrap();
    let served = crate::support::at_once(pipeline.serve("x", async |_call| Ok::<_, Broken>(1)));
    assert_eq!(served.unwrap(), Served::Fresh(1));
    let served = crate::support::at_once(pipeline.serve("x", async |_call| Err(Broken))).unwrap();
    assert!(served.is_degraded() && *served.value() == 3);
    let late = pipeline.serve("x", async |_call| {
        std::future::pending::<()>().await;
        Ok::<_, Broken>(1)
    });
    let (served, took) = bench.run(late);
    assert_eq!(took, SECOND);
    assert!(matches!(served.unwrap().why(), Some(Because::TimedOut(_))));
}
