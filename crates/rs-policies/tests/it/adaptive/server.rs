//! A dependency in virtual time: so many workers, a queue before them, and callers who come by chance.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Duration,
};

use fastrand::Rng;
use rs_core::{Call, Clock, ClockHand, Criticality, Fault, Guard, Outcome, Permit};
use rs_policies::{AdaptiveConfig, AdaptiveLimit, Surroundings};

/// How the dependency behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) workers: usize,
    pub(crate) service: Duration,
    /// How much service times differ.
    pub(crate) chance: Chance,
    /// It throttles calls that find so many queueing.
    pub(crate) queue: usize,
    /// Callers give up after this; the workers go on.
    pub(crate) patience: Duration,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Chance {
    /// Within a tenth.
    Little,
    /// Exponentially distributed.
    Much,
}

impl Server {
    pub(crate) const fn of(workers: usize, service: Duration) -> Self {
        Self {
            workers,
            service,
            chance: Chance::Little,
            queue: usize::MAX,
            patience: Duration::from_secs(60),
        }
    }

    /// Calls a second.
    pub(crate) fn capacity(&self) -> f64 {
        self.workers as f64 / self.service.as_secs_f64()
    }
}

/// What happens when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    Done(usize),
    Throttled(usize),
    GivesUp(usize),
    Second,
}

struct Job<'a> {
    permit: Option<Permit<&'a AdaptiveLimit>>,
    class: Criticality,
}

/// What a second came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Second {
    pub(crate) limit: f64,
    pub(crate) succeeded: [u32; 4],
    pub(crate) dropped: u32,
    pub(crate) refused: [u32; 4],
}

/// A server with a limit before it.
pub(crate) struct World {
    pub(crate) limit: AdaptiveLimit,
    hand: ClockHand,
    now: u64,
    pub(crate) server: Server,
    /// Arrivals a second, and their classes.
    pub(crate) rate: f64,
    pub(crate) classes: Vec<Criticality>,
    /// This share of the calls times out whatever the load is.
    pub(crate) lost: f64,
    dice: Rng,
    pub(crate) seconds: Vec<Second>,
}

impl World {
    pub(crate) fn new(config: AdaptiveConfig, server: Server) -> Self {
        let (clock, hand) = Clock::manual();
        let around = Surroundings::apart().with_clock(clock).with_seed(11);
        Self {
            limit: AdaptiveLimit::within(&around, "search", config).unwrap(),
            hand,
            now: 0,
            server,
            rate: server.capacity(),
            classes: vec![Criticality::Critical],
            lost: 0.0,
            dice: Rng::with_seed(3),
            seconds: Vec::new(),
        }
    }

    /// Goes on for so many seconds, then lets everybody go.
    pub(crate) fn run(&mut self, seconds: usize) {
        let limit = self.limit.clone();
        let (mut events, mut jobs) = (BinaryHeap::new(), Vec::<Job<'_>>::new());
        let (mut waiting, mut busy) = (VecDeque::new(), 0);
        let mut second = Second::default();
        let end = self.now + seconds as u64 * 1_000_000_000;
        events.push(Reverse((self.now, Event::Arrives)));
        events.push(Reverse((self.now + 1_000_000_000, Event::Second)));
        while let Some(Reverse((at, event))) = events.pop() {
            if at > end {
                break;
            }
            self.hand.advance(Duration::from_nanos(at - self.now));
            self.now = at;
            match event {
                Event::Arrives => {
                    let gap = -self.dice.f64().max(1e-12).ln() / self.rate;
                    events.push(Reverse((at + (gap * 1e9) as u64, Event::Arrives)));
                    let class = self.classes[self.dice.usize(..self.classes.len())];
                    let call = Call::new("search").with_criticality(class);
                    let Ok(permit) = limit.try_admit(&call) else {
                        second.refused[class as usize] += 1;
                        continue;
                    };
                    let number = jobs.len();
                    jobs.push(Job {
                        permit: Some(permit),
                        class,
                    });
                    let patience = self.server.patience.as_nanos() as u64;
                    events.push(Reverse((at + patience, Event::GivesUp(number))));
                    if self.dice.f64() < self.lost {
                        // It is nowhere, and the caller waits in vain.
                    } else if waiting.len() >= self.server.queue {
                        events.push(Reverse((at + 1_000_000, Event::Throttled(number))));
                    } else {
                        waiting.push_back(number);
                    }
                }
                Event::Done(number) => {
                    busy -= 1;
                    let job = &mut jobs[number];
                    if let Some(permit) = job.permit.take() {
                        second.succeeded[job.class as usize] += 1;
                        permit.finish(Outcome::Success);
                    }
                }
                Event::Throttled(number) => {
                    if let Some(permit) = jobs[number].permit.take() {
                        second.dropped += 1;
                        permit.finish(Fault::throttled().into());
                    }
                }
                Event::GivesUp(number) => {
                    if let Some(permit) = jobs[number].permit.take() {
                        second.dropped += 1;
                        permit.finish(Fault::timed_out().into());
                    }
                }
                Event::Second => {
                    second.limit = limit.limit().into();
                    self.seconds.push(std::mem::take(&mut second));
                    events.push(Reverse((at + 1_000_000_000, Event::Second)));
                }
            }
            while busy < self.server.workers
                && let Some(number) = waiting.pop_front()
            {
                busy += 1;
                let service = self.service();
                events.push(Reverse((at + service, Event::Done(number))));
            }
        }
        drop(jobs);
        assert_eq!(self.limit.in_flight(), 0, "every ticket came back");
    }

    fn service(&mut self) -> u64 {
        let chance = match self.server.chance {
            Chance::Little => 0.9 + 0.2 * self.dice.f64(),
            Chance::Much => -self.dice.f64().max(1e-12).ln(),
        };
        (self.server.service.as_nanos() as f64 * chance) as u64
    }

    /// The last so many seconds.
    pub(crate) fn last(&self, seconds: usize) -> &[Second] {
        &self.seconds[self.seconds.len() - seconds..]
    }

    pub(crate) fn mean_limit(&self, seconds: usize) -> f64 {
        mean(self.last(seconds).iter().map(|second| second.limit))
    }

    /// Successes a second, as a share of what the server can do.
    pub(crate) fn goodput(&self, seconds: usize) -> f64 {
        let of = |second: &Second| f64::from(second.succeeded.iter().sum::<u32>());
        mean(self.last(seconds).iter().map(of)) / self.server.capacity()
    }

    /// A curve of the limit, as text.
    pub(crate) fn plot(&self, title: &str, workers: usize) {
        const WIDTH: usize = 72;
        const HEIGHT: usize = 10;
        let limits: Vec<f64> = self.seconds.iter().map(|second| second.limit).collect();
        let top = limits.iter().copied().fold(workers as f64, f64::max) * 1.05;
        let columns: Vec<f64> = (0..WIDTH)
            .map(|column| {
                let from = column * limits.len() / WIDTH;
                let to = ((column + 1) * limits.len() / WIDTH).max(from + 1);
                mean(limits[from..to.min(limits.len())].iter().copied())
            })
            .collect();
        println!(
            "{title}: limit over {} s, - is {workers} workers",
            limits.len()
        );
        for row in (0..HEIGHT).rev() {
            let (low, high) = (
                top * row as f64 / HEIGHT as f64,
                top * (row + 1) as f64 / HEIGHT as f64,
            );
            let is_in = |value: f64| (low..high).contains(&value);
            let line = columns.iter().map(|limit| match () {
                () if is_in(*limit) => '*',
                () if is_in(workers as f64) => '-',
                () => ' ',
            });
            println!("{high:>7.0} |{}", line.collect::<String>());
        }
    }
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}
