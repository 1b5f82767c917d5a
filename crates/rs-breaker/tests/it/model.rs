//! The breaker beside a plain one: whatever happens to both, they agree.

mod memory;
mod plain;
pub(crate) mod plan;

use memory::Counts;
use plain::{Plain, State, Ticket, Verdict};
use plan::{Plan, plan};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use rs_breaker::{Breaker, BreakerState, Forced, Surroundings};
use rs_core::{
    Call, Clock, ClockHand, Fault, FlightRecorder, Mandate, Observer, Outcome, Permit, Share,
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Some thousands of cases; a hundred thousand with `RS_PATTERNS_LONG=1`.
pub(crate) fn cases(few: u32) -> Config {
    Config {
        cases: if is_long() { 100_000 } else { few },
        failure_persistence: None,
        ..Config::default()
    }
}

pub(crate) fn is_long() -> bool {
    std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1")
}

#[derive(Debug, Clone)]
enum Step {
    /// A call that ends at once: which, at which attempt, how, after which time.
    Call(usize, u32, Outcome, Option<Duration>),
    /// A call that stays in flight.
    Begin(usize),
    /// One of those in flight ends.
    End(usize, Outcome, Option<Duration>),
    Cancel(usize),
    Wait(Duration),
    Force(Forced, Option<Duration>),
    Release,
    Reset,
    /// A part of the rules becomes that of these.
    Reconfigure(Box<Plan>, u8),
    Misconfigure(u8),
    LookAtState,
    LookAtAll,
}

const CALLS: usize = 24;

fn outcome(failing: u32) -> impl Strategy<Value = Outcome> {
    let hinted = select(vec![50, 2_000, 30_000])
        .prop_map(|hint| Outcome::from(Fault::throttled().after(Duration::from_millis(hint))));
    prop_oneof![
        100 - failing => Just(Outcome::Success),
        failing => Just(Outcome::TRANSIENT),
        failing.div_ceil(4) => Just(Outcome::PERMANENT),
        failing.div_ceil(4) => Just(Outcome::from(Fault::timed_out())),
        failing.div_ceil(4) => hinted,
        10 => Just(Outcome::Ignored),
    ]
}

fn took() -> impl Strategy<Value = Option<Duration>> {
    let times = select(vec![
        0,
        500_000_000,
        500_000_001,
        1_000_000_000,
        1_000_000_001,
        4_000_000_000,
    ]);
    prop_oneof![2 => Just(None), 1 => times.prop_map(|time| Some(Duration::from_nanos(time)))]
}

fn time() -> impl Strategy<Value = Duration> {
    let millis = select(vec![
        1, 9, 10, 15, 49, 50, 70, 250, 999, 1_000, 3_000, 5_000, 10_000, 61_000,
    ]);
    prop_oneof![
        9 => millis.prop_map(Duration::from_millis),
        1 => Just(Duration::from_secs(3600)),
    ]
}

fn step(failing: u32) -> impl Strategy<Value = Step> {
    let forced = select(vec![Forced::Open, Forced::Closed, Forced::Isolated]);
    prop_oneof![
        60 => (0..CALLS, 1_u32..=3, outcome(failing), took())
            .prop_map(|(call, attempt, outcome, took)| Step::Call(call, attempt, outcome, took)),
        12 => (0..CALLS).prop_map(Step::Begin),
        10 => (any::<usize>(), outcome(failing), took())
            .prop_map(|(which, outcome, took)| Step::End(which, outcome, took)),
        5 => any::<usize>().prop_map(Step::Cancel),
        20 => time().prop_map(Step::Wait),
        2 => (forced, prop::option::of(time())).prop_map(|(forced, time)| Step::Force(forced, time)),
        2 => Just(Step::Release),
        1 => Just(Step::Reset),
        3 => (plan().prop_map(Box::new), 0_u8..8)
            .prop_map(|(plan, part)| Step::Reconfigure(plan, part)),
        1 => any::<u8>().prop_map(Step::Misconfigure),
        3 => Just(Step::LookAtState),
        3 => Just(Step::LookAtAll),
    ]
}

fn story() -> impl Strategy<Value = (Plan, Vec<Step>)> {
    let steps = |failing| prop::collection::vec(step(failing), 1..=150);
    (plan(), prop_oneof![steps(20), steps(50), steps(90)])
}

/// Both breakers, and what is needed to compare them.
struct Pair {
    breaker: Breaker,
    plain: Plain,
    hand: ClockHand,
    made: Instant,
    observer: Observer,
    calls: Vec<Call>,
    in_flight: Vec<(Permit<Breaker>, Ticket)>,
    /// In this generation, the smallest share at which a call was let in, the largest at which not.
    ramp: HashMap<(usize, u32), (f64, f64)>,
    ramp_generation: u64,
    jitter_known_in: u64,
}

impl Pair {
    fn new(plan: Plan) -> Self {
        let (clock, hand) = Clock::manual();
        let made = clock.now();
        let recorder = FlightRecorder::new(256);
        let observer = recorder.observe();
        let around = Surroundings::apart()
            .with_clock(clock)
            .with_recorder(recorder);
        Self {
            breaker: Breaker::within(&around, "model", plan.config()).unwrap(),
            plain: Plain::new(plan),
            hand,
            made,
            observer,
            calls: (0..CALLS).map(|_| Call::new("model")).collect(),
            in_flight: Vec::new(),
            ramp: HashMap::new(),
            ramp_generation: 0,
            jitter_known_in: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Call(which, attempt, outcome, took) => {
                if let Some((permit, ticket)) = self.enter(*which, *attempt) {
                    self.finish(permit, &ticket, *outcome, *took);
                }
            }
            Step::Begin(which) => {
                let begun = self.enter(*which, 1);
                self.in_flight.extend(begun);
            }
            Step::End(which, outcome, took) => {
                if let Some((permit, ticket)) = self.pick(*which) {
                    self.finish(permit, &ticket, *outcome, *took);
                }
            }
            Step::Cancel(which) => {
                if let Some((permit, ticket)) = self.pick(*which) {
                    drop(permit);
                    self.plain.cancel(&ticket);
                }
            }
            Step::Wait(time) => {
                self.hand.advance(*time);
                self.plain.now += *time;
            }
            Step::Force(forced, lasting) => {
                let mandate = Mandate::new("anna", "a drill");
                let mandate = lasting.map_or(mandate.clone(), |time| mandate.lasting(time));
                self.breaker.force(*forced, mandate);
                self.plain.force(*forced, *lasting);
            }
            Step::Release => {
                let released = self.breaker.release(Mandate::new("anna", "enough"));
                assert_eq!(released, self.plain.release());
            }
            Step::Reset => {
                self.breaker.reset(Mandate::new("anna", "anew"));
                self.plain.reset();
            }
            Step::Reconfigure(other, part) => {
                let open = &self.plain.plan.open;
                if open.jitter > 0 || open.decided.is_some() {
                    // What time does first is then decided and diced by the old rules.
                    self.take(&Step::LookAtState);
                }
                let plan = self.plain.plan.with_part_of(other, *part);
                let version = self.breaker.reconfigure(plan.config()).unwrap();
                self.plain.reconfigure(plan);
                assert_eq!(version, self.plain.version);
            }
            Step::Misconfigure(what) => {
                self.plain.look_at_the_time();
                let before = self.breaker.config();
                self.breaker
                    .reconfigure(self.plain.plan.wrong(*what))
                    .unwrap_err();
                assert_eq!(self.breaker.config(), before);
                self.plain
                    .said
                    .push(("reconfiguration_refused", self.plain.generation));
            }
            Step::LookAtState => {
                self.plain.look_at_the_time();
                assert_eq!(self.breaker.state(), self.plain.public_state());
            }
            Step::LookAtAll => self.compare_all(),
        }
        self.compare_what_was_said();
    }

    fn pick(&mut self, which: usize) -> Option<(Permit<Breaker>, Ticket)> {
        let which = which.checked_rem(self.in_flight.len())?;
        Some(self.in_flight.swap_remove(which))
    }

    fn enter(&mut self, which: usize, attempt: u32) -> Option<(Permit<Breaker>, Ticket)> {
        let call = self.calls[which].at_attempt(attempt);
        let found = self.breaker.try_admit_owned(&call);
        let mut expected = self.plain.enter(&call);
        if let Verdict::Refused("open", _, until) = &mut expected {
            *until = self.learn_the_jitter();
        }
        if let Verdict::InIfCovered(share) = expected {
            let is_dark = || self.breaker.snapshot().dark_rejections > self.plain.counts.dark;
            let lenient = !self.plain.plan.enforcement.covers(&call);
            let covered = found.is_ok() && !(lenient && is_dark());
            self.compare_coverage((which, attempt), share, covered);
            expected = if covered {
                Verdict::In(self.plain.counted())
            } else {
                self.plain
                    .refuse(&call, "ramping", Some((share, 1.0)), None)
            };
        }
        match (found, expected) {
            (Ok(permit), Verdict::In(ticket)) => {
                let found = permit.ticket().unwrap();
                assert_eq!(found.generation(), ticket.generation);
                assert_eq!(found.is_probe(), ticket.is_probe());
                Some((permit, ticket))
            }
            (Err(found), Verdict::Refused(code, because, try_at)) => {
                assert_eq!(found.reason().code(), code);
                assert_eq!(found.generation(), self.plain.generation);
                let observed = found.observed().zip(found.limit());
                assert!(are_near(observed, because), "{observed:?} {because:?}");
                assert_eq!(found.retry_at().map(|moment| moment - self.made), try_at);
                None
            }
            (Ok(_), _) => panic!("it was let in"),
            (Err(found), _) => panic!("it was refused: {found}"),
        }
    }

    /// A call that is let in at some share is let in at every larger one.
    fn compare_coverage(&mut self, call: (usize, u32), share: f64, covered: bool) {
        if self.ramp_generation != self.plain.generation {
            self.ramp_generation = self.plain.generation;
            self.ramp.clear();
        }
        let (least_in, most_out) = self.ramp.entry(call).or_insert((1.0, 0.0));
        if covered {
            *least_in = least_in.min(share);
        } else {
            *most_out = most_out.max(share);
        }
        assert!(
            least_in >= most_out && (covered || share < 1.0),
            "{least_in} {most_out}"
        );
    }

    fn finish(
        &mut self,
        permit: Permit<Breaker>,
        ticket: &Ticket,
        outcome: Outcome,
        took: Option<Duration>,
    ) {
        match took {
            Some(took) => permit.finish_after(outcome, took),
            None => permit.finish(outcome),
        }
        self.plain.finish(ticket, outcome, took);
    }

    /// The same changes, in the same generations, at the same step.
    fn compare_what_was_said(&mut self) {
        let mut found = Vec::new();
        while let Some(heard) = self.observer.try_next() {
            let signal = heard.signal;
            found.push((signal.kind().name(), signal.generation()));
        }
        assert_eq!(found, self.plain.said);
        self.plain.said.clear();
        self.learn_the_jitter();
    }

    /// What is random is only bounded; the plain one takes it as it comes. When it probes, while it is
    /// open.
    fn learn_the_jitter(&mut self) -> Option<Duration> {
        let State::Open(until, ..) = &mut self.plain.state else {
            return None;
        };
        if self.jitter_known_in != self.plain.generation {
            self.jitter_known_in = self.plain.generation;
            let jitter = f64::from(self.plain.plan.open.jitter) / 100.0;
            let time = *until - self.plain.since;
            let rounded = Duration::from_nanos(1);
            let (least, most) = (time - rounded, time.mul_f64(1.0 + jitter) + rounded);
            let now = self.breaker.snapshot();
            let found = now.next_probe.unwrap_or_default() + now.time_in_state;
            assert!(
                (least..=most).contains(&found),
                "{found:?} of {least:?} to {most:?}"
            );
            *until = self.plain.since + found;
        }
        Some(*until)
    }

    fn compare_all(&mut self) {
        if self.plain.plan.open.decided.is_some() {
            // A function decides after what was looked at is shown.
            let _ = self.breaker.state();
        }
        let found = self.breaker.snapshot();
        self.plain.look_at_the_time();
        self.learn_the_jitter();
        let plain = &self.plain;
        assert_eq!(found.state, plain.public_state());
        assert_eq!(found.generation, plain.generation);
        assert_eq!(found.time_in_state, plain.now - plain.since);
        assert_eq!(found.config_version, plain.version);
        assert_eq!(found.relapses, plain.relapses);
        assert_eq!(found.consecutive_failures, plain.memory.in_a_row);
        let counts = Counts {
            successes: found.successes,
            failures: found.failures,
            timeouts: found.timeouts,
            ignored: found.ignored,
            cancelled: found.cancelled,
            stale: found.stale,
            rejected: found.rejected,
            dark: found.dark_rejections,
            changes: found.state_changes,
            timed: found.response_times.map_or(0, |times| times.timed),
        };
        assert_eq!(counts, plain.counts);
        let ended = counts.successes + counts.failures + counts.ignored;
        let others = counts.cancelled + counts.stale + counts.rejected;
        assert_eq!(found.total_requests, ended + others);

        let share = |part: usize, whole: usize| Share::of(part as f64 / whole.max(1) as f64);
        if let Some((calls, failed, slow)) = plain.watched() {
            assert_eq!(found.window_calls, calls as u64);
            assert_eq!(Ok(found.failure_rate), share(failed, calls));
            assert_eq!(Ok(found.slow_rate), share(slow, calls));
        }
        let until = match plain.state {
            State::Open(until, ..) => Some(until),
            State::Ordered(Forced::Open | Forced::Isolated, until) => until,
            _ => None,
        };
        assert_eq!(found.next_probe, until.map(|until| until - plain.now));
        let admitted = found.admitted.get() - plain.admitted();
        assert!(
            admitted.abs() < 1e-9,
            "{} {}",
            found.admitted,
            plain.admitted()
        );
    }

    /// Everything that is in flight comes home, and nothing is left in the way.
    fn end(mut self) {
        while let Some((permit, ticket)) = self.in_flight.pop() {
            drop(permit);
            self.plain.cancel(&ticket);
        }
        self.compare_what_was_said();
        self.compare_all();
        let to_trip = self.breaker.snapshot().failures_to_trip;
        let to_trip = to_trip.filter(|failures| *failures <= Plain::MOST_SUPPOSED);
        assert_eq!(to_trip, self.plain.failures_to_trip());
        self.breaker.reset(Mandate::new("anna", "anew"));
        assert_eq!(self.breaker.state(), BreakerState::Closed);
    }
}

fn are_near(some: Option<(f64, f64)>, others: Option<(f64, f64)>) -> bool {
    match (some, others) {
        (Some((a, b)), Some((c, d))) => (a - c).abs() < 1e-9 && (b - d).abs() < 1e-9,
        (None, None) => true,
        _ => false,
    }
}

#[test]
fn it_does_what_a_plain_one_does() {
    let mut runner = TestRunner::new(cases(3_000));
    let told = runner.run(&story(), |(plan, steps)| {
        let mut pair = Pair::new(plan);
        // Slices may begin some microseconds late; no call ends so near to the begin of one.
        pair.take(&Step::Wait(Duration::from_micros(300)));
        for step in &steps {
            pair.take(step);
        }
        pair.end();
        Ok(())
    });
    told.unwrap();
}
