//! A breaker for one thread, written as plainly as can be: lists of results, and a loop over each rule.

use super::{
    memory::{Age, Counts, Ended, Memory},
    plan::{Plan, Rate, Rule},
};
use rs_breaker::{BreakerState, Forced};
use rs_core::{Call, Outcome};
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) plan: Plan,
    pub(crate) now: Age,
    pub(crate) since: Age,
    pub(crate) state: State,
    pub(crate) generation: u64,
    pub(crate) relapses: u32,
    pub(crate) version: u64,
    pub(crate) memory: Memory,
    pub(crate) counts: Counts,
    /// The name of each change and its generation.
    pub(crate) said: Vec<(&'static str, u64)>,
    next_probe: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    Closed,
    /// The second is what decided, the third the limit.
    Open(Age, f64, f64),
    HalfOpen {
        out: Vec<(u32, Age)>,
        good: u32,
        bad: u32,
    },
    Ramping,
    Ordered(Forced, Option<Age>),
}

#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) generation: u64,
    started: Option<Age>,
    /// Its time is shown, and not only looked at by rules.
    shown: bool,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Counted,
    Probe(u32),
    Beside,
}

impl Ticket {
    pub(crate) fn is_probe(&self) -> bool {
        matches!(self.place, Place::Probe(_))
    }
}

pub(crate) enum Verdict {
    In(Ticket),
    /// The code, what was observed against which limit, and when to try again.
    Refused(&'static str, Option<(f64, f64)>, Option<Age>),
    /// A ramp lets a share in, and this call may be part of it.
    InIfCovered(f64),
}

impl Plain {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            memory: Memory::new(&plan),
            plan,
            now: Age::ZERO,
            since: Age::ZERO,
            state: State::Closed,
            generation: 0,
            relapses: 0,
            version: 1,
            counts: Counts::default(),
            said: Vec::new(),
            next_probe: 0,
        }
    }

    pub(crate) fn public_state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open(..) => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
            State::Ramping => BreakerState::Ramping,
            State::Ordered(Forced::Open, _) => BreakerState::ForcedOpen,
            State::Ordered(Forced::Closed, _) => BreakerState::ForcedClosed,
            State::Ordered(Forced::Isolated, _) => BreakerState::Isolated,
        }
    }

    // Calls.

    pub(crate) fn enter(&mut self, call: &Call) -> Verdict {
        self.look_at_the_time();
        match &mut self.state {
            State::Closed | State::Ordered(Forced::Closed, _) => Verdict::In(self.counted()),
            State::Open(until, observed, limit) => {
                let because = Some((*observed, *limit));
                let until = *until;
                self.refuse(call, "open", because, Some(until))
            }
            State::Ordered(forced, until) => {
                let code = if *forced == Forced::Open {
                    "forced_open"
                } else {
                    "isolated"
                };
                self.counts.rejected += 1;
                Verdict::Refused(code, None, *until)
            }
            State::HalfOpen { out, good, bad } => {
                let rule = &self.plan.probing;
                let undecided = rule.of.saturating_sub(*good + *bad) as usize;
                let places = rule.at_once.min(undecided);
                if out.len() < places {
                    let number = self.next_probe;
                    self.next_probe += 1;
                    out.push((number, self.now + rule.lease));
                    return Verdict::In(Ticket {
                        generation: self.generation,
                        started: Some(self.now),
                        shown: true,
                        place: Place::Probe(number),
                    });
                }
                let because = Some((out.len() as f64, places as f64));
                self.refuse(call, "half_open", because, None)
            }
            State::Ramping => Verdict::InIfCovered(self.admitted()),
        }
    }

    pub(crate) fn counted(&self) -> Ticket {
        let timed = self.plan.every_call_timed || self.plan.looks_for_slow_calls();
        Ticket {
            generation: self.generation,
            started: timed.then_some(self.now),
            shown: self.plan.every_call_timed,
            place: Place::Counted,
        }
    }

    pub(crate) fn refuse(
        &mut self,
        call: &Call,
        code: &'static str,
        because: Option<(f64, f64)>,
        try_at: Option<Age>,
    ) -> Verdict {
        if self.plan.enforcement.covers(call) {
            self.counts.rejected += 1;
            return Verdict::Refused(code, because, try_at);
        }
        self.counts.dark += 1;
        Verdict::In(Ticket {
            generation: self.generation,
            started: None,
            shown: false,
            place: Place::Beside,
        })
    }

    pub(crate) fn cancel(&mut self, ticket: &Ticket) {
        self.counts.cancelled += 1;
        if let Place::Probe(number) = ticket.place {
            self.end_probe(ticket, number, |_, _| (), None);
        }
    }

    pub(crate) fn finish(&mut self, ticket: &Ticket, outcome: Outcome, took: Option<Duration>) {
        self.counts.timed += u64::from(took.is_some() || ticket.shown);
        let took = took.or(ticket.started.map(|started| self.now - started));
        let ended = Ended {
            failed: outcome.is_failure(),
            slow: self.plan.looks_for_slow_calls()
                && took.is_some_and(|took| took > self.plan.slower_than),
        };
        let hint = outcome.fault().and_then(|fault| fault.retry_after());
        match ticket.place {
            Place::Beside => self.count(outcome),
            Place::Counted if outcome == Outcome::Ignored => self.counts.ignored += 1,
            Place::Counted if ticket.generation != self.generation => self.counts.stale += 1,
            Place::Counted => {
                self.count(outcome);
                self.memory.push(ended, self.now);
                if ended.failed || ended.slow {
                    self.judge(hint);
                }
            }
            Place::Probe(number) => {
                let in_time = self.end_probe(
                    ticket,
                    number,
                    |good, bad| match outcome {
                        Outcome::Ignored => {}
                        Outcome::Success if !ended.slow => *good += 1,
                        _ => *bad += 1,
                    },
                    hint,
                );
                if in_time {
                    self.count(outcome);
                } else {
                    self.counts.stale += 1;
                }
            }
        }
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.counts.successes += 1,
            Outcome::Ignored => self.counts.ignored += 1,
            Outcome::Failure(fault) => {
                self.counts.failures += 1;
                let timed_out = fault.kind() == rs_core::FaultKind::TimedOut;
                self.counts.timeouts += u64::from(timed_out);
            }
        }
    }

    fn end_probe(
        &mut self,
        ticket: &Ticket,
        number: u32,
        decide: impl FnOnce(&mut u32, &mut u32),
        hint: Option<Duration>,
    ) -> bool {
        if ticket.generation != self.generation {
            return false;
        }
        self.look_at_the_time();
        let State::HalfOpen { out, good, bad } = &mut self.state else {
            return false;
        };
        let before = out.len();
        out.retain(|(one, _)| *one != number);
        if out.len() == before {
            return false;
        }
        decide(good, bad);
        self.decide(hint);
        true
    }

    // Rules.

    fn judge(&mut self, hint: Option<Duration>) {
        if let Some((observed, limit)) = self.rule_that_holds() {
            self.open("opened", observed, limit, hint);
        }
    }

    fn rule_that_holds(&self) -> Option<(f64, f64)> {
        if !matches!(self.state, State::Closed | State::Ramping) {
            return None;
        }
        self.plan.rules.iter().find_map(|rule| match rule {
            Rule::InARow(limit) => {
                let in_a_row = self.memory.in_a_row;
                (in_a_row >= *limit).then(|| (in_a_row.into(), (*limit).into()))
            }
            Rule::Failed(rate) => self.rate_that_holds(rate, |ended| ended.failed),
            Rule::Slow(rate) => self.rate_that_holds(rate, |ended| ended.slow),
        })
    }

    fn rate_that_holds(&self, rate: &Rate, is_bad: fn(&Ended) -> bool) -> Option<(f64, f64)> {
        let seen = self.memory.seen(rate, self.now);
        let bad = seen.iter().filter(|ended| is_bad(ended)).count();
        let minimum = match self.state {
            State::Ramping => rate.minimum.min(self.plan.probing.of as usize),
            _ => rate.minimum,
        };
        let enough = seen.len() >= minimum && bad > 0;
        // Without fractions: nothing is rounded here.
        let much = 100 * bad >= rate.percent as usize * seen.len();
        let observed = bad as f64 / seen.len() as f64;
        (enough && much).then(|| (observed, f64::from(rate.percent) / 100.0))
    }

    /// How many calls the first window sees, how many failed, how many were slow.
    pub(crate) fn watched(&self) -> Option<(usize, usize, usize)> {
        let rate = self.plan.rules.iter().find_map(|rule| match rule {
            Rule::InARow(_) => None,
            Rule::Failed(rate) | Rule::Slow(rate) => Some(rate),
        });
        let seen = self.memory.seen(rate?, self.now);
        let failed = seen.iter().filter(|ended| ended.failed).count();
        let slow = seen.iter().filter(|ended| ended.slow).count();
        Some((seen.len(), failed, slow))
    }

    /// How many failures are tried out.
    pub(crate) const MOST_SUPPOSED: u32 = 200;

    pub(crate) fn failures_to_trip(&self) -> Option<u32> {
        let mut supposed = self.clone();
        (1..=Self::MOST_SUPPOSED).find(|_| {
            let failed = Ended {
                failed: true,
                slow: false,
            };
            supposed.memory.push(failed, supposed.now);
            supposed.rule_that_holds().is_some()
        })
    }

    fn decide(&mut self, hint: Option<Duration>) {
        let rule = &self.plan.probing;
        let State::HalfOpen { good, bad, .. } = self.state else {
            return;
        };
        let too_bad = rule.of - rule.good + 1;
        if bad >= too_bad {
            self.open("reopened", bad.into(), too_bad.into(), hint);
        } else if good >= rule.good {
            self.memory.forget();
            match self.plan.ramp {
                Some(_) => self.become_(State::Ramping, "ramping"),
                None => self.become_(State::Closed, "closed"),
            }
        }
    }

    fn open(&mut self, name: &'static str, observed: f64, limit: f64, hint: Option<Duration>) {
        let rule = &self.plan.open;
        if self.state == State::Closed {
            let mut closed_for = self.now - self.since;
            while closed_for >= rule.decays_every && self.relapses > 0 {
                closed_for -= rule.decays_every;
                self.relapses -= 1;
            }
        }
        let time = self.open_time(hint);
        self.relapses += 1;
        self.memory.forget();
        let until = self.now + time;
        self.become_(State::Open(until, observed, limit), name);
    }

    fn open_time(&self, hint: Option<Duration>) -> Duration {
        let rule = &self.plan.open;
        let mut time = rule.first;
        if let Some(at_most) = rule.at_most {
            let relapses = self.relapses.min(100) as i32;
            time = time
                .mul_f64(rule.factor.powi(relapses).min(1e9))
                .min(at_most);
        }
        if let (Some(hint), Some(most)) = (hint, rule.hints_up_to) {
            time = time.max(hint.min(most));
        }
        time * rule.decided.unwrap_or(1)
    }

    // Time and orders.

    /// When a call comes that is not simply let in, when a probe ends, when somebody asks or orders.
    pub(crate) fn look_at_the_time(&mut self) {
        loop {
            let now = self.now;
            let ramp_is_over = self.ramp_is_over();
            match &mut self.state {
                State::Open(until, ..) if *until <= now => self.half_open(),
                State::HalfOpen { out, bad, .. } => {
                    let before = out.len();
                    out.retain(|(_, until)| *until > now);
                    *bad += (before - out.len()) as u32;
                    if out.len() == before {
                        return;
                    }
                    self.decide(None);
                }
                State::Ramping if ramp_is_over => self.go_on_as(State::Closed, "closed"),
                State::Ordered(_, Some(until)) if *until <= now => self.end_order(),
                _ => return,
            }
        }
    }

    fn ramp_is_over(&self) -> bool {
        let slope = self.plan.ramp.as_ref();
        slope.is_none_or(|slope| self.now - self.since >= slope.over)
    }

    pub(crate) fn admitted(&self) -> f64 {
        match (&self.state, &self.plan.ramp) {
            (State::Ramping, Some(slope)) => {
                let part = (self.now - self.since).as_nanos() * 20 / slope.over.as_nanos();
                let part = (part as f64 / 20.0).min(1.0);
                let from = f64::from(slope.from) / 100.0;
                if slope.straight {
                    from + (1.0 - from) * part
                } else {
                    from * (1.0 / from).powf(part)
                }
            }
            (State::Closed | State::Ordered(Forced::Closed, _), _) => 1.0,
            _ => 0.0,
        }
    }

    pub(crate) fn force(&mut self, forced: Forced, lasting: Option<Duration>) {
        self.look_at_the_time();
        let name = match forced {
            Forced::Open => "forced_open",
            Forced::Closed => "forced_closed",
            Forced::Isolated => "isolated",
        };
        let until = lasting.map(|time| self.now + time);
        self.become_(State::Ordered(forced, until), name);
    }

    pub(crate) fn release(&mut self) -> bool {
        self.look_at_the_time();
        let ordered = matches!(self.state, State::Ordered(..));
        if ordered {
            self.end_order();
        }
        ordered
    }

    fn end_order(&mut self) {
        if let State::Ordered(Forced::Closed, _) = self.state {
            self.go_on_as(State::Closed, "closed");
        } else {
            self.memory.forget();
            self.half_open();
        }
    }

    pub(crate) fn reset(&mut self) {
        self.look_at_the_time();
        self.memory.forget();
        self.relapses = 0;
        self.become_(State::Closed, "reset");
    }

    pub(crate) fn reconfigure(&mut self, plan: Plan) {
        self.look_at_the_time();
        self.version += 1;
        self.memory.refit(&self.plan, &plan);
        self.plan = plan;
        match &mut self.state {
            State::Open(until, ..) if self.plan.open.decided.is_none() => {
                let rule = &self.plan.open;
                let most = rule.at_most.unwrap_or(rule.first);
                let most = most.max(rule.hints_up_to.unwrap_or_default());
                let most = most.mul_f64(1.0 + f64::from(rule.jitter) / 100.0);
                *until = (*until).min(self.since + most);
            }
            State::HalfOpen { .. } => self.decide(None),
            _ => {}
        }
        self.look_at_the_time();
        self.said.push(("reconfigured", self.generation));
    }

    fn half_open(&mut self) {
        let half_open = State::HalfOpen {
            out: Vec::new(),
            good: 0,
            bad: 0,
        };
        self.become_(half_open, "half_opened");
    }

    fn become_(&mut self, state: State, name: &'static str) {
        self.generation += 1;
        self.go_on_as(state, name);
    }

    /// Calls in flight still count.
    fn go_on_as(&mut self, state: State, name: &'static str) {
        self.state = state;
        self.since = self.now;
        self.counts.changes += 1;
        self.said.push((name, self.generation));
    }
}
