//! Runs what is compared in turns and takes the middle of what came out.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::report::Figure;

/// Runs an operation so many times.
pub(crate) type Body<'a> = Box<dyn Fn(u64) + Sync + 'a>;

/// How thoroughly to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) round: Duration,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        rounds: 25,
        round: Duration::from_millis(4),
    };
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        round: Duration::from_millis(1),
    };
}

/// The figure of each body, by running all of them in every round.
pub(crate) fn in_turns(bodies: &[&Body<'_>], threads: usize, effort: Effort) -> Vec<Figure> {
    let counts: Vec<u64> = bodies.iter().map(|body| calibrate(body, effort)).collect();
    let mut samples: Vec<Vec<Sample>> = bodies.iter().map(|_| Vec::new()).collect();
    for round in 0..effort.rounds {
        for turn in 0..bodies.len() {
            // Whoever comes first in one round comes last in another.
            let which = (turn + round) % bodies.len();
            samples[which].push(side_by_side(bodies[which], counts[which], threads));
        }
    }
    bodies
        .iter()
        .zip(samples)
        .map(|(body, samples)| figure(&samples, allocations(body)))
        .collect()
}

/// From the rounds in which the threads ran side by side; from all of them if those are too few, which the
/// figure says then.
fn figure(samples: &[Sample], allocations: f64) -> Figure {
    let together = || samples.iter().filter(|sample| sample.together);
    let side_by_side = together().count() * 5 >= samples.len();
    let counted: Vec<&Sample> = if side_by_side {
        together().collect()
    } else {
        samples.iter().collect()
    };
    Figure {
        cpu_ns: median(counted.iter().map(|sample| sample.cpu_ns)),
        wall_ns: median(counted.iter().map(|sample| sample.wall_ns)),
        allocations,
        side_by_side,
    }
}

struct Sample {
    cpu_ns: f64,
    wall_ns: f64,
    together: bool,
}

/// How many calls fill a round.
///
/// By the quicker of two runs: one that was interrupted, or in which something was done for the first time, would
/// have all rounds be of a few calls that find nothing in the caches.
fn calibrate(body: &Body<'_>, effort: Effort) -> u64 {
    let run = |count| {
        let start = now();
        body(count);
        start.elapsed()
    };
    let mut count = 16;
    loop {
        let took = run(count).min(run(count));
        if took >= effort.round / 2 || count > 1 << 40 {
            let per_call = took.as_secs_f64() / count as f64;
            return (effort.round.as_secs_f64() / per_call).max(1.0) as u64;
        }
        count *= 4;
    }
}

/// One round on so many threads; repeated, within reason, until they really ran side by side.
fn side_by_side(body: &Body<'_>, count: u64, threads: usize) -> Sample {
    const TRIES: usize = 20;
    let mut last = None;
    for _ in 0..TRIES {
        let runs = run(body, count, threads);
        // Threads that take turns on one processor overlap as well, but not while they run.
        let together = runs.len() == 1
            || overlap(&runs) >= 0.9 && runs.iter().all(|run| run.cpu >= run.wall().mul_f64(0.8));
        last = Some(Sample {
            cpu_ns: mean(runs.iter().map(|run| run.cpu.as_nanos() as f64)) / count as f64,
            wall_ns: mean(runs.iter().map(|run| run.wall().as_nanos() as f64)) / count as f64,
            together,
        });
        if together {
            break;
        }
    }
    last.unwrap_or(Sample {
        cpu_ns: f64::NAN,
        wall_ns: f64::NAN,
        together: false,
    })
}

struct Run {
    start: Instant,
    end: Instant,
    cpu: Duration,
}

impl Run {
    fn wall(&self) -> Duration {
        self.end - self.start
    }
}

fn run(body: &Body<'_>, count: u64, threads: usize) -> Vec<Run> {
    let timed = || {
        let (start, cpu) = (now(), thread_time());
        body(count);
        Run {
            start,
            cpu: thread_time().saturating_sub(cpu),
            end: now(),
        }
    };
    if threads == 1 {
        return vec![timed()];
    }
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    // Touches what is lazy in a new thread before the clock runs.
                    body(8);
                    barrier.wait();
                    timed()
                })
            })
            .collect();
        started
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    })
}

/// The share of the longest run in which all ran.
fn overlap(runs: &[Run]) -> f64 {
    let start = runs.iter().map(|run| run.start).max();
    let end = runs.iter().map(|run| run.end).min();
    let longest = runs.iter().map(Run::wall).max();
    match (start, end, longest) {
        (Some(start), Some(end), Some(longest)) if !longest.is_zero() => {
            end.saturating_duration_since(start).as_secs_f64() / longest.as_secs_f64()
        }
        _ => 0.0,
    }
}

fn allocations(body: &Body<'_>) -> f64 {
    const CALLS: u64 = 1000;
    body(8);
    let counted = allocation_counter::measure(|| body(CALLS));
    // What a body sets up once, such as a runtime, is not the call's.
    (counted.count_total as f64 / CALLS as f64 * 10.0).round() / 10.0
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock itself is what is needed here"
)]
fn now() -> Instant {
    Instant::now()
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
