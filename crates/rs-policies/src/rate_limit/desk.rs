//! What the limits of one name have in common: their rules, and what is counted and said of refusals.

use std::{
    sync::{
        OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{
    Call, ConfigError, Enforcement, Inspect, Label, Measure, Name, Reason, Rejection, Unit, Value,
    label_set,
};
use rs_metrics::{
    Counter, Family, Histogram, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use super::{Inner, RateLimitConfig};
use crate::metrics;

label_set! {
    /// Why a rate limit refused a call.
    pub enum TooFast: "reason" {
        /// There were not enough tokens, and nobody may wait.
        NoTokens = "no_tokens",
        /// They would have come later than a call may wait.
        WaitTooLong = "wait_too_long",
        /// They would have come when the call has to be done.
        PastDeadline = "past_deadline",
        /// As many calls waited as may.
        TooManyWait = "too_many_wait",
        /// It costs more than there can ever be.
        TooCostly = "too_costly",
    }
}

static ANNOUNCED: Announcements = Announcements::of("rate_limit");
static TOKENS: Measure = Measure::new("tokens asked for", Unit::Count);
static WAIT: Measure = Measure::new("wait", Unit::Seconds);
static WAITING: Measure = Measure::new("calls waiting", Unit::Count);
static NO_TOKENS: Reason = Reason::new("rate_limit", "no_tokens").judging(&TOKENS);
static WAIT_TOO_LONG: Reason = Reason::new("rate_limit", "wait_too_long").judging(&WAIT);
static PAST_DEADLINE: Reason = Reason::new("rate_limit", "past_deadline").judging(&WAIT);
static TOO_MANY_WAIT: Reason = Reason::new("rate_limit", "too_many_wait").judging(&WAITING);
static TOO_COSTLY: Reason = Reason::new("rate_limit", "too_costly").judging(&TOKENS);

pub(crate) struct Desk {
    pub(crate) home: Home,
    pub(crate) rules: Rules<RateLimitConfig>,
    /// Whether some refusals are not carried out: refusing is quick when all are.
    is_lenient: AtomicBool,
    pub(crate) refused: Family<Counter, TooFast>,
    pub(crate) dark: Family<Counter>,
    pub(crate) waits: Family<Histogram>,
    /// Whose pace follows the rules.
    pub(crate) members: OnceLock<Weak<dyn Members>>,
}

pub(crate) trait Members: Send + Sync {
    fn each(&self, visit: &mut dyn FnMut(&Inner));
}

impl Desk {
    pub(crate) fn new(
        around: &Surroundings,
        name: Name,
        config: RateLimitConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name);
        let registry = home.metrics();
        Ok(Self {
            rules: Rules::new(config)?,
            is_lenient: AtomicBool::new(is_lenient(&config)),
            refused: metrics::RATE_LIMIT_REJECTED.bind_in(&registry, name),
            dark: metrics::RATE_LIMIT_DARK.bind_in(&registry, name),
            waits: metrics::RATE_LIMIT_WAIT.bind_in(&registry, name),
            members: OnceLock::new(),
            home,
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.home.around.clock().now()
    }

    /// The rules first, then those who go by them: whoever joins in between has the new ones.
    pub(crate) fn reconfigure(&self, config: RateLimitConfig) -> Result<u64, ConfigError> {
        let note = |config: &RateLimitConfig| self.note(config);
        let version = self.rules.replace(&self.home, &ANNOUNCED, config, note)?;
        self.tell();
        Ok(version)
    }

    /// The same, when others have checked it and announce it.
    pub(crate) fn goes_by(&self, config: RateLimitConfig) {
        self.rules.put(config, |config| self.note(config));
        self.tell();
    }

    fn note(&self, config: &RateLimitConfig) {
        self.is_lenient.store(is_lenient(config), Ordering::Relaxed);
    }

    fn tell(&self) {
        if let Some(members) = self.members.get().and_then(Weak::upgrade) {
            members.each(&mut Inner::follow);
        }
    }

    /// In the dark whoever is too fast is let in nevertheless, and takes nothing.
    pub(crate) fn is_let_in(&self, call: &Call) -> bool {
        self.is_lenient() && self.is_spared(call)
    }

    pub(crate) fn is_lenient(&self) -> bool {
        self.is_lenient.load(Ordering::Relaxed)
    }

    #[cold]
    fn is_spared(&self, call: &Call) -> bool {
        let let_in = !self.rules.get().enforced().covers(call);
        if let_in {
            self.dark.increment();
        }
        let_in
    }

    #[cold]
    fn refuse(&self, why: TooFast, observed: f64, limit: f64) -> Rejection {
        self.refused[why].increment();
        let reason = match why {
            TooFast::NoTokens => &NO_TOKENS,
            TooFast::WaitTooLong => &WAIT_TOO_LONG,
            TooFast::PastDeadline => &PAST_DEADLINE,
            TooFast::TooManyWait => &TOO_MANY_WAIT,
            TooFast::TooCostly => &TOO_COSTLY,
        };
        reason.reject(self.home.name).because(observed, limit)
    }

    pub(crate) fn refuse_no_tokens(&self, cost: u32, level: f64, enough_at: Instant) -> Rejection {
        // Rounded down: what is shown as enough would have been.
        let level = (level * 100.0).floor() / 100.0;
        self.refuse(TooFast::NoTokens, cost.into(), level)
            .try_at(enough_at)
    }

    pub(crate) fn refuse_too_costly(&self, cost: u32, burst: u32) -> Rejection {
        self.refuse(TooFast::TooCostly, cost.into(), burst.into())
    }

    /// It can be asked again when what is left to wait is short enough.
    pub(crate) fn refuse_to_wait(
        &self,
        now: Instant,
        enough_at: Instant,
        longest: Duration,
    ) -> Rejection {
        let wait = enough_at.saturating_duration_since(now);
        self.refuse(
            TooFast::WaitTooLong,
            wait.as_secs_f64(),
            longest.as_secs_f64(),
        )
        .try_at(enough_at.checked_sub(longest).unwrap_or(enough_at))
    }

    pub(crate) fn refuse_past_deadline(
        &self,
        now: Instant,
        enough_at: Instant,
        remaining: Duration,
    ) -> Rejection {
        let wait = enough_at.saturating_duration_since(now);
        self.refuse(
            TooFast::PastDeadline,
            wait.as_secs_f64(),
            remaining.as_secs_f64(),
        )
        .try_at(enough_at)
    }

    pub(crate) fn refuse_too_many(&self, most: u32, enough_at: Instant) -> Rejection {
        self.refuse(TooFast::TooManyWait, most.into(), most.into())
            .try_at(enough_at)
    }

    pub(crate) fn snapshot(&self) -> Vec<(&'static str, Value)> {
        self.snapshot_by(&self.rules.get(), self.rules.version())
    }

    pub(crate) fn snapshot_by(
        &self,
        rules: &RateLimitConfig,
        version: u64,
    ) -> Vec<(&'static str, Value)> {
        let refused = TooFast::ALL.iter();
        let refused = refused.map(|why| (why.as_str(), self.refused[*why].value().into()));
        vec![
            ("rate", rules.rate().into()),
            ("burst", rules.burst().into()),
            ("longest_wait", rules.longest_wait().into()),
            ("refused", Value::map(refused)),
            ("would_have_held_up", self.dark.value().into()),
            ("config_version", version.into()),
        ]
    }
}

fn is_lenient(config: &RateLimitConfig) -> bool {
    config.enforced() != Enforcement::Full
}

/// The limits of many keys, seen as one.
impl Inspect for Desk {
    rs_metrics::inspect_rules!("rate_limit");

    fn snapshot(&self) -> Value {
        Value::map(Self::snapshot(self))
    }
}
