//! What changes a set of endpoints, from the outside.

use std::sync::{Arc as Std, PoisonError};

use hashbrown::HashSet;
use rs_core::{ConfigError, Guard, Mandate};

use crate::{
    BalancerConfig, Change, Endpoint, EndpointHealth,
    common::{NEVER, Nanos, nanos},
    endpoint::mend,
    event,
    inner::Inner,
    node::Node,
    roster::{Entry, Order, Way},
    sync::Arc,
};

/// What an update says about an endpoint beside its id and value.
struct Described {
    /// Its place, if it is there already.
    place: Option<usize>,
    weight: f32,
    zone: Option<rs_core::Name>,
    priority: u16,
    health: EndpointHealth,
}

impl<T, G> Inner<T, G>
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    pub(crate) fn update<D>(
        &self,
        endpoints: impl IntoIterator<Item = Endpoint<D>>,
        mut make: impl FnMut(&str, D) -> T,
    ) -> Change {
        // The caller's code runs before any lock is taken.
        let endpoints: Vec<Endpoint<D>> = endpoints.into_iter().collect();
        let updating = self.updating.lock();
        let _updating = updating.unwrap_or_else(PoisonError::into_inner);
        let mut change = Change::default();
        let (described, coming, left) = self.compare_with(endpoints, &mut change);
        // Values and guards are made while picks go on, and nobody else changes which endpoints there are.
        let coming: Vec<(Box<str>, T, G)> = coming
            .into_iter()
            .map(|(id, value)| {
                let value = make(&id, value);
                let guard = (self.guard)(&id, &value);
                (id, value, guard)
            })
            .collect();
        let gone = self.put(described, coming, &mut change);
        // Not under a lock: it is the caller's.
        drop((gone, left));
        change
    }

    /// Finds out who is new; the values of those who are not are left.
    #[expect(clippy::type_complexity, reason = "a step of an update, used once")]
    fn compare_with<D>(
        &self,
        endpoints: Vec<Endpoint<D>>,
        change: &mut Change,
    ) -> (Vec<Described>, Vec<(Box<str>, D)>, Vec<D>) {
        let roster = self.roster();
        let mut described = Vec::with_capacity(endpoints.len());
        let (mut coming, mut left) = (Vec::new(), Vec::new());
        let mut seen = vec![false; roster.entries.len()];
        let mut new_ids: HashSet<Box<str>, foldhash::fast::RandomState> = HashSet::default();
        for endpoint in endpoints {
            let place = roster.find(&endpoint.id);
            let is_second = match place {
                Some(place) => seen
                    .get_mut(place)
                    .is_some_and(|seen| std::mem::replace(seen, true)),
                None => !new_ids.insert(endpoint.id.clone()),
            };
            if is_second {
                change.duplicates += 1;
                left.push(endpoint.value);
                continue;
            }
            let (weight, mended) = mend(endpoint.weight);
            change.mended += usize::from(mended);
            described.push(Described {
                place,
                weight,
                zone: endpoint.zone,
                priority: endpoint.priority,
                health: endpoint.health,
            });
            match place {
                Some(_) => left.push(endpoint.value),
                None => coming.push((endpoint.id, endpoint.value)),
            }
        }
        (described, coming, left)
    }

    /// Puts the set in force, and gives back who is gone.
    fn put(
        &self,
        described: Vec<Described>,
        coming: Vec<(Box<str>, T, G)>,
        change: &mut Change,
    ) -> Vec<Entry<T, G>> {
        let config = self.rules.get();
        let now = self.common.now();
        let mut roster = self.roster();
        let before = roster.entries.len();
        let mut kept = vec![false; before];
        let mut coming = coming.into_iter();
        // A newcomer starts slowly among others; if all are new, all have the same right.
        let others = described.iter().any(|described| described.place.is_some());
        let slow = config.slow_start().is_some() && others;
        for endpoint in described {
            let zone = roster.zone(endpoint.zone);
            let place = match endpoint.place {
                Some(place) => {
                    if let Some(kept) = kept.get_mut(place) {
                        *kept = true;
                    }
                    change.kept += 1;
                    place
                }
                None => {
                    let Some((id, value, guard)) = coming.next() else {
                        continue;
                    };
                    let number = roster.next_number();
                    let node = Node::new(number, Std::clone(&self.common), id, guard, value);
                    let mut entry = Entry::new(Arc::new(node));
                    entry.weight = endpoint.weight;
                    entry.slow_since = if slow { now } else { NEVER };
                    roster.add(entry);
                    kept.push(true);
                    change.added += 1;
                    roster.entries.len() - 1
                }
            };
            if let Some(entry) = roster.entries.get_mut(place) {
                entry.zone = zone;
                entry.priority = endpoint.priority;
                entry.reweigh(endpoint.weight, &config, now);
                entry.hear(&config, now, |entry| entry.registry = endpoint.health);
            }
        }
        let gone = roster.keep(&kept);
        gone.iter().for_each(|entry| entry.node.retire());
        change.removed = gone.len();
        let (old, signal) = self.publish(&mut roster, &config, now);
        let known = roster.entries.len();
        drop(roster);
        drop(old);
        if let Some(signal) = signal {
            self.home.record(|| signal);
        }
        if change.is_change() {
            let (added, removed) = (change.added, change.removed);
            self.home
                .record(|| event::changed(self.home.name, known, added, removed));
        }
        gone
    }

    pub(crate) fn checked<'a>(
        &self,
        checked: impl IntoIterator<Item = (&'a str, EndpointHealth)>,
    ) -> usize {
        let config = self.rules.get();
        let now = self.common.now();
        let checked: Vec<(&str, EndpointHealth)> = checked.into_iter().collect();
        let mut roster = self.roster();
        let (mut known, mut changed) = (0, false);
        for (id, health) in checked {
            if let Some(entry) = roster.entry(id) {
                known += 1;
                changed |= entry.checked != health;
                entry.hear(&config, now, |entry| entry.checked = health);
            }
        }
        let published = changed.then(|| self.publish(&mut roster, &config, now));
        drop(roster);
        if let Some((_, Some(signal))) = published {
            self.home.record(|| signal);
        }
        known
    }

    pub(crate) fn order(&self, id: &str, drain: bool, mandate: Mandate) -> bool {
        let config = self.rules.get();
        let now = self.common.now();
        let mandate = Std::new(mandate);
        let until = mandate
            .expires_in()
            .map_or(NEVER, |time| now.saturating_add(nanos(time)).min(NEVER - 1));
        let mut roster = self.roster();
        let Some(entry) = roster.entry(id) else {
            return false;
        };
        entry.order = Some(Box::new(Order {
            drain,
            mandate: Std::clone(&mandate),
            until,
        }));
        let published = self.publish(&mut roster, &config, now);
        drop(roster);
        let kind = if drain {
            &event::DRAINS
        } else {
            &event::ORDERED_OUT
        };
        self.home
            .record(|| kind.signal(self.home.name).noting(id).by(mandate));
        if let (_, Some(signal)) = published {
            self.home.record(|| signal);
        }
        true
    }

    pub(crate) fn restore(&self, id: &str, mandate: Mandate) -> bool {
        let config = self.rules.get();
        let now = self.common.now();
        let mut roster = self.roster();
        let Some(entry) = roster.entry(id) else {
            return false;
        };
        if entry.order.is_none() && entry.ejected_until == 0 {
            return false;
        }
        entry.order = None;
        entry.ejected_until = 0;
        entry.node.forgive();
        if config.slow_start().is_some() {
            entry.slow_since = now;
        }
        let published = self.publish(&mut roster, &config, now);
        drop(roster);
        let mandate = Std::new(mandate);
        self.home.record(|| {
            let signal = event::RESTORED.signal(self.home.name);
            signal.noting(id).by(mandate)
        });
        if let (_, Some(signal)) = published {
            self.home.record(|| signal);
        }
        true
    }

    pub(crate) fn reconfigure(&self, config: BalancerConfig) -> Result<u64, ConfigError> {
        let version = self
            .rules
            .replace(&self.home, &event::ANNOUNCED, config, |config| {
                self.tell_rules(config);
            })?;
        let config = self.rules.get();
        let now = self.common.now();
        let mut roster = self.roster();
        roster.sweep_at = config
            .outliers()
            .map_or(0, |outliers| now.saturating_add(nanos(outliers.interval())));
        let tended = roster.tend(self.home.name, &config, now);
        let published = self.publish(&mut roster, &config, now);
        drop(roster);
        self.announce(tended);
        if let (_, Some(signal)) = published {
            self.home.record(|| signal);
        }
        Ok(version)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        let roster = self.roster();
        let counts = roster.entries.iter().map(|entry| entry.in_flight());
        counts.map(u64::from).sum()
    }
}

impl<T, G> Entry<T, G> {
    /// It has another weight from now on, and gets there within the time that a change takes.
    fn reweigh(&mut self, weight: f32, config: &BalancerConfig, now: Nanos) {
        if weight == self.weight {
            return;
        }
        let from = self.weight_at(now, nanos(config.weight_change()));
        self.weight = weight;
        self.way = Some(Box::new(Way { from, since: now }));
    }

    /// Somebody says something about its health; if it gets well by that, it starts slowly.
    fn hear(&mut self, config: &BalancerConfig, now: Nanos, say: impl FnOnce(&mut Self)) {
        let was_well = self.is_well();
        say(self);
        if !was_well && self.is_well() && config.slow_start().is_some() {
            self.slow_since = now;
        }
    }

    fn is_well(&self) -> bool {
        self.registry == EndpointHealth::Healthy && self.checked == EndpointHealth::Healthy
    }
}
