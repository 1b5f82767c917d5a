//! Servers and callers in a time of their own: nothing waits, and every run is the same.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use rs_balance::{Balancer, BalancerConfig, Endpoint, Lease};
use rs_core::{Call, Clock, ClockHand, ConfigError, FlightRecorder, Outcome};
use rs_metrics::Surroundings;

/// A server: how long it takes, and whether it works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    /// How long a call takes there, give or take a fifth.
    pub(crate) takes: Duration,
    /// Whether calls fail.
    pub(crate) fails: bool,
    /// From when on it is there.
    pub(crate) from: Duration,
}

/// What takes 20 ms.
pub(crate) const WELL: Server = Server {
    takes: Duration::from_millis(20),
    fails: false,
    from: Duration::ZERO,
};

/// What happened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Happened {
    /// How many calls each server got.
    pub(crate) calls: Vec<u32>,
    /// How many calls each server got in each tenth of the time.
    pub(crate) over_time: Vec<[u32; 10]>,
    /// When each server got its first call.
    pub(crate) first: Vec<Option<Duration>>,
    /// How long the calls took, in order.
    pub(crate) took: Vec<Duration>,
    /// How many failed.
    pub(crate) failed: u32,
    /// The most calls in flight at one server, and at the mean server at that moment.
    pub(crate) worst: (u32, f64),
}

impl Happened {
    /// Which share of all calls this server got.
    pub(crate) fn share(&self, server: usize) -> f64 {
        let all: u32 = self.calls.iter().sum();
        f64::from(self.calls[server]) / f64::from(all.max(1))
    }

    /// So long took this share of the calls at most.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let place = (self.took.len() as f64 * share) as usize;
        self.took
            .get(place)
            .or(self.took.last())
            .copied()
            .unwrap_or_default()
    }
}

/// Callers that call servers through balancers.
#[derive(Debug)]
pub(crate) struct World {
    /// The servers; the first of them is number 0.
    pub(crate) servers: Vec<Server>,
    /// How many calls come in a second, at random.
    pub(crate) rate: f64,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// How many callers there are, each with a balancer of its own.
    pub(crate) callers: usize,
}

impl World {
    /// Half a thousand calls a second from one caller, for a minute.
    pub(crate) fn of(servers: Vec<Server>) -> Self {
        Self {
            servers,
            rate: 500.0,
            lasts: Duration::from_secs(60),
            callers: 1,
        }
    }

    /// Ten servers, of which the last is this one.
    pub(crate) fn with(last: Server) -> Self {
        let mut servers = vec![WELL; 9];
        servers.push(last);
        Self::of(servers)
    }

    /// Lets it happen.
    pub(crate) fn run(&self, config: &BalancerConfig) -> Result<Happened, ConfigError> {
        let (clock, hand) = Clock::manual();
        let callers: Result<Vec<_>, _> = (0..self.callers)
            .map(|caller| {
                let around = Surroundings::apart()
                    .with_clock(clock.clone())
                    .with_recorder(FlightRecorder::with_clock(64, clock.clone()))
                    .with_seed(7 + caller as u64);
                Balancer::within(&around, "world", config.clone())
            })
            .collect();
        let mut run = Run {
            world: self,
            callers: callers?,
            hand,
            now: Duration::ZERO,
            due: BinaryHeap::new(),
            running: Vec::new(),
            in_flight: vec![0; self.servers.len()],
            dice: fastrand::Rng::with_seed(11),
            happened: Happened {
                calls: vec![0; self.servers.len()],
                over_time: vec![[0; 10]; self.servers.len()],
                first: vec![None; self.servers.len()],
                ..Happened::default()
            },
        };
        run.all();
        run.happened.took.sort_unstable();
        Ok(run.happened)
    }
}

struct Run<'a> {
    world: &'a World,
    callers: Vec<Balancer<usize>>,
    hand: ClockHand,
    now: Duration,
    due: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    running: Vec<Option<(Lease<usize>, Duration)>>,
    in_flight: Vec<u32>,
    dice: fastrand::Rng,
    happened: Happened,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The set of servers is another.
    Update,
    Call,
    /// The call of this place is done.
    Done(usize),
}

impl Run<'_> {
    fn all(&mut self) {
        let mut changes: Vec<Duration> = self
            .world
            .servers
            .iter()
            .map(|server| server.from)
            .collect();
        changes.sort_unstable();
        changes.dedup();
        for at in changes {
            self.at(at, Event::Update);
        }
        self.at(Duration::ZERO, Event::Call);
        while let Some(Reverse((at, _, event))) = self.due.pop() {
            self.hand.advance(at.saturating_sub(self.now));
            self.now = at;
            match event {
                Event::Update => self.update(),
                Event::Call => self.call(),
                Event::Done(place) => self.done(place),
            }
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        let order = self.dice.u64(..) >> 1 | u64::from(event != Event::Update) << 63;
        self.due.push(Reverse((at, order, event)));
    }

    fn update(&mut self) {
        let there = self.world.servers.iter().enumerate();
        let there = there.filter(|(_, server)| server.from <= self.now);
        let ids: Vec<usize> = there.map(|(number, _)| number).collect();
        for caller in &self.callers {
            caller.update(
                ids.iter()
                    .map(|id| Endpoint::new(format!("server-{id}"), *id)),
            );
        }
    }

    fn call(&mut self) {
        let wait = -(1.0 - self.dice.f64()).ln() / self.world.rate;
        let next = self.now + Duration::from_secs_f64(wait);
        if next < self.world.lasts {
            self.at(next, Event::Call);
        }
        let caller = self.dice.usize(..self.callers.len());
        let call = Call::new("call").with_key(self.dice.u64(..));
        let Some(lease) = self.callers[caller].pick(&call) else {
            self.happened.failed += 1;
            return;
        };
        let number = *lease;
        let server = self.world.servers[number];
        let tenth = (self.now.as_secs_f64() / self.world.lasts.as_secs_f64() * 10.0) as usize;
        self.happened.calls[number] += 1;
        self.happened.over_time[number][tenth.min(9)] += 1;
        self.happened.first[number].get_or_insert(self.now);
        self.in_flight[number] += 1;
        let all: u32 = self.in_flight.iter().sum();
        if self.in_flight[number] > self.happened.worst.0 {
            let mean = f64::from(all) / self.in_flight.len() as f64;
            self.happened.worst = (self.in_flight[number], mean);
        }
        let takes = server.takes.mul_f64(0.8 + 0.4 * self.dice.f64());
        let place = self.running.len();
        self.running.push(Some((lease, self.now)));
        self.at(self.now + takes, Event::Done(place));
    }

    fn done(&mut self, place: usize) {
        let Some((lease, begun)) = self.running[place].take() else {
            return;
        };
        self.in_flight[*lease] -= 1;
        self.happened.took.push(self.now - begun);
        if self.world.servers[*lease].fails {
            self.happened.failed += 1;
            lease.finish(Outcome::TRANSIENT);
        } else {
            lease.finish(Outcome::Success);
        }
    }
}
