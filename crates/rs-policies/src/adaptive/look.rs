//! What can be seen of an adaptive limit.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use rs_core::{Criticality, Health, Inspect, Label, Value};
use rs_metrics::Observed;

use super::{AdaptiveLimit, Inner, Saturated, known};
use crate::{
    metrics::{self, Class},
    sync::lock,
};

impl Inner {
    /// Exports what it finds and counts anyway.
    pub(super) fn watch(of: &Arc<Self>) -> [Observed; 6] {
        let home = &of.home;
        [
            home.observe(&metrics::ADAPTIVE_LIMIT, of, |of, ()| of.limit().into()),
            home.observe(&metrics::ADAPTIVE_IN_FLIGHT, of, |of, ()| {
                of.gate.in_flight().into()
            }),
            home.observe(&metrics::ADAPTIVE_QUEUE, of, |of, ()| {
                of.gate.waiting().into()
            }),
            home.observe(&metrics::ADAPTIVE_TIME, of, |of, ()| of.time()),
            home.observe(&metrics::ADAPTIVE_UNLOADED, of, |of, ()| of.unloaded()),
            home.observe(&metrics::ADAPTIVE_DROPPED, of, |of, ()| of.dropped()),
        ]
    }

    fn limit(&self) -> u32 {
        self.found.limit.load(Ordering::Relaxed) as u32
    }

    fn time(&self) -> f64 {
        f64::from_bits(self.found.time.load(Ordering::Relaxed))
    }

    fn unloaded(&self) -> f64 {
        f64::from_bits(self.found.unloaded.load(Ordering::Relaxed))
    }

    fn dropped(&self) -> u64 {
        self.found.dropped.load(Ordering::Relaxed)
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("adaptive_limit");

    fn health(&self) -> Health {
        let (limit, least) = (self.limit(), self.rules.get().minimum());
        match limit <= least && self.gate.waiting() > 0 {
            true => Health::degraded(format!("at its minimum of {least}, and calls wait")),
            false => Health::UP,
        }
    }

    fn snapshot(&self) -> Value {
        let (rules, found) = (self.rules.get(), &self.found);
        let limits = Criticality::ALL.map(|class| {
            let name = Class::from(class).as_str();
            (name, Value::from(self.gate.limit_for(class)))
        });
        let refused = Saturated::ALL.iter().map(|why| {
            let of = |class: &Class| self.refused[(*why, *class)].value();
            let refused: u64 = Class::ALL.iter().map(of).sum();
            (why.as_str(), refused.into())
        });
        let time = |seconds| known(seconds).map_or(Value::Null, Value::from);
        Value::map([
            ("algorithm", Value::from(rules.algorithm().name())),
            ("limit", found.limit.load(Ordering::Relaxed).into()),
            ("limits", Value::map(limits)),
            ("minimum", rules.minimum().into()),
            ("maximum", rules.maximum().into()),
            ("last_change", lock(&self.seeker).last().into()),
            ("in_flight", self.gate.in_flight().into()),
            ("waiting", self.gate.waiting().into()),
            ("queue", self.gate.length().into()),
            ("queue_stands", self.gate.stands().into()),
            ("call_time", time(&found.time)),
            ("unloaded_call_time", time(&found.unloaded)),
            ("dropped", found.dropped.load(Ordering::Relaxed).into()),
            ("stale", found.stale.load(Ordering::Relaxed).into()),
            ("refused", Value::map(refused)),
            ("would_have_held_up", self.dark.value().into()),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl fmt::Debug for AdaptiveLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveLimit")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
