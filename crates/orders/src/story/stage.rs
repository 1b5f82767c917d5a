use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::core::{Clock, humane::show_duration};

use crate::{
    args::Options, control, demo::Demo, meter::OrderWindow, service::Ledger, view::millis,
};

/// Where a story is played: the shop, and the promises that were looked at.
pub(crate) struct Stage {
    pub(crate) demo: Arc<Demo>,
    rate: Option<f64>,
    is_short: bool,
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
            promises: Vec::new(),
        }
    }

    /// Customers come: so many as was asked for, or else these, or fewer if that is too much for this machine
    /// while nothing is broken. What is told is how it goes then.
    pub(crate) async fn open(&self, rate: f64) -> OrderWindow {
        let mut rate = self.rate.unwrap_or(rate);
        loop {
            self.demo.load.set_rate(rate);
            self.watch(Duration::from_millis(500)).await;
            let normal = self.watch(self.seconds(2.0, 1.0)).await;
            let is_well = normal.all() > 0
                && normal.counts.failed + normal.counts.refused + normal.counts.degraded == 0
                && normal.quantile(0.99) < Duration::from_millis(150);
            if is_well || self.rate.is_some() || rate < 10.0 {
                println!(
                    "  > {rate:.0} orders a second, p99 {}",
                    millis(normal.quantile(0.99))
                );
                return normal;
            }
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
    pub(crate) async fn cause(&self, fault: &str) -> Result<()> {
        println!("  > {fault}");
        control::apply(&self.demo, fault).await?;
        Ok(())
    }

    /// Waits until it is so; how long that took, or `None` if it was not so in time.
    pub(crate) async fn until(
        &self,
        bound: Duration,
        is_so: impl Fn() -> bool,
    ) -> Option<Duration> {
        let clock = Clock::default();
        let begun = clock.now();
        loop {
            let waited = clock.now() - begun;
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
            failed == 0,
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
