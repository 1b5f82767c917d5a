use std::fmt;

use crate::{
    measure::{Body, Effort, in_turns},
    report::{Report, Row},
};

/// Some cases, each of which compares an operation of ours with those of peers.
#[derive(Debug)]
pub struct Bench {
    effort: Effort,
    json: bool,
    only: Option<String>,
    report: Report,
}

impl Bench {
    /// A bench of this name, told by the command line: `--json` prints one object a case, `--quick`
    /// runs a few rounds to see that it works, `--only TEXT` measures the cases whose names have the text.
    #[must_use]
    pub fn from_args(name: &'static str) -> Self {
        let has = |flag: &str| std::env::args().any(|argument| argument == flag);
        Self {
            effort: if has("--quick") {
                Effort::QUICK
            } else {
                Effort::FULL
            },
            json: has("--json"),
            only: std::env::args()
                .skip_while(|argument| argument != "--only")
                .nth(1),
            report: Report::new(name),
        }
    }

    /// A bench that runs a few rounds.
    #[must_use]
    pub const fn quick(name: &'static str) -> Self {
        Self {
            effort: Effort::QUICK,
            json: false,
            only: None,
            report: Report::new(name),
        }
    }

    /// A case of this name.
    pub fn case<'a>(&'a mut self, name: &'static str) -> Case<'a> {
        Case {
            bench: self,
            name,
            ours: None,
            peers: Vec::new(),
            goals: Vec::new(),
            between: None,
            threads: &[1, 2],
        }
    }

    /// Whether a case of this name is measured; asked by what measures without a [`Case`].
    #[must_use]
    pub fn measures(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// Whether it only sees that everything works.
    #[must_use]
    pub const fn is_quick(&self) -> bool {
        self.effort.rounds == Effort::QUICK.rounds
    }

    /// Whether it prints objects and no table.
    #[must_use]
    pub const fn prints_json(&self) -> bool {
        self.json
    }

    /// What came out so far.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Prints what came out.
    pub fn finish(self) {
        if !self.json {
            println!("{}", self.report.table());
        }
    }
}

/// Something that an operation of ours should reach.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    pub(crate) limit: f64,
    pub(crate) against: Against,
    pub(crate) threads: Option<usize>,
}

/// What a limit is a multiple of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against {
    Nanosecond,
    Peer(&'static str),
    /// What one thread has done in the same time.
    OneThread,
}

impl Goal {
    /// At most so many nanoseconds a call.
    #[must_use]
    pub const fn at_most(nanos: f64) -> Self {
        Self {
            limit: nanos,
            against: Against::Nanosecond,
            threads: None,
        }
    }

    /// At most so many times what this peer takes.
    #[must_use]
    pub const fn times(limit: f64, peer: &'static str) -> Self {
        Self {
            limit,
            against: Against::Peer(peer),
            threads: None,
        }
    }

    /// Two threads get at least so many times as much done as one.
    #[must_use]
    pub const fn two_threads_do(limit: f64) -> Self {
        Self {
            limit,
            against: Against::OneThread,
            threads: Some(2),
        }
    }

    /// The same goal, for so many threads alone.
    #[must_use]
    pub const fn on_threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }
}

/// One case of a [`Bench`], while it is being described.
#[must_use = "a case is measured by `run`"]
pub struct Case<'a> {
    bench: &'a mut Bench,
    name: &'static str,
    ours: Option<Body<'a>>,
    peers: Vec<(&'static str, Body<'a>)>,
    goals: Vec<Goal>,
    between: Option<Box<dyn Fn() + 'a>>,
    threads: &'static [usize],
}

impl<'a> Case<'a> {
    /// Our operation, called once a round of the loop.
    pub fn ours(self, operation: impl Fn() + Sync + 'a) -> Self {
        self.ours_in_batches(each(operation))
    }

    /// Our operation, told how often to run: for what needs a runtime around the loop.
    pub fn ours_in_batches(mut self, body: impl Fn(u64) + Sync + 'a) -> Self {
        self.ours = Some(Box::new(body));
        self
    }

    /// A peer's operation.
    pub fn peer(self, name: &'static str, operation: impl Fn() + Sync + 'a) -> Self {
        self.peer_in_batches(name, each(operation))
    }

    /// A peer's operation, told how often to run.
    pub fn peer_in_batches(mut self, name: &'static str, body: impl Fn(u64) + Sync + 'a) -> Self {
        self.peers.push((name, Box::new(body)));
        self
    }

    /// What our operation should reach.
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    /// Does this before each number of threads: clears away what the operations leave behind.
    pub fn clearing(mut self, between: impl Fn() + 'a) -> Self {
        self.between = Some(Box::new(between));
        self
    }

    /// Measures on one thread alone: for what threads cannot share, or where more say nothing.
    pub const fn on_one_thread(mut self) -> Self {
        self.threads = &[1];
        self
    }

    /// Measures the case on one thread and on two.
    ///
    /// # Panics
    /// When the case has no operation of ours.
    pub fn run(self) {
        let Some(ours) = &self.ours else {
            panic!("the case `{}` has no operation of ours", self.name);
        };
        if !self.bench.measures(self.name) {
            return;
        }
        let bodies: Vec<&Body<'_>> = std::iter::once(ours)
            .chain(self.peers.iter().map(|(_, body)| body))
            .collect();
        let mut alone = None;
        for threads in self.threads.iter().copied() {
            if let Some(clear) = &self.between {
                clear();
            }
            let mut figures = in_turns(&bodies, threads, self.bench.effort).into_iter();
            let Some(ours) = figures.next() else { continue };
            if threads == 1 {
                alone = Some(ours.cpu_ns);
            }
            let row = Row {
                case: self.name,
                threads,
                alone_ns: alone,
                ours,
                peers: self
                    .peers
                    .iter()
                    .map(|(name, _)| *name)
                    .zip(figures)
                    .collect(),
                goals: self.goals.clone(),
            };
            if self.bench.json {
                println!("{}", self.bench.report.json(&row));
            }
            self.bench.report.push(row);
        }
    }
}

fn each(operation: impl Fn() + Sync) -> impl Fn(u64) + Sync {
    move |count| {
        for _ in 0..count {
            operation();
        }
    }
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
