//! An old answer, served while it is replaced.

use super::{MS, bad, now, poll};
use rs_core::{Call, ClockHand, Enforcement, Failure};
use rs_policies::{
    Because, FallbackConfig, FallbackSource, LastGood, LastGoodConfig, Served, Surroundings,
};
use std::{
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::Poll,
};

type Answered = Result<Served<u32>, Failure<&'static str>>;

/// What is asked: it answers when it is told to, and counts how often it is asked.
#[derive(Default)]
struct Desk {
    answer: Mutex<Option<Result<u32, &'static str>>>,
    asked: AtomicU32,
}

impl Desk {
    fn says(&self, answer: impl Into<Option<Result<u32, &'static str>>>) {
        *self.answer.lock().unwrap() = answer.into();
    }

    async fn ask(&self) -> Result<u32, &'static str> {
        self.asked.fetch_add(1, SeqCst);
        std::future::poll_fn(|_| match *self.answer.lock().unwrap() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}

struct Bench {
    prices: LastGood<u32>,
    hand: ClockHand,
    desk: Desk,
}

/// Recent for 100 ms, served for a second; a refresh may take 300 ms.
fn rules() -> LastGoodConfig {
    LastGoodConfig::of(100)
        .keeping_for(MS * 1000)
        .refreshing_after(MS * 100)
        .with_longest_refresh(MS * 300)
}

impl Bench {
    fn with(config: LastGoodConfig) -> Self {
        let (clock, hand) = rs_core::Clock::manual();
        let around = Surroundings::apart().with_clock(clock);
        let prices = LastGood::within(&around, "prices", config).unwrap();
        let desk = Desk::default();
        desk.says(Ok(1));
        Self { prices, hand, desk }
    }

    fn ask(&self) -> impl Future<Output = Answered> {
        self.prices
            .serve("price", async |_call| self.desk.ask().await)
    }

    fn asked(&self) -> u32 {
        self.desk.asked.load(SeqCst)
    }
}

fn kept(value: u32, age: u32, why: Because) -> Answered {
    let age = MS * age;
    Ok(Served::Kept { value, age, why })
}

#[test]
fn what_is_recent_is_served_without_asking() {
    let bench = Bench::with(rules());
    assert_eq!(now(bench.ask()), Ok(Served::Fresh(1)));
    bench.hand.advance(MS * 99);
    bench.desk.says(Ok(2));
    assert_eq!(now(bench.ask()), kept(1, 99, Because::Recent));
    assert_eq!(bench.asked(), 1);
    bench.hand.advance(MS);
    assert_eq!(now(bench.ask()), Ok(Served::Fresh(2)));
    assert_eq!(now(bench.ask()), kept(2, 0, Because::Recent));
    assert_eq!(bench.asked(), 2);
}

#[test]
fn one_caller_replaces_it_and_all_others_are_served_meanwhile() {
    let bench = Bench::with(rules());
    assert!(now(bench.ask()).is_ok());
    bench.hand.advance(MS * 150);
    bench.desk.says(None);
    let mut refresh = pin!(bench.ask());
    assert!(poll(refresh.as_mut()).is_pending());
    for _ in 0..10 {
        assert_eq!(now(bench.ask()), kept(1, 150, Because::Refreshing));
    }
    assert_eq!(bench.asked(), 2);
    bench.desk.says(Ok(2));
    assert_eq!(poll(refresh), Poll::Ready(Ok(Served::Fresh(2))));
    assert_eq!(now(bench.ask()), kept(2, 0, Because::Recent));
    assert_eq!(bench.prices.answered(FallbackSource::Stale), 11);
}

#[test]
fn a_refresh_that_fails_is_answered_by_the_old_one_and_the_next_caller_tries() {
    let bench = Bench::with(rules());
    assert!(now(bench.ask()).is_ok());
    bench.hand.advance(MS * 150);
    bench.desk.says(Err("down"));
    for asked in 2..5 {
        let served = now(bench.ask()).unwrap();
        assert!(served.is_degraded() && *served.value() == 1, "{served:?}");
        assert_eq!(bench.asked(), asked);
    }
    bench.hand.advance(MS * 851);
    let failed = now(bench.ask()).map(Served::into_value);
    assert_eq!(failed, bad("down"), "it is too old by now");
}

#[test]
fn a_refresh_that_is_dropped_is_made_by_the_next_caller() {
    let bench = Bench::with(rules());
    assert!(now(bench.ask()).is_ok());
    bench.hand.advance(MS * 150);
    bench.desk.says(None);
    for polls in 0..3 {
        let mut refresh = pin!(bench.ask());
        for _ in 0..polls {
            assert!(poll(refresh.as_mut()).is_pending());
        }
    }
    bench.desk.says(Ok(2));
    assert_eq!(now(bench.ask()), Ok(Served::Fresh(2)));
}

#[test]
fn a_refresh_that_hangs_keeps_nobody_else_from_it() {
    let bench = Bench::with(rules());
    assert!(now(bench.ask()).is_ok());
    bench.hand.advance(MS * 150);
    bench.desk.says(None);
    let mut hangs = Box::pin(bench.ask());
    assert!(poll(hangs.as_mut()).is_pending());
    bench.hand.advance(MS * 299);
    assert_eq!(now(bench.ask()), kept(1, 449, Because::Refreshing));
    bench.hand.advance(MS);
    let mut second = pin!(bench.ask());
    assert!(poll(second.as_mut()).is_pending(), "its turn now");
    // The first one gives up a turn that is no longer its own.
    drop(hangs);
    assert_eq!(now(bench.ask()), kept(1, 450, Because::Refreshing));
    bench.desk.says(Ok(2));
    assert_eq!(poll(second), Poll::Ready(Ok(Served::Fresh(2))));
}

#[test]
fn an_answer_that_began_before_the_one_that_is_kept_came_is_not_newer() {
    let bench = Bench::with(rules());
    bench.desk.says(None);
    let mut slow = pin!(bench.ask());
    assert!(poll(slow.as_mut()).is_pending());
    bench.hand.advance(MS * 10);
    bench.desk.says(Ok(2));
    assert_eq!(now(bench.ask()), Ok(Served::Fresh(2)));
    bench.hand.advance(MS * 10);
    bench.desk.says(Ok(1));
    assert_eq!(poll(slow), Poll::Ready(Ok(Served::Fresh(1))));
    assert_eq!(now(bench.ask()), kept(2, 10, Because::Recent));
}

#[test]
fn in_the_dark_everybody_asks() {
    let dark = FallbackConfig::default().with_enforcement(Enforcement::Dark);
    let bench = Bench::with(rules().answering(dark));
    for asked in 1..4 {
        assert_eq!(now(bench.ask()), Ok(Served::Fresh(1)));
        assert_eq!(bench.asked(), asked);
    }
}

type Handed = Pin<Box<dyn Future<Output = ()> + Send>>;

#[test]
fn a_refresh_is_handed_to_whoever_is_to_run_it() {
    let (clock, hand) = rs_core::Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let prices = LastGood::within(&around, "prices", rules()).unwrap();
    let desk = Arc::new(Desk::default());
    let handed: Mutex<Vec<Handed>> = Mutex::default();
    let ask = || {
        let desk = Arc::clone(&desk);
        let attempt = move |_call: Call| {
            let desk = Arc::clone(&desk);
            async move { desk.ask().await }
        };
        let spawn = |refresh| handed.lock().unwrap().push(refresh);
        now(prices.serve_and_spawn("price", attempt, spawn))
    };
    desk.says(Ok(1));
    assert_eq!(ask(), Ok(Served::Fresh(1)), "there is nothing to serve yet");
    hand.advance(MS * 150);
    for _ in 0..3 {
        assert_eq!(ask(), kept(1, 150, Because::Refreshing));
    }
    assert_eq!(handed.lock().unwrap().len(), 1);
    // Dropped, not run.
    handed.lock().unwrap().clear();
    desk.says(Err("down"));
    assert_eq!(ask(), kept(1, 150, Because::Refreshing));
    now(handed.lock().unwrap().remove(0));
    desk.says(Ok(2));
    assert_eq!(ask(), kept(1, 150, Because::Refreshing));
    now(handed.lock().unwrap().remove(0));
    assert_eq!(ask(), kept(2, 0, Because::Recent));
    assert_eq!(desk.asked.load(SeqCst), 3);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let wrong = rules().refreshing_after(MS * 1000).check().unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "refresh_after: 1s is out of range; allowed: 1ms to 999ms"
    );
}
