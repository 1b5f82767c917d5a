use std::time::Duration;

use rs_core::{Health, Share, Value, humane::show_duration};
use rs_metrics::Distribution;

use crate::{
    BreakerState, Cause, Forced, cause,
    shared::Shared,
    tally::{FailureKind, Refused},
};

/// What a breaker knows about itself at one moment.
///
/// Totals are of all its life, rates and the distance to trip of its windows.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub state: BreakerState,
    /// How long it has been that.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub time_in_state: Duration,
    /// The generation that calls begin in now.
    pub generation: u64,
    /// How many configurations it has had.
    pub config_version: u64,
    /// Why it is open, while it is.
    pub cause: Option<Cause>,
    /// By whose order, why and for how long, while it is forced.
    pub order: Option<Ordered>,
    /// The share of the calls for which refusals are carried out.
    pub enforced: Share,
    /// All calls: those that ended, and those that were refused.
    pub total_requests: u64,
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed, those that took too long included.
    pub failures: u64,
    /// Calls that failed because they took too long.
    pub timeouts: u64,
    /// Calls that were refused.
    pub rejected: u64,
    /// Calls that would have been refused, but for dark mode.
    pub dark_rejections: u64,
    /// Calls that ended and said nothing about the dependency.
    pub ignored: u64,
    /// Calls that were dropped before they ended.
    pub cancelled: u64,
    /// Results that came too late to decide anything.
    pub stale: u64,
    /// How often its state changed.
    pub state_changes: u64,
    /// The share of failures in the window of the first rule that has one, or of all calls.
    pub failure_rate: Share,
    /// The share of slow calls among them.
    pub slow_rate: Share,
    /// How many calls those are.
    pub window_calls: u64,
    /// Failures in a row.
    pub consecutive_failures: u32,
    /// How many more failures in a row would open it, while it counts.
    pub failures_to_trip: Option<u32>,
    /// When it will let probes through, while it is open; when an order ends by itself.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    pub next_probe: Option<Duration>,
    /// The share of the calls that it lets through.
    pub admitted: Share,
    /// How often it opened without having been well for long in between.
    pub relapses: u32,
    /// Whether the fleet advises it to need less evidence.
    pub advised: bool,
    /// How long the timed calls took.
    pub response_times: Option<ResponseTimes>,
}

/// An order that a breaker is under.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Ordered {
    /// What it is forced to be.
    pub forced: Forced,
    /// Who ordered it.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    pub ends_in: Option<Duration>,
}

/// How long calls took, as far as they were timed. The quantiles are read off the histogram's buckets.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ResponseTimes {
    /// How many calls were timed.
    pub timed: u64,
    /// Their mean.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub mean: Duration,
    /// Half of them took at most this.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub p50: Duration,
    /// 95 % of them took at most this.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub p95: Duration,
    /// 99 % of them took at most this.
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub p99: Duration,
}

impl BreakerSnapshot {
    pub(crate) fn of(shared: &Shared) -> Self {
        let now = shared.clock().now();
        let tallies = shared.tallies();
        let refused = tallies.sum(|tally| {
            let reasons = <Refused as rs_core::Label>::ALL.iter();
            reasons.map(|reason| tally.refused(*reason).get()).sum()
        });
        let sum = |of: fn(&crate::tally::Tally) -> u64| tallies.sum(of);
        shared.with(now, |inner| {
            let machine = &mut inner.machine;
            machine.tick(now);
            let config = machine.config();
            let successes = inner.ended.successes() + sum(|tally| tally.beside_fine.get());
            let failures = inner.ended.failures() + sum(|tally| tally.beside_failed.get());
            let (ignored, cancelled, stale) = (
                sum(|tally| tally.ignored.get()),
                sum(|tally| tally.cancelled.get()),
                sum(|tally| tally.stale.get()),
            );
            let seen = machine.watched(now).unwrap_or(inner.ended);
            let state = machine.state();
            let waits = matches!(
                state,
                BreakerState::Open | BreakerState::ForcedOpen | BreakerState::Isolated
            );
            let until_due = machine.due().map(|due| due.saturating_duration_since(now));
            Self {
                name: shared.name.as_str(),
                state,
                time_in_state: now.saturating_duration_since(machine.since()),
                generation: machine.generation(),
                config_version: machine.version(),
                cause: machine.cause().copied(),
                order: machine.order().map(|(forced, mandate)| Ordered {
                    forced,
                    author: mandate.author().to_owned(),
                    reason: mandate.reason().to_owned(),
                    ends_in: until_due,
                }),
                enforced: config.enforced(),
                total_requests: successes + failures + ignored + cancelled + stale + refused,
                successes,
                failures,
                timeouts: sum(|tally| tally.failures(FailureKind::TimedOut).get()),
                rejected: refused,
                dark_rejections: sum(|tally| tally.dark.get()),
                ignored,
                cancelled,
                stale,
                state_changes: machine.changes().iter().sum(),
                failure_rate: share(seen.failures(), seen.calls()),
                slow_rate: share(seen.slow_calls(), seen.calls()),
                window_calls: seen.calls(),
                consecutive_failures: machine.record().run(),
                failures_to_trip: machine.failures_to_trip(now),
                next_probe: if waits { until_due } else { None },
                admitted: Share::of(machine.admitted()).unwrap_or(Share::NONE),
                relapses: machine.relapses(),
                advised: machine.is_advised(),
                response_times: tallies.times().and_then(|times| ResponseTimes::of(&times)),
            }
        })
    }

    /// Whether there is anything to worry about.
    #[must_use]
    pub fn health(&self) -> Health {
        let probe = |words: &str| match self.next_probe {
            Some(time) => format!("{words}, next probe in {}", show_duration(time)),
            None => words.to_owned(),
        };
        let by_order = |words: &str| match &self.order {
            Some(order) => format!("{words} by order of {}: {}", order.author, order.reason),
            None => words.to_owned(),
        };
        match self.state {
            BreakerState::Closed => Health::UP,
            BreakerState::Open => Health::down(probe("open")),
            BreakerState::HalfOpen => Health::degraded("half-open, lets probes through"),
            BreakerState::Ramping => {
                Health::degraded(format!("recovering, lets {} through", self.admitted))
            }
            BreakerState::ForcedOpen => Health::down(by_order("refuses all calls")),
            BreakerState::ForcedClosed => Health::degraded(by_order(
                "lets all calls through, whatever becomes of them,",
            )),
            BreakerState::Isolated => Health::down(by_order("isolated")),
        }
    }

    /// The same as named values, as the directory shows it: without the name, which it has.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let order = self.order.as_ref().map_or(Value::Null, |order| {
            Value::map([
                ("forced", Value::from(order.forced.as_str())),
                ("author", order.author.clone().into()),
                ("reason", order.reason.clone().into()),
                ("ends_in", order.ends_in.into()),
            ])
        });
        let cause = self.cause.map_or(Value::Null, |cause| {
            Value::map([
                ("kind", Value::from(cause.kind.as_str())),
                ("observed", cause.observed.into()),
                ("limit", cause.limit.into()),
                ("calls", cause.calls.into()),
                ("bad", cause.bad.into()),
            ])
        });
        let times = self.response_times.map_or(Value::Null, |times| {
            Value::map([
                ("timed", Value::from(times.timed)),
                ("mean", times.mean.into()),
                ("p50", times.p50.into()),
                ("p95", times.p95.into()),
                ("p99", times.p99.into()),
            ])
        });
        Value::map([
            ("state", Value::from(self.state.as_str())),
            ("time_in_state", self.time_in_state.into()),
            ("generation", self.generation.into()),
            ("config_version", self.config_version.into()),
            ("cause", cause),
            ("order", order),
            ("enforced", self.enforced.into()),
            ("total_requests", self.total_requests.into()),
            ("successes", self.successes.into()),
            ("failures", self.failures.into()),
            ("timeouts", self.timeouts.into()),
            ("rejected", self.rejected.into()),
            ("dark_rejections", self.dark_rejections.into()),
            ("ignored", self.ignored.into()),
            ("cancelled", self.cancelled.into()),
            ("stale", self.stale.into()),
            ("state_changes", self.state_changes.into()),
            ("failure_rate", self.failure_rate.into()),
            ("slow_rate", self.slow_rate.into()),
            ("window_calls", self.window_calls.into()),
            ("consecutive_failures", self.consecutive_failures.into()),
            ("failures_to_trip", self.failures_to_trip.into()),
            ("next_probe", self.next_probe.into()),
            ("admitted", self.admitted.into()),
            ("relapses", self.relapses.into()),
            ("advised", self.advised.into()),
            ("response_times", times),
        ])
    }
}

fn share(part: u64, whole: u64) -> Share {
    Share::of(cause::share(part, whole)).unwrap_or(Share::NONE)
}

impl ResponseTimes {
    fn of(times: &Distribution) -> Option<Self> {
        let timed = times.count();
        if timed == 0 {
            return None;
        }
        let time = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let quantile = |share| time(times.quantile(share).unwrap_or_default());
        Some(Self {
            timed,
            mean: time(times.sum / timed as f64),
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
        })
    }
}
