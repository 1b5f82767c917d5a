//! Cron expressions: time zones, clocks that are put back and forward, and times that were missed.

use crate::support::*;
use rs_core::Clock;
use rs_workers::{Cron, Misfire, WallClock, Worker, WorkerContext, WorkerState, cron};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

fn at(text: &str) -> SystemTime {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

fn show(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap().to_string()
}

fn table(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let when = cron("t", expression, zone, |_: WorkerContext, _| async {}).unwrap();
    let mut times = Vec::new();
    let mut time = at(from);
    while times.len() < count {
        time = when.next_after(time).unwrap();
        times.push(show(time));
    }
    times
}

#[test]
fn expressions_mean_what_they_mean_where_they_are() {
    let summer = table(
        "30 6 * * MON-FRI",
        "Europe/Berlin",
        "2026-07-03T00:00:00Z",
        2,
    );
    assert_eq!(summer, ["2026-07-03T04:30:00Z", "2026-07-06T04:30:00Z"]);
    let winter = table("30 6 * * *", "Europe/Berlin", "2026-12-03T00:00:00Z", 1);
    assert_eq!(winter, ["2026-12-03T05:30:00Z"]);
    let half = table("0 0 * * *", "Asia/Kolkata", "2026-01-01T00:00:00Z", 1);
    assert_eq!(half, ["2026-01-01T18:30:00Z"]);
    let seconds = table("*/20 * * * * *", "UTC", "2026-01-01T00:00:00Z", 3);
    assert_eq!(
        seconds,
        [
            "2026-01-01T00:00:20Z",
            "2026-01-01T00:00:40Z",
            "2026-01-01T00:01:00Z"
        ]
    );
    let last = table("0 0 L * *", "UTC", "2028-02-10T00:00:00Z", 2);
    assert_eq!(last, ["2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"]);
}

#[test]
fn clocks_that_are_put_forward_and_back() {
    // 2026-03-29, 02:00 becomes 03:00: half past two does not exist, and follows the gap.
    let forward = table("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
    assert_eq!(forward, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // 2026-10-25, 03:00 becomes 02:00: half past two is twice, and has one turn.
    let back = table("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(back, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // What is each quarter of an hour has no gap and no double.
    let quarters = table("*/15 * * * *", "Europe/Berlin", "2026-10-24T23:50:00Z", 12);
    assert_eq!(quarters.first().unwrap(), "2026-10-25T00:00:00Z");
    assert_eq!(quarters.last().unwrap(), "2026-10-25T02:45:00Z");
}

#[test]
fn wrong_ones_are_refused_where_they_stand() {
    let refused = |expression, zone| {
        let error = cron("t", expression, zone, |_: WorkerContext, _| async {}).unwrap_err();
        (error.field().to_owned(), error.to_string())
    };
    for expression in [
        "",
        "* * * *",
        "61 * * * *",
        "a b c d e",
        "* * * * * * * *",
        "0 0 32 * *",
    ] {
        let (field, text) = refused(expression, "UTC");
        assert_eq!(field, "expression", "{text}");
        assert!(text.contains("is no cron expression"), "{text}");
    }
    let (field, text) = refused("* * * * *", "Europe/Atlantis");
    assert_eq!(
        (field.as_str(), text.contains("is no time zone")),
        ("zone", true)
    );
    let never = cron("t", "0 0 30 2 *", "UTC", |_: WorkerContext, _| async {}).unwrap();
    assert_eq!(never.next_after(at("2026-01-01T00:00:00Z")), None);
    let tolerance = never.with_tolerance(1000 * 60 * MINUTE);
    assert_eq!(tolerance.check().unwrap_err().field(), "tolerance");
}

/// A job at each full hour, and what it was told.
struct Hourly {
    bench: Bench,
    told: Arc<Mutex<Vec<String>>>,
    /// What the time of day jumped by, in seconds.
    jump: Arc<AtomicU64>,
}

impl Hourly {
    async fn start(misfire: Misfire) -> Self {
        let bench = Bench::new();
        let told = Arc::new(Mutex::new(Vec::new()));
        let jump = Arc::new(AtomicU64::new(0));
        let kept = Arc::clone(&told);
        let job = move |_: WorkerContext, time| {
            kept.lock().unwrap().push(show(time));
            async {}
        };
        let job: Cron<_> = cron("job", "0 * * * *", "UTC", job).unwrap();
        let (clock, jumped) = (Clock::tokio(), Arc::clone(&jump));
        let (begun, start) = (clock.now(), at("2026-01-01T00:30:00Z"));
        let wall = WallClock::own(move || {
            start + (clock.now() - begun) + Duration::from_secs(jumped.load(SeqCst))
        });
        bench
            .workers
            .register(job.with_wall_clock(wall).when_missed(misfire))
            .unwrap();
        bench.workers.start_all().await.unwrap();
        Self { bench, told, jump }
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn turns_are_at_their_time() {
    let hourly = Hourly::start(Misfire::RunOnce).await;
    sleep(2 * 60 * MINUTE).await;
    assert_eq!(
        hourly.told(),
        ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
    );
    hourly.bench.workers.run_now("job").unwrap();
    settle().await;
    assert_eq!(hourly.told().len(), 1);
    sleep(60 * MINUTE).await;
    assert_eq!(
        hourly.told(),
        ["2026-01-01T03:00:00Z"],
        "by order or not, the next is at its time"
    );
    assert!(hourly.bench.workers.stop_all().await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn times_that_were_missed_go_by_the_rule() {
    for (misfire, expected) in [
        (Misfire::Skip, vec![]),
        (Misfire::RunOnce, vec!["2026-01-01T05:00:00Z"]),
        (
            Misfire::RunAll(2),
            vec!["2026-01-01T04:00:00Z", "2026-01-01T05:00:00Z"],
        ),
        (
            Misfire::RunAll(100),
            [1, 2, 3, 4, 5]
                .map(|hour| {
                    [
                        "2026-01-01T01:00:00Z",
                        "2026-01-01T02:00:00Z",
                        "2026-01-01T03:00:00Z",
                        "2026-01-01T04:00:00Z",
                        "2026-01-01T05:00:00Z",
                    ][hour - 1]
                })
                .to_vec(),
        ),
    ] {
        let hourly = Hourly::start(misfire).await;
        settle().await;
        // As if the machine had slept for five hours.
        hourly.jump.store(5 * 3600, SeqCst);
        sleep(MINUTE).await;
        assert_eq!(hourly.told(), expected, "{misfire:?}");
        assert!(hourly.bench.heard("missed its time"));
        sleep(30 * MINUTE).await;
        assert_eq!(
            hourly.told(),
            ["2026-01-01T06:00:00Z"],
            "and then as always"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_misses_times_like_a_sleep() {
    let hourly = Hourly::start(Misfire::RunOnce).await;
    hourly
        .bench
        .workers
        .pause("job", anna().lasting(210 * MINUTE))
        .unwrap();
    sleep(200 * MINUTE).await;
    assert!(hourly.told().is_empty());
    sleep(15 * MINUTE).await;
    assert_eq!(hourly.told(), ["2026-01-01T04:00:00Z"]);
}

#[tokio::test(start_paused = true)]
async fn an_expression_that_never_comes_true_ends_the_worker() {
    let bench = Bench::new();
    let wall = WallClock::beside(&Clock::tokio(), at("2026-01-01T00:00:00Z"));
    let never = cron("never", "0 0 30 2 *", "UTC", |_: WorkerContext, _| async {}).unwrap();
    bench.workers.register(never.with_wall_clock(wall)).unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(
        bench.workers.status("never").unwrap().state,
        WorkerState::Off
    );
}
