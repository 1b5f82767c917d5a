//! What the screen shows, as data and as lines.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rs_patterns::{
    breaker::{BreakerSnapshot, BreakerState},
    core::{Clock, FlightRecorder, Severity, humane::show_duration},
    workers::WorkerState,
};

use crate::{
    demo::Demo,
    meter::{CallReading, OrderReading, OrderWindow},
    shop::Service,
    workers::{REFRESH, SUMMARY, UNPAID},
};

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Quiet,
    Good,
    Doubtful,
    Bad,
}

/// A line in pieces.
pub(crate) type Line = Vec<(Tone, String)>;

/// What was counted when the screen was last drawn.
pub(crate) struct Before {
    orders: OrderReading,
    calls: Vec<CallReading>,
    instances: HashMap<String, u64>,
    begun: Instant,
}

impl Before {
    pub(crate) fn of(demo: &Demo) -> Self {
        let mut now = Self::now(demo);
        now.begun = now.orders.at;
        now
    }

    fn now(demo: &Demo) -> Self {
        let orders = demo.load.meter.reading();
        let calls = demo.shop.services().map(|service| service.meter.reading());
        let instances = demo
            .fleet
            .all()
            .iter()
            .map(|one| (one.name.clone(), one.calls()));
        Self {
            begun: orders.at,
            orders,
            calls: calls.into(),
            instances: instances.collect(),
        }
    }

    /// Draws what happened since, and begins anew.
    pub(crate) fn draw(&mut self, demo: &Demo) -> Vec<Line> {
        let now = Self {
            begun: self.begun,
            ..Self::now(demo)
        };
        let window = now.orders.since(&self.orders);
        let mut lines = vec![
            title(demo, now.orders.at - self.begun),
            Vec::new(),
            orders(demo, &window),
        ];
        lines.push(Vec::new());
        let head = format!(
            "{:<15}{:>8}{:>9}{:>9}{:>9}  breaker",
            "service", "calls/s", "errors", "p50", "p99"
        );
        lines.push(vec![(Tone::Quiet, head)]);
        for (at, service) in demo.shop.services().into_iter().enumerate() {
            let calls = now.calls[at].since(&self.calls[at]);
            lines.push(calls_of(service, &calls, window.seconds));
            lines.push(self.instances_of(demo, service, &now));
        }
        lines.push(Vec::new());
        lines.push(prices(demo));
        lines.push(workers(demo));
        lines.push(vec![
            (Tone::Plain, format!("{:<9}", "lately")),
            (Tone::Quiet, demo.desk.summary()),
        ]);
        lines.push(Vec::new());
        *self = now;
        lines
    }

    fn instances_of(&self, demo: &Demo, service: &Service, now: &Self) -> Line {
        let instances = demo.fleet.of(service.kind);
        let calls = |name: &String| now.instances[name] - self.instances[name];
        let all: u64 = instances.iter().map(|one| calls(&one.name)).sum();
        let snapshot = service.balancer.snapshot();
        let mut line = vec![(Tone::Quiet, "  ".to_owned())];
        for instance in instances {
            let share = calls(&instance.name) as f64 / all.max(1) as f64;
            let number = instance.name.rsplit('-').next().unwrap_or_default();
            let (condition, state) = (instance.condition(), standing(&snapshot, &instance.name));
            let tone = if state == "up" {
                Tone::Plain
            } else {
                Tone::Doubtful
            };
            let words = [condition, if state == "up" { "" } else { &state }];
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            line.push((Tone::Quiet, format!("{number}: ")));
            line.push((
                tone,
                format!(
                    "{:<20}",
                    format!("{:>3.0}% {}", share * 100.0, words.join(", "))
                ),
            ));
        }
        line
    }
}

/// What the balancer thinks of an instance.
fn standing(snapshot: &rs_patterns::core::Value, id: &str) -> String {
    use rs_patterns::core::Value;
    let endpoints = match snapshot.get("endpoints") {
        Some(Value::List(endpoints)) => endpoints.as_slice(),
        _ => &[],
    };
    let of_id = |endpoint: &&Value| endpoint.get("id").and_then(Value::as_str) == Some(id);
    let state = endpoints
        .iter()
        .find(of_id)
        .and_then(|endpoint| endpoint.get("state"));
    state.and_then(Value::as_str).unwrap_or("gone").to_owned()
}

fn title(demo: &Demo, running: Duration) -> Line {
    vec![
        (Tone::Plain, "orders".to_owned()),
        (
            Tone::Quiet,
            format!("  {}  {}  {}", clock(running), demo.gateway, demo.metrics()),
        ),
    ]
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn orders(demo: &Demo, window: &OrderWindow) -> Line {
    let a_second = |count: u64| count as f64 / window.seconds;
    let bad = |count: u64, tone| if count == 0 { Tone::Quiet } else { tone };
    let counts = &window.counts;
    let owed = demo.shop.owed();
    vec![
        (Tone::Good, format!("{:.0} orders/s", window.rate())),
        (
            bad(counts.failed, Tone::Bad),
            format!("  {:.0} failed", a_second(counts.failed)),
        ),
        (
            bad(counts.refused, Tone::Doubtful),
            format!("  {:.0} refused", a_second(counts.refused)),
        ),
        (
            bad(counts.degraded, Tone::Doubtful),
            format!("  {:.0} degraded", a_second(counts.degraded)),
        ),
        (bad(owed, Tone::Doubtful), format!("  {owed} unpaid")),
        (
            Tone::Plain,
            format!(
                "   p50 {}  p99 {}",
                millis(window.quantile(0.5)),
                millis(window.quantile(0.99))
            ),
        ),
    ]
}

fn calls_of(service: &Service, calls: &CallReading, seconds: f64) -> Line {
    let errors = (calls.failed + calls.refused) as f64 / calls.all().max(1) as f64;
    let tone = match errors {
        0.0 => Tone::Plain,
        0.0..0.05 => Tone::Doubtful,
        _ => Tone::Bad,
    };
    let (p50, p99) = (millis(calls.quantile(0.5)), millis(calls.quantile(0.99)));
    let breaker = service.breaker.snapshot();
    let is_closed = breaker.state == BreakerState::Closed;
    vec![
        (
            Tone::Plain,
            format!(
                "{:<15}{:>8.0}",
                service.kind.name(),
                calls.all() as f64 / seconds
            ),
        ),
        (tone, format!("{:>8.1}%", errors * 100.0)),
        (Tone::Plain, format!("{p50:>9}{p99:>9}")),
        (
            if is_closed { Tone::Good } else { Tone::Bad },
            format!("  {}", breaker.state),
        ),
        (Tone::Quiet, distance(&breaker)),
    ]
}

/// How far it is from another state.
fn distance(breaker: &BreakerSnapshot) -> String {
    let in_words = |time: Duration| {
        show_duration(Duration::from_millis(100 * (time.as_millis() as u64 / 100)))
    };
    match (breaker.state, breaker.failures_to_trip, breaker.next_probe) {
        (BreakerState::Open, _, Some(probe)) => format!(", next probe in {}", in_words(probe)),
        (BreakerState::Ramping, ..) => {
            format!(", lets {:.0}% through", breaker.admitted.get() * 100.0)
        }
        (_, Some(failures), _) => format!(", opens in {failures}"),
        _ => String::new(),
    }
}

fn prices(demo: &Demo) -> Line {
    let told = demo.shop.prices.told();
    vec![
        (Tone::Plain, format!("{:<9}", "prices")),
        (Tone::Quiet, told),
    ]
}

fn workers(demo: &Demo) -> Line {
    let mut line = vec![(Tone::Plain, format!("{:<9}", "workers"))];
    for name in [UNPAID, REFRESH, SUMMARY] {
        let Some(status) = demo.workers.status(name) else {
            continue;
        };
        let tone = if status.state == WorkerState::Ready {
            Tone::Quiet
        } else {
            Tone::Bad
        };
        line.push((tone, format!("{name} {}   ", status.state)));
    }
    line
}

/// The last signals in words, the newest first, at most so many.
pub(crate) fn signals(most: usize) -> Vec<Line> {
    let now = Clock::default().now();
    let recent = FlightRecorder::global().recent(most);
    let line = |recorded: rs_patterns::core::Recorded| {
        let age = Duration::from_secs((now - recorded.at).as_secs());
        let tone = match recorded.signal.kind().severity() {
            Severity::Info => Tone::Plain,
            Severity::Warning => Tone::Doubtful,
            _ => Tone::Bad,
        };
        let age = format!("{:>6}  ", show_duration(age).to_string());
        vec![(Tone::Quiet, age), (tone, recorded.signal.to_string())]
    };
    recent.into_iter().rev().map(line).collect()
}

/// The run in a sentence.
pub(crate) fn total(window: &OrderWindow) -> String {
    let counts = &window.counts;
    format!(
        "{} orders in {:.1}s, {:.0}/s: {} charged, {} queued, {} degraded, {} refused, {} failed; p50 {}, p99 {}",
        window.all(),
        window.seconds,
        window.rate(),
        counts.charged,
        counts.queued,
        counts.degraded,
        counts.refused,
        counts.failed,
        millis(window.quantile(0.5)),
        millis(window.quantile(0.99)),
    )
}

/// A time as people compare it.
pub(crate) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        0.0..10.0 => format!("{millis:.1}ms"),
        10.0..1000.0 => format!("{millis:.0}ms"),
        _ => format!("{:.1}s", millis / 1e3),
    }
}
