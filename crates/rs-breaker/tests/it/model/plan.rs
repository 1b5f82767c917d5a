//! Configurations as the model reads them, and how they come about.

use crate::support::percent;
use proptest::{prelude::*, sample::select};
use rs_breaker::{
    BreakerConfig, Curve, OpenTime, Probing, Ramp, Timing, Trip, Window as BreakerWindow,
};
use rs_core::{Enforcement, Share};
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) slower_than: Duration,
    pub(crate) open: Open,
    pub(crate) probing: Probes,
    pub(crate) ramp: Option<Slope>,
    pub(crate) every_call_timed: bool,
    pub(crate) enforcement: Enforcement,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    InARow(u32),
    Failed(Rate),
    Slow(Rate),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) percent: u32,
    pub(crate) over: Over,
    pub(crate) minimum: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Over {
    Calls(usize),
    Time(Duration),
}

#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) first: Duration,
    pub(crate) at_most: Option<Duration>,
    pub(crate) factor: f64,
    pub(crate) jitter: u32,
    pub(crate) decays_every: Duration,
    pub(crate) hints_up_to: Option<Duration>,
    /// A function decides: so many times what the settings say.
    pub(crate) decided: Option<u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct Probes {
    pub(crate) good: u32,
    pub(crate) of: u32,
    pub(crate) at_once: usize,
    pub(crate) lease: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Slope {
    pub(crate) over: Duration,
    pub(crate) from: u32,
    pub(crate) straight: bool,
}

impl Plan {
    pub(crate) fn looks_for_slow_calls(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule, Rule::Slow(_)))
    }

    /// This plan with one part of another, or all of it.
    pub(crate) fn with_part_of(&self, other: &Self, part: u8) -> Self {
        let (mut plan, other) = (self.clone(), other.clone());
        match part {
            0 => (plan.rules, plan.slower_than) = (other.rules, other.slower_than),
            1 => plan.open = other.open,
            2 => plan.probing = other.probing,
            3 => plan.ramp = other.ramp,
            4 => plan.every_call_timed = other.every_call_timed,
            5 => plan.enforcement = other.enforcement,
            _ => return other,
        }
        plan
    }

    pub(crate) fn config(&self) -> BreakerConfig {
        let rules = self.rules.iter().map(|rule| match *rule {
            Rule::InARow(count) => Trip::consecutive_failures(count),
            Rule::Failed(rate) => Trip::failure_rate(percent(rate.percent), rate.window()),
            Rule::Slow(rate) => {
                Trip::slow_rate(percent(rate.percent), self.slower_than, rate.window())
            }
        });
        let config = BreakerConfig::default()
            .with_trip(rules)
            .with_open_time(self.open.setting())
            .with_probing(
                Probing::needing(self.probing.good)
                    .of(self.probing.of)
                    .at_once(self.probing.at_once as u32)
                    .with_lease(self.probing.lease),
            )
            .with_ramp(self.ramp.as_ref().map(|slope| {
                let curve = if slope.straight {
                    Curve::Linear
                } else {
                    Curve::Exponential
                };
                Ramp::over(slope.over)
                    .starting_at(percent(slope.from))
                    .along(curve)
            }))
            .with_enforcement(self.enforcement);
        config.with_timing(if self.every_call_timed {
            Timing::Every
        } else {
            Timing::Off
        })
    }

    /// The same with one thing wrong.
    pub(crate) fn wrong(&self, what: u8) -> BreakerConfig {
        let config = self.config();
        let half = percent(50);
        match what % 10 {
            0 => config.with_trip([]),
            1 => config.with_trip([Trip::consecutive_failures(0)]),
            2 => config.with_trip([Trip::failure_rate(Share::NONE, BreakerWindow::last(10))]),
            3 => config.with_trip([Trip::failure_rate(half, BreakerWindow::last(10).after(11))]),
            4 => config.with_open_time(self.open.setting().growing_by(f64::NAN)),
            5 => config.with_open_time(OpenTime::fixed(Duration::ZERO)),
            6 => config.with_probing(Probing::needing(3).of(2)),
            7 => config.with_probing(Probing::needing(1).at_once(0)),
            8 => config.with_ramp(Ramp::over(Duration::ZERO)),
            _ => config.with_trip([1, 2].map(|seconds| {
                let slow = Duration::from_secs(seconds);
                Trip::slow_rate(half, slow, BreakerWindow::last(10))
            })),
        }
    }
}

impl Rate {
    fn window(&self) -> BreakerWindow {
        let window = match self.over {
            Over::Calls(calls) => BreakerWindow::last(calls as u32),
            Over::Time(time) => BreakerWindow::time(time),
        };
        window.after(self.minimum as u32)
    }
}

impl Open {
    fn setting(&self) -> OpenTime {
        let mut time = match self.at_most {
            Some(at_most) => OpenTime::exponential(self.first, at_most),
            None => OpenTime::fixed(self.first),
        };
        time = time
            .growing_by(self.factor)
            .with_jitter(percent(self.jitter))
            .decaying_every(self.decays_every);
        if let Some(most) = self.hints_up_to {
            time = time.honouring_hints(most);
        }
        match self.decided {
            Some(times) => time.decided_by(move |opening| opening.otherwise * times),
            None => time,
        }
    }
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rate() -> impl Strategy<Value = Rate> {
    let percent = select(vec![1_u32, 7, 20, 29, 30, 34, 50, 58, 67, 99, 100]);
    let over = prop_oneof![
        (1_usize..=12).prop_map(Over::Calls),
        select(vec![
            millis(200),
            millis(300),
            millis(1_000),
            millis(3_000),
            millis(10_000)
        ])
        .prop_map(Over::Time),
    ];
    (percent, over, 1_usize..=8).prop_map(|(percent, over, minimum)| {
        let minimum = match over {
            Over::Calls(calls) => minimum.min(calls),
            Over::Time(_) => minimum,
        };
        Rate {
            percent,
            over,
            minimum,
        }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (1_u32..=5).prop_map(Rule::InARow),
        rate().prop_map(Rule::Failed),
        rate().prop_map(Rule::Slow),
    ]
}

fn open() -> impl Strategy<Value = Open> {
    (
        select(vec![millis(1), millis(1_000), millis(5_000)]),
        prop::option::of(select(vec![millis(8_000), millis(60_000)])),
        select(vec![1.0, 1.5, 2.0, 3.0]),
        prop_oneof![4 => Just(0), 1 => Just(20), 1 => Just(100)],
        select(vec![millis(10), millis(10_000), millis(60_000)]),
        prop::option::of(select(vec![millis(100), millis(20_000)])),
        prop_oneof![6 => Just(None), 1 => (1_u32..=3).prop_map(Some)],
    )
        .prop_map(
            |(first, at_most, factor, jitter, decays_every, hints_up_to, decided)| Open {
                first,
                at_most,
                factor,
                jitter,
                decays_every,
                hints_up_to,
                decided,
            },
        )
}

fn probes() -> impl Strategy<Value = Probes> {
    let lease = select(vec![millis(1), millis(2_000), millis(10_000)]);
    (1_u32..=4, 0_u32..=3, 1_usize..=4, lease).prop_map(|(good, more, at_once, lease)| Probes {
        good,
        of: good + more,
        at_once,
        lease,
    })
}

fn slope() -> impl Strategy<Value = Slope> {
    let over = select(vec![millis(1), millis(4_000), millis(20_000)]);
    (over, select(vec![1_u32, 5, 50, 100]), any::<bool>()).prop_map(|(over, from, straight)| {
        Slope {
            over,
            from,
            straight,
        }
    })
}

fn enforcement() -> impl Strategy<Value = Enforcement> {
    prop_oneof![
        4 => Just(Enforcement::Full),
        1 => Just(Enforcement::Dark),
        1 => (0_u32..=100).prop_map(|part| Enforcement::Partial(percent(part))),
    ]
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::collection::vec(rule(), 1..=4),
        select(vec![millis(500), millis(1_000), millis(3_000)]),
        open(),
        probes(),
        prop::option::of(slope()),
        any::<bool>(),
        enforcement(),
    )
        .prop_map(
            |(rules, slower_than, open, probing, ramp, every_call_timed, enforcement)| Plan {
                rules,
                slower_than,
                open,
                probing,
                ramp,
                every_call_timed,
                enforcement,
            },
        )
}
