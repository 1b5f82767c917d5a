//! What is done about endpoints when somebody looks: ends what is over, ejects who is bad.

use std::time::Duration;

use rs_core::{Name, Signal};

use crate::{
    BalancerConfig, Cause, Outliers,
    common::{NEVER, Nanos, millis, nanos},
    event,
    outlier::{Outlier, Record, by_latency, by_success},
    roster::{Entry, Roster, Standing},
};

/// What came of looking after the endpoints.
#[derive(Default)]
pub(crate) struct Tended {
    /// Those that may be chosen are others than before.
    pub(crate) changed: bool,
    pub(crate) signals: Vec<Signal>,
    /// Why endpoints were ejected.
    pub(crate) ejected: Vec<Cause>,
}

impl<T, G> Roster<T, G> {
    /// Looks after all endpoints.
    pub(crate) fn tend(&mut self, name: Name, config: &BalancerConfig, now: Nanos) -> Tended {
        let mut tended = Tended::default();
        self.end_orders(name, config, now, &mut tended);
        let Some(outliers) = config.outliers() else {
            self.release_all(&mut tended);
            return tended;
        };
        self.end_ejections(name, config, outliers, now, &mut tended);
        let mut bad = self.suspects(outliers);
        if now >= self.sweep_at {
            self.entries.iter_mut().for_each(Entry::carry);
            if self.sweep_at > 0 {
                self.compare(config, outliers, now, &mut bad);
                self.forget_ejections();
            }
            self.sweep_at = now.saturating_add(nanos(outliers.interval()));
        }
        self.eject(name, outliers, &bad, now, &mut tended);
        tended
    }

    fn end_orders(&mut self, name: Name, config: &BalancerConfig, now: Nanos, tended: &mut Tended) {
        for entry in &mut self.entries {
            let Some(order) = entry.order.take_if(|order| order.until <= now) else {
                continue;
            };
            if config.slow_start().is_some() {
                entry.slow_since = now;
            }
            tended.changed = true;
            let signal = event::RESTORED.signal(name).noting(&*entry.node.id);
            tended.signals.push(signal.by(order.mandate));
        }
    }

    /// Nobody is ejected any more.
    fn release_all(&mut self, tended: &mut Tended) {
        for entry in &mut self.entries {
            if entry.ejected_until > 0 {
                entry.ejected_until = 0;
                tended.changed = true;
            }
        }
    }

    fn end_ejections(
        &mut self,
        name: Name,
        config: &BalancerConfig,
        outliers: &Outliers,
        now: Nanos,
        tended: &mut Tended,
    ) {
        for entry in &mut self.entries {
            if entry.ejected_until == 0 || entry.ejected_until > now {
                continue;
            }
            entry.ejected_until = 0;
            if config.slow_start().is_some() {
                entry.slow_since = now;
            }
            // One failure is enough, until a call succeeds.
            entry.node.on_probation(outliers.consecutive_failures());
            let _ = entry.since_last();
            tended.changed = true;
            tended
                .signals
                .push(event::RETURNED.signal(name).noting(&*entry.node.id));
        }
    }

    /// Those with too many failures in a row.
    fn suspects(&self, outliers: &Outliers) -> Vec<(Cause, Outlier)> {
        let limit = outliers.consecutive_failures();
        if limit == 0 {
            return Vec::new();
        }
        let mut bad: Vec<(Cause, Outlier)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.node.streak() >= limit)
            .map(|(place, entry)| {
                let (seen, limit) = (entry.node.streak().into(), limit.into());
                (Cause::ConsecutiveFailures, Outlier { place, seen, limit })
            })
            .collect();
        bad.sort_by(|one, other| other.1.seen.total_cmp(&one.1.seen));
        bad
    }

    /// Those that are far worse than the others.
    fn compare(
        &mut self,
        config: &BalancerConfig,
        outliers: &Outliers,
        now: Nanos,
        bad: &mut Vec<(Cause, Outlier)>,
    ) {
        let decay = match config.strategy() {
            crate::Strategy::LatencyBased(latency) => latency.decay(),
            _ => Duration::from_secs(10),
        };
        let decay = decay.as_millis() as f32;
        let records: Vec<Record> = self
            .entries
            .iter_mut()
            .map(|entry| {
                let (succeeded, failed) = entry.since_last();
                let known = entry.node.vitals().map(|vitals| vitals.latency());
                Record {
                    succeeded,
                    failed,
                    latency: known
                        .filter(|latency| latency.is_known())
                        .map(|latency| latency.at(millis(now), decay)),
                }
            })
            .collect();
        if let Some(rule) = outliers.success_rate() {
            let found = by_success(&records, rule).into_iter();
            bad.extend(found.map(|outlier| (Cause::SuccessRate, outlier)));
        }
        if let Some(rule) = outliers.latency() {
            let found = by_latency(&records, rule).into_iter();
            bad.extend(found.map(|outlier| (Cause::Latency, outlier)));
        }
    }

    /// Who was not ejected for a while is ejected for less long the next time.
    fn forget_ejections(&mut self) {
        for entry in &mut self.entries {
            if entry.ejected_until == 0 && entry.level > 0 {
                entry.level -= 1;
            }
        }
    }

    fn eject(
        &mut self,
        name: Name,
        outliers: &Outliers,
        bad: &[(Cause, Outlier)],
        now: Nanos,
        tended: &mut Tended,
    ) {
        if bad.is_empty() {
            return;
        }
        let mut judged = 0;
        let mut out = 0;
        for entry in &self.entries {
            match entry.standing() {
                Standing::Up | Standing::Unhealthy => judged += 1,
                Standing::Ejected => {
                    judged += 1;
                    out += 1;
                }
                Standing::Draining | Standing::LeftOut => {}
            }
        }
        let places = outliers.places(judged);
        for (cause, outlier) in bad {
            let Some(entry) = self.entries.get_mut(outlier.place) else {
                continue;
            };
            // Only one that is up can be ejected; the only one there is stays.
            if entry.standing() != Standing::Up || out >= places || judged < 2 {
                continue;
            }
            entry.level = entry.level.saturating_add(1);
            let time = outliers.lasting(entry.level.into());
            entry.ejected_until = now.saturating_add(nanos(time)).min(NEVER - 1);
            out += 1;
            tended.changed = true;
            tended.ejected.push(*cause);
            let signal = event::ejected(name, *cause, outlier.seen, outlier.limit, time);
            tended.signals.push(signal.noting(&*entry.node.id));
        }
    }
}
