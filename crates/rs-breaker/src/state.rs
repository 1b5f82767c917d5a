//! The machine: what the breaker is, and what makes it something else. It has no clock and no lock, and
//! tells nobody; whoever holds it does that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rs_core::{Label, Mandate, label_set};

use crate::{
    BreakerConfig, Cause, CauseKind, Opening, Ramp,
    cause::Leniency,
    probes::{Ended, Probes},
    window::{Record, Results},
};

label_set! {
    /// What a breaker is.
    pub enum BreakerState: "state" {
        /// Calls go through and are counted.
        Closed = "closed",
        /// Calls are refused until a time has passed.
        Open = "open",
        /// A few probes are let through; they decide.
        HalfOpen = "half_open",
        /// The probes succeeded; a growing share of the calls is let through.
        Ramping = "ramping",
        /// Calls are refused by order.
        ForcedOpen = "forced_open",
        /// Calls go through by order, whatever becomes of them.
        ForcedClosed = "forced_closed",
        /// Calls are refused for maintenance.
        Isolated = "isolated",
    }
}

/// A state by order of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "all that can be ordered: no calls, all calls, no calls as planned"
)]
pub enum Forced {
    /// Refuses all calls: the kill switch.
    Open,
    /// Lets all calls through and never opens: the breaker is out of the way.
    Closed,
    /// Refuses all calls as planned: maintenance, which is no reason for an alarm.
    Isolated,
}

impl Forced {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Isolated => "isolated",
        }
    }
}

impl From<Forced> for BreakerState {
    fn from(forced: Forced) -> Self {
        match forced {
            Forced::Open => Self::ForcedOpen,
            Forced::Closed => Self::ForcedClosed,
            Forced::Isolated => Self::Isolated,
        }
    }
}

#[derive(Debug)]
enum State {
    Closed,
    Open { until: Instant, cause: Cause },
    HalfOpen(Probes),
    Ramping { ramp: Ramp, step: u32 },
    Forced(Order),
}

#[derive(Debug)]
struct Order {
    forced: Forced,
    mandate: Arc<Mandate>,
    until: Option<Instant>,
}

/// A state became another.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) to: BreakerState,
    pub(crate) why: Why,
    pub(crate) generation: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Why {
    /// A rule held, or the probes failed; it stays open this long.
    Tripped(Cause, Duration),
    /// Time has passed.
    Time,
    /// This many probes succeeded, of so many.
    Recovered(u32, u32),
    /// By order.
    Ordered(Arc<Mandate>),
    /// An order ended, by this one.
    OrderEnded(Arc<Mandate>),
    /// The time of this order has passed.
    OrderExpired(Arc<Mandate>),
    /// It was told to begin anew.
    Reset(Arc<Mandate>),
    /// The ramp is no longer part of the configuration.
    Reconfigured,
}

#[derive(Debug)]
pub(crate) struct Machine {
    config: Arc<BreakerConfig>,
    version: u64,
    state: State,
    generation: u64,
    since: Instant,
    record: Record,
    relapses: u32,
    advised: bool,
    dice: fastrand::Rng,
    /// How often it became each state.
    changes: [u32; BreakerState::ALL.len()],
    news: Vec<Change>,
    /// A function decides how long it stays open; it is asked when no lock is held.
    undecided: Option<Box<Opening>>,
}

impl Machine {
    pub(crate) fn new(config: Arc<BreakerConfig>, now: Instant, seed: u64) -> Self {
        Self {
            record: Record::new(&config, now),
            config,
            version: 1,
            state: State::Closed,
            generation: 0,
            since: now,
            relapses: 0,
            advised: false,
            dice: fastrand::Rng::with_seed(seed),
            changes: [0; BreakerState::ALL.len()],
            news: Vec::new(),
            undecided: None,
        }
    }

    // What it is.

    pub(crate) const fn config(&self) -> &Arc<BreakerConfig> {
        &self.config
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    pub(crate) const fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) const fn relapses(&self) -> u32 {
        self.relapses
    }

    pub(crate) const fn is_advised(&self) -> bool {
        self.advised
    }

    pub(crate) fn changes(&self) -> [u64; BreakerState::ALL.len()] {
        self.changes.map(u64::from)
    }

    pub(crate) const fn state(&self) -> BreakerState {
        match &self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen(_) => BreakerState::HalfOpen,
            State::Ramping { .. } => BreakerState::Ramping,
            State::Forced(order) => match order.forced {
                Forced::Open => BreakerState::ForcedOpen,
                Forced::Closed => BreakerState::ForcedClosed,
                Forced::Isolated => BreakerState::Isolated,
            },
        }
    }

    /// The order that it is under.
    pub(crate) const fn order(&self) -> Option<(Forced, &Arc<Mandate>)> {
        match &self.state {
            State::Forced(order) => Some((order.forced, &order.mandate)),
            _ => None,
        }
    }

    /// When time alone will make it something else.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open { until, .. } => Some(*until),
            State::HalfOpen(probes) => probes.first_lease(),
            State::Ramping { ramp, step } => Some(self.since + ramp.begin_of(step + 1)),
            State::Forced(order) => order.until,
        }
    }

    /// Why it is open.
    pub(crate) const fn cause(&self) -> Option<&Cause> {
        match &self.state {
            State::Open { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// The probes, while it is half-open.
    pub(crate) const fn probes(&self) -> Option<&Probes> {
        match &self.state {
            State::HalfOpen(probes) => Some(probes),
            _ => None,
        }
    }

    /// The share of the calls that it lets through.
    pub(crate) fn admitted(&self) -> f64 {
        match &self.state {
            State::Ramping { ramp, step } => ramp.share_at(*step).get(),
            State::Closed => 1.0,
            State::Forced(order) if order.forced == Forced::Closed => 1.0,
            _ => 0.0,
        }
    }

    /// What the first rule that has a window sees, if one has.
    pub(crate) fn watched(&self, now: Instant) -> Option<Results> {
        let mut rules = self.config.trip.iter();
        let rule = rules.find(|rule| rule.window().is_some())?;
        Some(self.record.seen_by(rule, || now))
    }

    /// How many more failures in a row would open it; none while it does not count.
    pub(crate) fn failures_to_trip(&self, now: Instant) -> Option<u32> {
        if !self.is_judging() {
            return None;
        }
        const ENOUGH: u32 = 20_000;
        let mut supposed = self.record.clone();
        let failure = Results {
            failed: 1,
            ..Results::default()
        };
        (1..=ENOUGH).find(|_| {
            supposed.push(now, failure);
            self.held_rule(&supposed, || now).is_some()
        })
    }

    // What it is told.

    /// These calls of this generation ended at that time.
    pub(crate) fn push(&mut self, at: Instant, results: Results) {
        self.record.push(at, results);
    }

    /// Opens if a rule holds. `hint` is the delay that the server asked for.
    pub(crate) fn judge(&mut self, hint: Option<Duration>, now: impl Fn() -> Instant) {
        if self.is_judging()
            && let Some(cause) = self.held_rule(&self.record, &now)
        {
            self.open(cause, hint, now());
        }
    }

    const fn is_judging(&self) -> bool {
        matches!(self.state, State::Closed | State::Ramping { .. })
    }

    /// The time is asked for only by rules over time.
    fn held_rule(&self, record: &Record, now: impl Fn() -> Instant) -> Option<Cause> {
        let ramping = matches!(self.state, State::Ramping { .. });
        let how = Leniency {
            advice: self.advised.then_some(self.config.advice),
            // A relapse must show while little goes through.
            at_most: ramping.then_some(self.config.probing.probes()),
        };
        let mut rules = self.config.trip.iter();
        rules.find_map(|rule| Cause::of(rule, record, &now, how))
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        while self.due().is_some_and(|due| due <= now) {
            match &mut self.state {
                State::Closed => return,
                State::Open { .. } => self.become_half_open(Why::Time, now),
                State::HalfOpen(probes) => {
                    probes.end_leases(now);
                    self.decide(None, now);
                }
                State::Ramping { ramp, step } => {
                    *step = ramp.step_after(now.saturating_duration_since(self.since));
                    if *step >= Ramp::STEPS {
                        self.become_closed(Why::Time, now);
                    }
                }
                State::Forced(order) => {
                    let why = Why::OrderExpired(Arc::clone(&order.mandate));
                    self.release(why, now);
                }
            }
        }
    }

    /// The number of a probe that may go out, if one may.
    pub(crate) fn take_probe(&mut self, now: Instant) -> Option<u16> {
        let rule = self.config.probing;
        match &mut self.state {
            State::HalfOpen(probes) => probes.take(&rule, now),
            _ => None,
        }
    }

    /// Whether a probe could have a place now.
    pub(crate) fn has_place(&self) -> bool {
        self.probes()
            .is_some_and(|probes| probes.has_place(&self.config.probing))
    }

    /// The probe of this number ended. `false` if its lease had run out: it decides nothing then.
    pub(crate) fn end_probe(
        &mut self,
        number: u16,
        ended: Ended,
        hint: Option<Duration>,
        now: Instant,
    ) -> bool {
        let State::HalfOpen(probes) = &mut self.state else {
            return false;
        };
        let known = probes.end(number, ended);
        self.decide(hint, now);
        known
    }

    fn decide(&mut self, hint: Option<Duration>, now: Instant) {
        let State::HalfOpen(probes) = &self.state else {
            return;
        };
        let rule = self.config.probing;
        let (good, bad) = (probes.good(), probes.bad());
        if bad >= rule.failures() {
            let cause = Cause {
                kind: CauseKind::Probes,
                observed: bad.into(),
                limit: rule.failures().into(),
                calls: (good + bad).into(),
                bad: bad.into(),
            };
            self.open(cause, hint, now);
        } else if good >= rule.successes() {
            let why = Why::Recovered(good, good + bad);
            self.record.clear();
            match self.config.ramp {
                Some(ramp) => self.become_ramping(ramp, why, now),
                None => self.become_closed(why, now),
            }
        }
    }

    fn open(&mut self, cause: Cause, hint: Option<Duration>, now: Instant) {
        let open_time = &self.config.open_time;
        if matches!(self.state, State::Closed) {
            let closed_for = now.saturating_duration_since(self.since);
            self.relapses = self.relapses.saturating_sub(open_time.forgiven(closed_for));
        }
        let otherwise = open_time.time(self.relapses, hint);
        if open_time.decider().is_some() {
            self.undecided = Some(Box::new(Opening {
                relapses: self.relapses,
                hint,
                otherwise,
            }));
        }
        let time = open_time.jittered(otherwise, self.dice.f64());
        self.relapses = self.relapses.saturating_add(1);
        self.record.clear();
        let until = now + time;
        self.become_(State::Open { until, cause }, Why::Tripped(cause, time), now);
    }

    /// What a function has to decide, once.
    pub(crate) const fn take_undecided(&mut self) -> Option<Box<Opening>> {
        self.undecided.take()
    }

    /// Stays open this long from its opening in that generation on, lengthened by jitter; how long that
    /// is.
    pub(crate) fn stay_open(&mut self, generation: u64, time: Duration) -> Duration {
        let jittered = self.config.open_time.jittered(time, self.dice.f64());
        let (since, current) = (self.since, self.generation);
        if let State::Open { until, .. } = &mut self.state
            && current == generation
        {
            *until = since + jittered;
        }
        jittered
    }

    /// By order.
    pub(crate) fn force(&mut self, forced: Forced, mandate: Arc<Mandate>, now: Instant) {
        let until = mandate.expires_in().and_then(|time| now.checked_add(time));
        let why = Why::Ordered(Arc::clone(&mandate));
        let order = Order {
            forced,
            mandate,
            until,
        };
        self.become_(State::Forced(order), why, now);
    }

    /// Ends the order that it is under, by order of somebody. `false` if there is none.
    pub(crate) fn end_order(&mut self, mandate: Arc<Mandate>, now: Instant) -> bool {
        let forced = self.order().is_some();
        if forced {
            self.release(Why::OrderEnded(mandate), now);
        }
        forced
    }

    /// After no calls it probes, for nobody knows; after all calls it goes on as it is.
    fn release(&mut self, why: Why, now: Instant) {
        match &self.state {
            State::Forced(order) if order.forced == Forced::Closed => self.become_closed(why, now),
            _ => {
                self.record.clear();
                self.become_half_open(why, now);
            }
        }
    }

    /// Begins anew: closed, with nothing counted.
    pub(crate) fn reset(&mut self, mandate: Arc<Mandate>, now: Instant) {
        self.record.clear();
        self.relapses = 0;
        self.become_(State::Closed, Why::Reset(mandate), now);
    }

    /// Other rules from now on, with everything that was counted as far as it fits.
    pub(crate) fn reconfigure(&mut self, config: Arc<BreakerConfig>, now: Instant) {
        self.record = self.record.refit(&config);
        self.config = config;
        self.version += 1;
        let longest = self.config.open_time.longest();
        match &mut self.state {
            State::Open { until, .. } => {
                if let Some(longest) = longest {
                    *until = (*until).min(self.since + longest);
                }
            }
            State::HalfOpen(_) => self.decide(None, now),
            State::Ramping { ramp, step } => match self.config.ramp {
                Some(new) => {
                    *ramp = new;
                    let step_now = new.step_after(now.saturating_duration_since(self.since));
                    // A ramp that would be over ends by the time, not here.
                    *step = step_now.min(Ramp::STEPS - 1);
                }
                None => self.become_closed(Why::Reconfigured, now),
            },
            State::Closed | State::Forced(_) => {}
        }
        self.tick(now);
    }

    /// Whether the fleet advises to need less evidence.
    pub(crate) const fn advise(&mut self, advised: bool) {
        self.advised = advised;
    }

    pub(crate) const fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// What has changed since it was last asked.
    pub(crate) fn take_news(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.news)
    }

    // What it becomes.

    fn become_half_open(&mut self, why: Why, now: Instant) {
        self.become_(State::HalfOpen(Probes::default()), why, now);
    }

    fn become_ramping(&mut self, ramp: Ramp, why: Why, now: Instant) {
        self.become_(State::Ramping { ramp, step: 0 }, why, now);
    }

    /// After a ramp, and after an order to stay closed, what was counted goes on to count: the
    /// generation stays.
    fn become_closed(&mut self, why: Why, now: Instant) {
        match self.state {
            State::Ramping { .. } | State::Forced(_) => self.go_on_as(State::Closed, why, now),
            _ => self.become_(State::Closed, why, now),
        }
    }

    /// Results of calls that began before decide nothing from now on.
    fn become_(&mut self, state: State, why: Why, now: Instant) {
        self.generation += 1;
        self.go_on_as(state, why, now);
    }

    fn go_on_as(&mut self, state: State, why: Why, now: Instant) {
        self.state = state;
        self.since = now;
        let to = self.state();
        if let Some(times) = self.changes.get_mut(to.index()) {
            *times = times.wrapping_add(1);
        }
        self.news.push(Change {
            to,
            why,
            generation: self.generation,
        });
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for BreakerState {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
