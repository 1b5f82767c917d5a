//! Many clients at once, in time that is not real: what a dependency gets while it fails, and when it
//! comes back. The curves are printed.

use std::{
    fmt::Write as _,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::support::{Bench, MS, SECOND, percent, poll};
use rs_core::{Call, Clock, Policy};
use rs_policies::{Backoff, Budget, BudgetConfig, Jitter, Retry, RetryConfig};

/// A dependency that notes when it is called, first or again.
#[derive(Clone)]
struct Dependency {
    clock: Clock,
    begin: Instant,
    down: Arc<AtomicBool>,
    takes: Duration,
    first: Arc<Mutex<Vec<Duration>>>,
    again: Arc<Mutex<Vec<Duration>>>,
}

impl Dependency {
    fn new(bench: &Bench, takes: Duration) -> Self {
        Self {
            clock: bench.clock.clone(),
            begin: bench.now(),
            down: Arc::new(AtomicBool::new(true)),
            takes,
            first: Arc::default(),
            again: Arc::default(),
        }
    }

    async fn call(&self, call: Call) -> Result<(), ()> {
        let list = if call.attempt() == 1 {
            &self.first
        } else {
            &self.again
        };
        list.lock().unwrap().push(self.clock.now() - self.begin);
        let down = self.down.load(SeqCst);
        if !self.takes.is_zero() {
            self.clock.sleep(self.takes).await;
        }
        if down { Err(()) } else { Ok(()) }
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), ()>> + Send>>;

async fn client(retry: Retry, dependency: Dependency) -> Result<(), ()> {
    let answer = retry.call("visit", |call| {
        let dependency = dependency.clone();
        async move { dependency.call(call).await }
    });
    answer.await.map_err(drop)
}

/// All of them, until the end; those that are done leave. How many succeeded.
struct Crowd(Vec<Running>, usize);

impl Crowd {
    fn poll(&mut self) {
        let Self(running, succeeded) = self;
        running.retain_mut(|one| match poll(one.as_mut()) {
            std::task::Poll::Ready(answer) => {
                *succeeded += usize::from(answer.is_ok());
                false
            }
            std::task::Poll::Pending => true,
        });
    }
}

/// How many there were in each stretch of time.
fn counted(times: &[Duration], stretch: Duration, stretches: usize) -> Vec<usize> {
    let mut counts = vec![0; stretches];
    for time in times {
        let place = (time.as_millis() / stretch.as_millis()) as usize;
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }
    counts
}

fn curve(title: &str, counts: &[usize], unit: usize) -> String {
    let mut text = format!("{title}; a # is {unit}\n");
    for (place, count) in counts.iter().enumerate() {
        let _ = writeln!(
            text,
            "{place:4} {count:5} {}",
            "#".repeat(count.div_ceil(unit))
        );
    }
    text
}

/// A thousand clients whose calls all fail at once, for twenty seconds. The curve of what comes later,
/// in tenths of a second.
fn recovery(jitter: Jitter) -> Vec<usize> {
    let bench = Bench::new();
    let dependency = Dependency::new(&bench, Duration::ZERO);
    let config = RetryConfig::new(20, Backoff::default().with_jitter(jitter));
    let retry = Retry::with_budget(&bench.around, "herd", config, None).unwrap();
    let clients =
        (0..1000).map(|_| -> Running { Box::pin(client(retry.clone(), dependency.clone())) });
    let mut crowd = Crowd(clients.collect(), 0);
    let outage = 20 * SECOND;
    while !crowd.0.is_empty() {
        crowd.poll();
        bench.wait(50 * MS);
        if bench.now() - dependency.begin >= outage {
            dependency.down.store(false, SeqCst);
        }
    }
    assert_eq!(crowd.1, 1000, "all come through in the end");
    let again = dependency.again.lock().unwrap();
    let after: Vec<_> = again
        .iter()
        .filter_map(|time| time.checked_sub(outage))
        .collect();
    assert_eq!(after.len(), 1000);
    counted(&after, 100 * MS, 110)
}

#[test]
fn clients_that_failed_together_do_not_come_back_together() {
    let (with, without) = (recovery(Jitter::default()), recovery(Jitter::None));
    println!(
        "{}",
        curve("with full jitter, in each tenth of a second", &with, 5)
    );
    println!("{}", curve("without jitter", &without, 20));
    let peak = |counts: &[usize]| counts.iter().copied().max().unwrap();
    let (with, without) = (peak(&with), peak(&without));
    println!("the peak is {with} with jitter and {without} without");
    assert_eq!(without, 1000);
    assert!(with * 5 <= without, "{with} of {without}");
}

/// How calls arrive, in milliseconds from one to the next.
struct Load {
    name: &'static str,
    waits: Backoff,
    attempts: u32,
    pipelines: usize,
    arrives: fn(u64) -> usize,
}

/// What a dependency gets that fails all the time for a minute.
fn storm(load: &Load, config: BudgetConfig) -> Dependency {
    let bench = Bench::new();
    let dependency = Dependency::new(&bench, 5 * MS);
    let budget = Budget::within(&bench.around, "shared", config).unwrap();
    let rules = RetryConfig::new(load.attempts, load.waits.clone());
    let names = ["a", "b", "c", "d"];
    let make = |name: &&'static str| {
        Retry::with_budget(&bench.around, *name, rules.clone(), budget.clone()).unwrap()
    };
    let pipelines: Vec<_> = names[..load.pipelines].iter().map(make).collect();
    let mut crowd = Crowd(Vec::new(), 0);
    let mut arrived = 0;
    for ms in (0..60_000).step_by(5) {
        for _ in 0..(load.arrives)(ms) {
            let retry = pipelines[arrived % pipelines.len()].clone();
            crowd.0.push(Box::pin(client(retry, dependency.clone())));
            arrived += 1;
        }
        crowd.poll();
        bench.wait(5 * MS);
    }
    dependency
}

/// How many of these, which are in order, were in this time up to that moment.
fn within(times: &[Duration], end: Duration, time: Duration) -> usize {
    let until = |moment| times.partition_point(|at| *at <= moment);
    until(end) - end.checked_sub(time).map_or(0, until)
}

/// In every ten seconds that end with a further attempt: so many further ones for so many first ones.
/// A wait moves an attempt away from the failure that it was granted for, by so much at most.
#[track_caller]
fn check(load: &Load) {
    let config = BudgetConfig::of(percent(20)).at_least("1/s".parse().unwrap());
    let dependency = storm(load, config);
    let first = dependency.first.lock().unwrap();
    let again = dependency.again.lock().unwrap();
    let slack = load.waits.longest_total(load.attempts - 1) + 5 * MS;
    let mut worst = f64::MIN;
    for end in again.iter() {
        let tries = within(&again, *end, 10 * SECOND);
        let calls = within(&first, *end, 10 * SECOND + slack);
        let allowed = calls as f64 * 0.2 + 10.0;
        worst = worst.max(tries as f64 / allowed);
        // What was granted before the window may begin in it.
        let moved = within(&first, *end, slack) as f64 * 0.2 + 1.0;
        assert!(
            tries as f64 <= allowed + moved,
            "{}: {tries} for {calls} calls in the ten seconds up to {end:?}",
            load.name
        );
    }
    let mut all: Vec<_> = first.iter().chain(again.iter()).copied().collect();
    all.sort_unstable();
    let counts = counted(&all, SECOND, 60);
    let most = counts.iter().copied().max().unwrap();
    println!("{}", curve(load.name, &counts, most.div_ceil(60)));
    println!(
        "{}: {} calls, {} further attempts, at worst {:.0}% of what is allowed in ten seconds",
        load.name,
        first.len(),
        again.len(),
        worst * 100.0
    );
    let whole = first.len() as f64 * 0.2 + 60.0 + 10.0;
    assert!(again.len() as f64 <= whole);
    // And the budget is used: it would otherwise be easy.
    assert!(
        again.len() as f64 >= whole * 0.6,
        "{} of {whole}",
        again.len()
    );
}

#[test]
fn a_steady_load() {
    check(&Load {
        name: "200 calls a second, in calls and attempts each second",
        waits: Backoff::default(),
        attempts: 3,
        pipelines: 1,
        arrives: |_| 1,
    });
}

#[test]
fn several_pipelines_share_a_budget() {
    check(&Load {
        name: "four pipelines with 100 calls a second together",
        waits: Backoff::default(),
        attempts: 5,
        pipelines: 4,
        arrives: |ms| usize::from(ms % 10 == 0),
    });
}

#[test]
fn who_calls_seldom_may_try_again() {
    check(&Load {
        name: "one call a second",
        waits: Backoff::default(),
        attempts: 4,
        pipelines: 1,
        arrives: |ms| usize::from(ms % 1000 == 0),
    });
}

#[test]
fn bursts_do_not_multiply() {
    check(&Load {
        name: "500 calls at once every four seconds",
        waits: Backoff::constant(Duration::ZERO),
        attempts: 10,
        pipelines: 2,
        arrives: |ms| 500 * usize::from(ms % 4000 == 0),
    });
}

/// Many calls, and then none: what they earned is gone after ten seconds.
#[test]
fn a_burst_leaves_nothing_for_later() {
    let load = Load {
        name: "2000 calls in a second, then one a second",
        waits: Backoff::constant(Duration::ZERO),
        attempts: 100,
        pipelines: 1,
        arrives: |ms| match ms {
            0..1000 => 10,
            _ => usize::from(ms % 1000 == 0),
        },
    };
    let config = BudgetConfig::of(percent(20)).at_least("0/s".parse().unwrap());
    let dependency = storm(&load, config);
    let again = dependency.again.lock().unwrap();
    let late = again
        .iter()
        .filter(|at| **at > 11 * SECOND + 500 * MS)
        .count();
    assert!(
        (350..=402).contains(&(again.len() - late)),
        "{}",
        again.len() - late
    );
    // A fifth of one call a second.
    assert!(late <= 10, "{late}");
}
