//! What time does to breakers while somebody does the housekeeping, and while nobody does.

use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerState, Curve, Forced, OpenTime, Probing, Ramp, Supervisor,
    Surroundings,
};
use rs_core::{Call, Clock, Enforcement, FlightRecorder, Guard, Mandate, Outcome};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const MILLI: Duration = Duration::from_millis(1);

/// A supervisor that works only when it is told to.
struct Housekeeper(Pin<Box<dyn Future<Output = ()>>>);

impl Housekeeper {
    fn of(around: &Surroundings) -> Self {
        let supervisor = Supervisor::of(around);
        let mut keeper = Self(Box::pin(async move { supervisor.run().await }));
        keeper.work();
        keeper
    }

    fn work(&mut self) {
        let context = &mut Context::from_waker(Waker::noop());
        assert!(self.0.as_mut().poll(context).is_pending());
    }
}

fn open(breaker: &Breaker) {
    while let Ok(permit) = breaker.try_admit(&Call::new("charge")) {
        permit.finish(Outcome::TRANSIENT);
    }
}

/// Surroundings in tokio's paused time, their supervisor at work, and the signals that are heard.
struct Paused {
    around: Surroundings,
    started: Instant,
    keepers: JoinSet<()>,
}

impl Paused {
    fn new() -> Self {
        let recorder = FlightRecorder::with_clock(4096, Clock::default());
        let paused = Self {
            around: Surroundings::apart().with_recorder(recorder).with_seed(7),
            started: Clock::default().now(),
            keepers: JoinSet::new(),
        };
        paused.and_another()
    }

    fn and_another(mut self) -> Self {
        let supervisor = Supervisor::of(&self.around);
        self.keepers.spawn(async move { supervisor.run().await });
        self
    }

    fn breaker(&self, config: BreakerConfig) -> Breaker {
        Breaker::within(&self.around, "payments", config).unwrap()
    }

    /// What was announced, and how many milliseconds after the start.
    fn said(&self) -> Vec<(u128, String)> {
        let recent = self.around.recorder().recent(4096);
        let said = recent.iter().map(|one| {
            let at = one.at.saturating_duration_since(self.started);
            (at.as_millis(), one.signal.kind().name().to_owned())
        });
        said.collect()
    }

    #[track_caller]
    fn check(&self, expected: &[(u128, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(at, name)| (*at, (*name).to_owned()))
            .collect();
        assert_eq!(self.said(), expected);
    }
}

async fn pass(time: Duration) {
    Clock::default().sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn what_time_changes_is_announced_when_it_happens_though_nobody_calls() {
    let paused = Paused::new();
    let probing = Probing::needing(1).with_lease(5 * SECOND);
    let breaker = paused.breaker(plain().with_probing(probing));
    open(&breaker);
    pass(12 * SECOND).await;
    let hung = breaker.try_admit(&Call::new("hung")).unwrap();
    pass(60 * SECOND).await;
    paused.check(&[
        (0, "opened"),
        (10_000, "half_opened"),
        (17_000, "reopened"),
        (27_000, "half_opened"),
    ]);
    drop(hung);
}

#[tokio::test(start_paused = true)]
async fn an_order_ends_to_the_millisecond() {
    let paused = Paused::new();
    let breaker = paused.breaker(plain());
    pass(1500 * MILLI).await;
    let order = |time| Mandate::new("anna", "a drill").lasting(time);
    breaker.force_open(order(60 * SECOND));
    breaker.isolate(order(137 * MILLI));
    pass(SECOND).await;
    breaker.force_closed(order(1234 * MILLI));
    pass(120 * SECOND).await;
    paused.check(&[
        (1_500, "forced_open"),
        (1_500, "isolated"),
        (1_637, "half_opened"),
        (2_500, "forced_closed"),
        (3_734, "closed"),
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_takes_its_steps_and_ends_though_nobody_calls() {
    let paused = Paused::new();
    let ramp = Ramp::over(20 * SECOND)
        .starting_at(percent(10))
        .along(Curve::Linear);
    let breaker = paused.breaker(plain().with_ramp(ramp));
    open(&breaker);
    pass(11 * SECOND).await;
    breaker
        .try_admit(&Call::new("probe"))
        .unwrap()
        .finish(Outcome::Success);
    pass(MILLI).await;
    let mut shares = Vec::new();
    for _ in 0..19 {
        pass(SECOND).await;
        let refused = std::iter::repeat_with(|| breaker.try_admit(&Call::new("charge")))
            .take(10_000)
            .find_map(Result::err)
            .unwrap();
        shares.push((refused.observed().unwrap() * 1000.0).round());
    }
    let steps: Vec<f64> = (1..20).map(|step| 100.0 + 45.0 * f64::from(step)).collect();
    assert_eq!(shares, steps);
    pass(60 * SECOND).await;
    paused.check(&[
        (0, "opened"),
        (10_000, "half_opened"),
        (11_000, "ramping"),
        (31_000, "closed"),
    ]);
}

#[tokio::test(start_paused = true)]
async fn two_supervisors_do_the_work_once_and_one_of_them_is_enough() {
    let mut paused = Paused::new().and_another();
    let breaker = paused.breaker(plain());
    open(&breaker);
    pass(11 * SECOND).await;
    paused.check(&[(0, "opened"), (10_000, "half_opened")]);
    paused.keepers.abort_all();
    while paused.keepers.join_next().await.is_some() {}
    assert!(!Supervisor::of(&paused.around).is_running());
    let paused = paused.and_another().and_another();
    pass(SECOND).await;
    breaker
        .try_admit(&Call::new("probe"))
        .unwrap()
        .finish(Outcome::TRANSIENT);
    assert_eq!(
        paused.said().last().unwrap(),
        &(12_000, "reopened".to_owned())
    );
    pass(20 * SECOND).await;
    assert_eq!(
        paused.said().last().unwrap(),
        &(22_000, "half_opened".to_owned())
    );
    assert_eq!(paused.said().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn one_task_does_it_for_thousands() {
    let paused = Paused::new();
    let breakers: Vec<_> = (0..4000_u32)
        .map(|number| {
            let open_time = OpenTime::fixed((1 + number) * MILLI).with_jitter(percent(0));
            let breaker = paused.breaker(plain().with_open_time(open_time));
            open(&breaker);
            breaker
        })
        .collect();
    pass(2 * SECOND).await;
    let half_open = |breaker: &&Breaker| breaker.state() == BreakerState::HalfOpen;
    assert_eq!(breakers.iter().filter(half_open).count(), 2000);
    pass(2 * SECOND).await;
    assert_eq!(breakers.iter().filter(half_open).count(), 4000);
    for (number, (at, name)) in paused.said().iter().skip(96).enumerate() {
        assert_eq!(
            (*at, name.as_str()),
            (number as u128 + 1, "half_opened"),
            "in their order"
        );
    }
}

#[test]
fn without_one_the_next_call_looks() {
    let bench = Bench::with(plain());
    open(&bench.breaker);
    bench.wait(10 * SECOND);
    assert_eq!(bench.said().len(), 1, "nobody has looked yet");
    assert!(bench.succeed());
    assert_eq!(bench.said().len(), 3);
}

#[test]
fn one_that_is_dropped_leaves_breakers_to_themselves() {
    let bench = Bench::with(plain());
    let mut keeper = Housekeeper::of(&bench.around);
    open(&bench.breaker);
    bench.wait(5 * SECOND);
    keeper.work();
    drop(keeper);
    assert!(!Supervisor::of(&bench.around).is_running());
    bench.wait(5 * SECOND);
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn one_that_starts_late_finds_what_is_due() {
    let bench = Bench::with(plain());
    let other = Breaker::within(&bench.around, "other", plain()).unwrap();
    open(&bench.breaker);
    bench.wait(5 * SECOND);
    open(&other);
    bench.wait(6 * SECOND);
    assert_eq!(bench.said().len(), 2);
    let mut keeper = Housekeeper::of(&bench.around);
    assert_eq!(bench.said().len(), 3, "the first was due, the other is not");
    bench.wait(4 * SECOND);
    keeper.work();
    assert_eq!(
        bench.said()[3],
        "breaker other: half-open, lets probes through"
    );
}

#[test]
fn while_one_runs_few_refusals_look_at_the_clock() {
    // By the id of the call, in steps of the golden ratio: one in 64, and never more than this apart.
    const LATEST: usize = 144;
    #[track_caller]
    fn late(prepare: impl Fn(&Bench), refused_before: u32) -> usize {
        let bench = Bench::with(plain());
        let mut keeper = Housekeeper::of(&bench.around);
        prepare(&bench);
        for _ in 0..refused_before {
            assert!(!bench.succeed());
        }
        bench.wait(100 * SECOND);
        let late = (0..1000).take_while(|_| !bench.succeed()).count();
        assert!(
            late <= LATEST,
            "{late} calls were refused though it was time"
        );
        keeper.work();
        late
    }
    let order = |forced| {
        move |bench: &Bench| {
            let mandate = Mandate::new("anna", "a drill").lasting(100 * SECOND);
            bench.breaker.force(forced, mandate);
        }
    };
    let mut all = 0;
    for refused_before in [0, 1, 5, 63, 64, 65, 100] {
        all += late(|bench| open(&bench.breaker), refused_before);
        all += late(order(Forced::Open), refused_before);
        all += late(order(Forced::Isolated), refused_before);
    }
    assert!(all > 21 * 10, "{all}: they look too often");
}

#[test]
fn one_that_hangs_keeps_no_breaker_from_going_on_where_nobody_is_refused() {
    #[track_caller]
    fn check(config: BreakerConfig, prepare: impl Fn(&Bench), expected: BreakerState) {
        let bench = Bench::with(config);
        // It says that it runs, and is never polled again.
        let _hangs = Housekeeper::of(&bench.around);
        open(&bench.breaker);
        for _ in 0..5 {
            assert!(!bench.succeed());
        }
        prepare(&bench);
        bench.wait(100 * SECOND);
        let said = bench.said().len();
        let _ = bench.enter();
        assert!(bench.said().len() > said, "the next call did not look");
        assert_eq!(bench.breaker.state(), expected);
    }
    let reconfigure = |bench: &Bench| {
        let dark = plain().with_enforcement(Enforcement::Dark);
        bench.breaker.reconfigure(dark).unwrap();
    };
    check(plain(), reconfigure, BreakerState::HalfOpen);
    let order = |bench: &Bench| {
        let mandate = Mandate::new("anna", "a drill").lasting(50 * SECOND);
        bench.breaker.force_closed(mandate);
    };
    check(plain(), order, BreakerState::Closed);
    let ramp = Ramp::over(50 * SECOND).starting_at(percent(100));
    let recover = |bench: &Bench| {
        bench.wait(10 * SECOND);
        while !bench.succeed() {}
        assert_eq!(bench.breaker.state(), BreakerState::Ramping);
    };
    check(plain().with_ramp(ramp), recover, BreakerState::Closed);
}

fn timers(around: &Surroundings) -> usize {
    let shown = format!("{:?}", Supervisor::of(around));
    let (_, rest) = shown.split_once("timers: ").unwrap();
    rest.chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

#[test]
fn the_dead_do_not_pile_up() {
    let (clock, _hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let held = Breaker::within(&around, "held", plain()).unwrap();
    open(&held);
    for number in 0..10_000 {
        open(&Breaker::within(&around, "short-lived", plain()).unwrap());
        assert!(timers(&around) <= 64, "{number}");
    }
}

#[test]
fn one_breaker_has_few_timers_however_often_it_changes() {
    // The function decides for less than the settings, so each opening moves its end forward.
    let open_time = OpenTime::fixed(1000 * SECOND).decided_by(|_| 10 * SECOND);
    let probing = Probing::needing(1).with_lease(SECOND);
    let bench = Bench::with(plain().with_open_time(open_time).with_probing(probing));
    let mut keeper = Housekeeper::of(&bench.around);
    open(&bench.breaker);
    for round in 0..500 {
        bench.wait(15 * SECOND);
        keeper.work();
        let probe = bench.enter().unwrap();
        bench.wait(SECOND);
        keeper.work();
        drop(probe);
        let order = Mandate::new("anna", "a drill").lasting(Duration::from_secs(1000 - round));
        bench.breaker.force_open(order);
        bench.breaker.release(Mandate::new("anna", "enough"));
        bench.fail();
    }
    assert!(timers(&bench.around) <= 64, "{}", timers(&bench.around));
}

#[test]
fn it_is_not_held_up_by_a_callback_that_panics() {
    let open_time = OpenTime::fixed(5 * SECOND)
        .with_jitter(percent(0))
        .decided_by(|_| panic!("no"));
    let probing = Probing::needing(1).with_lease(SECOND);
    let bench = Bench::with(plain().with_open_time(open_time).with_probing(probing));
    let other = Breaker::within(&bench.around, "other", plain()).unwrap();
    let mut keeper = Housekeeper::of(&bench.around);
    open(&bench.breaker);
    open(&other);
    bench.wait(5 * SECOND);
    keeper.work();
    let hung = bench.enter().unwrap();
    bench.wait(5 * SECOND);
    keeper.work();
    assert_eq!(
        bench.breaker.state(),
        BreakerState::Open,
        "by the other settings"
    );
    assert_eq!(other.state(), BreakerState::HalfOpen);
    drop(hung);
    let said = bench.said();
    let panics = said
        .iter()
        .filter(|words| words.contains("panicked"))
        .count();
    assert_eq!(panics, 2, "{said:#?}");
}
