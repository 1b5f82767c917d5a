use std::{
    collections::HashSet,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use rs_patterns::core::{Clock, humane::show_duration};

use crate::{
    args::Options, control, demo::Demo, meter::OrderWindow, say::say, service::Ledger, view::millis,
};

/// Where a story is played: the shop, and the promises that were looked at.
pub(crate) struct Stage {
    pub(crate) demo: Arc<Demo>,
    rate: Option<f64>,
    is_short: bool,
    /// When the last thing was done to it.
    caused: Instant,
    promises: Vec<Promise>,
}

struct Promise {
    what: String,
    has_held: bool,
    seen: String,
}

impl Stage {
    pub(crate) fn new(demo: Arc<Demo>, options: &Options) -> Self {
        Self {
            demo,
            rate: options.rate,
            is_short: options.short,
            caused: Clock::default().now(),
            promises: Vec::new(),
        }
    }

    /// Customers come: so many as was asked for, or else these, or fewer if that is too much for this machine
    /// while nothing is broken. How it goes then is what the promises are compared with; if it does not go well
    /// with any number of customers, that is a promise of its own, and broken.
    pub(crate) async fn open(&mut self, rate: f64) -> OrderWindow {
        /// Fewer would show nothing.
        const FEWEST: f64 = 10.0;
        let mut rate = self.rate.unwrap_or(rate);
        loop {
            self.demo.load.set_rate(rate);
            self.watch(Duration::from_millis(500)).await;
            let normal = self.watch(self.seconds(2.0, 1.0)).await;
            let counts = &normal.counts;
            let unwell = counts.failed + counts.refused + counts.degraded + counts.queued;
            let p99 = normal.quantile(0.99);
            let is_well = normal.all() > 0 && unwell == 0 && p99 < Duration::from_millis(150);
            let seen = format!(
                "{unwell} of {} orders not done in full, p99 {}",
                normal.all(),
                millis(p99)
            );
            if is_well || self.rate.is_some() || rate / 2.0 < FEWEST {
                say!("  > {rate:.0} orders a second: {seen}");
                if !is_well {
                    self.promise("all is well before anything breaks", false, seen);
                }
                return normal;
            }
            say!("  > {rate:.0} orders a second are too many for this machine now: {seen}");
            rate /= 2.0;
        }
    }

    /// `long`, or `short` if the story is to be short.
    pub(crate) fn seconds(&self, long: f64, short: f64) -> Duration {
        Duration::from_secs_f64(if self.is_short { short } else { long })
    }

    /// Lets it run for a time, and tells how orders went.
    pub(crate) async fn watch(&self, time: Duration) -> OrderWindow {
        let before = self.demo.load.meter.reading();
        Clock::default().sleep(time).await;
        self.demo.load.meter.reading().since(&before)
    }

    /// Does what `orders do` does.
    pub(crate) async fn cause(&mut self, fault: &str) -> Result<()> {
        say!("  > {fault}");
        self.caused = Clock::default().now();
        control::apply(&self.demo, fault).await?;
        Ok(())
    }

    /// Waits until it is so; how long after the last thing that was caused, or `None` if it was not so in time.
    pub(crate) async fn until(
        &self,
        bound: Duration,
        is_so: impl Fn() -> bool,
    ) -> Option<Duration> {
        let clock = Clock::default();
        loop {
            let waited = clock.now() - self.caused;
            if is_so() {
                return Some(waited);
            }
            if waited >= bound {
                return None;
            }
            clock.sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn promise(
        &mut self,
        what: impl Into<String>,
        has_held: bool,
        seen: impl Into<String>,
    ) {
        let (what, seen) = (what.into(), seen.into());
        self.promises.push(Promise {
            what,
            has_held,
            seen,
        });
    }

    /// No order failed in this time, and none was refused.
    pub(crate) fn promise_none_failed(&mut self, window: &OrderWindow) {
        let failed = window.counts.failed + window.counts.refused;
        self.promise(
            "no order failed",
            failed == 0 && window.all() > 0,
            format!("{failed} of {}", window.all()),
        );
    }

    /// Something was to happen within a time.
    pub(crate) fn promise_within(&mut self, what: &str, bound: Duration, took: Option<Duration>) {
        let what = format!("{what} within {}", show_duration(bound));
        let seen = took.map_or("not in time".to_owned(), |took| {
            format!("after {}", millis(took))
        });
        self.promise(what, took.is_some(), seen);
    }

    /// Ends the load and compares the orders that were accepted with what was charged.
    pub(crate) async fn promise_all_charged_once(&mut self) -> Result<()> {
        self.demo.load.settle().await;
        let shop = Arc::clone(&self.demo.shop);
        let bound = Duration::from_secs(30);
        let paid = self.until(bound, || shop.owed() == 0).await;
        self.promise_within("all are charged", bound, paid);
        let charges = Ledger::audit(&self.demo.ledger())?;
        let accepted: HashSet<u64> = self.demo.load.accepted().into_iter().collect();
        let lost = accepted
            .iter()
            .filter(|order| !charges.contains_key(order))
            .count();
        let twice = charges.values().filter(|times| **times > 1).count();
        let unknown = charges
            .keys()
            .filter(|order| !accepted.contains(order))
            .count();
        let all = accepted.len();
        self.promise(
            "no accepted order is lost",
            lost == 0 && all > 0,
            format!("{lost} of {all}"),
        );
        self.promise(
            "none is charged twice",
            twice == 0,
            format!("{twice} of {}", charges.len()),
        );
        self.promise(
            "nothing else is charged",
            unknown == 0,
            format!("{unknown}"),
        );
        Ok(())
    }

    pub(crate) fn has_held(&self) -> bool {
        !self.promises.is_empty() && self.promises.iter().all(|promise| promise.has_held)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<6} {:<46} seen", "", "promise")?;
        for promise in &self.promises {
            let held = if promise.has_held { "held" } else { "BROKEN" };
            writeln!(f, "  {held:<6} {:<46} {}", promise.what, promise.seen)?;
        }
        Ok(())
    }
}
