//! From what is known about endpoints to the view that picks go by.

use rs_core::{Name, Share, hash};

use crate::{
    BalancerConfig, NoEndpoint, Strategy,
    common::{NEVER, Nanos, nanos},
    config::SlowStart,
    ewma::Ewma,
    node::{Node, Vitals},
    roster::{Entry, Roster, Standing},
    strategy::{Choosing, Field, Table},
    sync::{Arc, Weak},
    view::{Group, More, Part, View},
};

/// A tier is taken to carry everything when at least this part of it is well: 1 / 1.4.
const SPARE: f64 = 1.4;

/// A panic ends when so much more is well than when it began.
const CALMER: f64 = 0.05;

/// Shorter steps are not worth a new view.
const SHORTEST_STEP: Nanos = 10_000_000;

/// Places of entries of one priority.
struct Tier {
    priority: u16,
    known: Vec<u32>,
    up: Vec<u32>,
    /// All of them, whatever is said about their health.
    panicking: bool,
    part: f64,
}

/// A part of the calls and those that they go to.
struct Portion {
    priority: u16,
    part: Part,
    share: f64,
    members: Vec<u32>,
}

impl<T, G> Roster<T, G> {
    /// A view of what is now; `before` is the one in force.
    pub(crate) fn arrange(
        &mut self,
        config: &BalancerConfig,
        before: &View<T, G>,
        random: u64,
        now: Nanos,
    ) -> View<T, G> {
        self.choose_subset(config);
        self.count();
        self.generation += 1;
        let mut due = self.next_end();
        let tiers = self.tiers(config);
        self.panicking = tiers.iter().any(|tier| tier.panicking && tier.part > 0.0);
        let portions: Vec<Portion> = tiers
            .into_iter()
            .filter(|tier| tier.part > 0.0)
            .flat_map(|tier| self.portions(config, tier, now))
            .collect();
        let mut reached = 0.0;
        let last = portions.len().saturating_sub(1);
        let groups = portions
            .into_iter()
            .enumerate()
            .map(|(place, portion)| {
                reached += portion.share;
                let until = if place == last {
                    u64::MAX
                } else {
                    (reached * 18_446_744_073_709_551_616.0) as u64
                };
                let old = before
                    .groups
                    .iter()
                    .find(|group| group.priority == portion.priority && group.part == portion.part);
                let (group, next) = self.group(config, portion, until, old, random, now);
                due = due.min(next);
                group
            })
            .collect();
        let timed = config.is_timed();
        let sweep_at = match config.outliers() {
            Some(outliers) if outliers.compares() => self.sweep_at,
            _ => NEVER,
        };
        View {
            generation: self.generation,
            groups,
            due,
            sweep_at,
            glance: glance(timed || due != NEVER, sweep_at != NEVER),
            timed,
            counted: matches!(config.strategy(), Strategy::ConsistentHash(hashing) if hashing.bounded_load().is_some()),
            tries: config.tries(),
            panicking: self.panicking,
            nobody: self.why_nobody(),
        }
    }

    fn choose_subset(&mut self, config: &BalancerConfig) {
        let going = |entry: &Entry<T, G>| entry.is_going();
        let Some(subset) = config.subset() else {
            self.entries.iter_mut().for_each(|entry| entry.used = true);
            return;
        };
        let mut ranks: Vec<(u64, u32)> = self
            .entries
            .iter()
            .zip(0..)
            .filter(|(entry, _)| !going(entry))
            .map(|(entry, place)| (subset.rank(&entry.node.id), place))
            .collect();
        let size = subset.size() as usize;
        let limit = if size < ranks.len() {
            Some(*ranks.select_nth_unstable(size).1)
        } else {
            None
        };
        for (entry, place) in self.entries.iter_mut().zip(0..) {
            let rank = (subset.rank(&entry.node.id), place);
            entry.used = going(entry) || limit.is_none_or(|limit| rank < limit);
        }
    }

    /// When the first ejection or order ends.
    fn next_end(&self) -> Nanos {
        let ends = self.entries.iter().flat_map(|entry| {
            let ejected = Some(entry.ejected_until).filter(|until| *until > 0);
            [ejected, entry.order.as_ref().map(|order| order.until)]
        });
        ends.flatten().min().unwrap_or(NEVER)
    }

    fn why_nobody(&self) -> NoEndpoint {
        let counts = self.counts;
        if self.entries.is_empty() {
            NoEndpoint::Empty
        } else if counts.unhealthy == 0 && counts.ejected > 0 {
            NoEndpoint::Ejected
        } else if counts.unhealthy > 0 {
            NoEndpoint::Unhealthy
        } else {
            NoEndpoint::Draining
        }
    }

    /// The priorities, with the part of the calls that each gets.
    fn tiers(&self, config: &BalancerConfig) -> Vec<Tier> {
        let mut tiers: Vec<Tier> = Vec::new();
        for (entry, place) in self.entries.iter().zip(0..) {
            let standing = entry.standing();
            if matches!(standing, Standing::Draining | Standing::LeftOut) {
                continue;
            }
            let known = tiers
                .iter()
                .position(|tier| tier.priority == entry.priority);
            let at = known.unwrap_or_else(|| {
                tiers.push(Tier {
                    priority: entry.priority,
                    known: Vec::new(),
                    up: Vec::new(),
                    panicking: false,
                    part: 0.0,
                });
                tiers.len() - 1
            });
            if let Some(tier) = tiers.get_mut(at) {
                tier.known.push(place);
                if standing == Standing::Up {
                    tier.up.push(place);
                }
            }
        }
        tiers.sort_by_key(|tier| tier.priority);
        let strict = matches!(config.strategy(), Strategy::PriorityFailover);
        self.divide(&mut tiers, config.panic_below(), strict);
        tiers
    }

    fn divide(&self, tiers: &mut [Tier], panic_below: Share, strict: bool) {
        let mut rest: f64 = 1.0;
        for tier in tiers.iter_mut() {
            let well = tier.up.len() as f64 / tier.known.len().max(1) as f64;
            let able = if strict && well > 0.0 {
                1.0
            } else {
                (SPARE * well).min(1.0)
            };
            tier.part = able.min(rest);
            rest -= tier.part;
            // What is left over by rounding is nothing.
            if rest < 1e-9 {
                rest = 0.0;
            }
        }
        if rest == 0.0 {
            return;
        }
        // Together they cannot carry everything: is what is said about their health to be believed?
        let calm = if self.panicking { CALMER } else { 0.0 };
        for tier in tiers.iter_mut() {
            let well = tier.up.len() as f64 / tier.known.len().max(1) as f64;
            tier.panicking =
                panic_below > Share::NONE && well < (panic_below.get() + calm).min(1.0);
        }
        let able: f64 = tiers.iter().map(|tier| tier.part).sum();
        if able > 0.0 {
            tiers.iter_mut().for_each(|tier| tier.part /= able);
        } else if let Some(first) = tiers.first_mut()
            && first.panicking
        {
            first.part = 1.0;
        }
    }

    /// Divides a tier between the own zone and the others.
    fn portions(&self, config: &BalancerConfig, tier: Tier, now: Nanos) -> Vec<Portion> {
        let members = if tier.panicking {
            tier.known.clone()
        } else {
            tier.up
        };
        let members = self.with_weight(members);
        let portion = |part, share: f64, members| Portion {
            priority: tier.priority,
            part,
            share: tier.part * share,
            members,
        };
        let zones = config.zones().filter(|_| !tier.panicking);
        let Some(zones) = zones else {
            return vec![portion(Part::Whole, 1.0, members)];
        };
        let local = self.zone_of(zones.zone());
        let is_local =
            |place: &u32| local.is_some() && self.at(*place).map(|entry| entry.zone) == local;
        let (here, elsewhere): (Vec<u32>, Vec<u32>) =
            members.iter().partition(|place| is_local(place));
        let change = nanos(config.weight_change());
        let weight = |places: &[u32]| -> f64 {
            let weights = places.iter().filter_map(|place| self.at(*place));
            weights
                .map(|entry| f64::from(entry.weight_at(now, change).max(f32::MIN_POSITIVE)))
                .sum()
        };
        let able = weight(&here) / weight(&members).max(f64::MIN_POSITIVE);
        let callers = zones.callers().map_or_else(
            || 1.0 / self.count_zones(&tier.known).max(1) as f64,
            Share::get,
        );
        let stay = (able / callers).min(1.0);
        if here.is_empty() || stay <= 0.0 {
            vec![portion(Part::Whole, 1.0, members)]
        } else if stay >= 1.0 || elsewhere.is_empty() {
            vec![portion(Part::Local, 1.0, here)]
        } else {
            vec![
                portion(Part::Local, stay, here),
                portion(Part::Remote, 1.0 - stay, elsewhere),
            ]
        }
    }

    /// Those of weight 0 only if there are no others.
    fn with_weight(&self, members: Vec<u32>) -> Vec<u32> {
        let has_weight = |place: &u32| self.at(*place).is_some_and(|entry| entry.weight > 0.0);
        if members.iter().all(has_weight) || !members.iter().any(has_weight) {
            return members;
        }
        members.into_iter().filter(has_weight).collect()
    }

    fn at(&self, place: u32) -> Option<&Entry<T, G>> {
        self.entries.get(place as usize)
    }

    fn zone_of(&self, name: Name) -> Option<u16> {
        let place = self.zones.iter().position(|zone| *zone == name)?;
        u16::try_from(place).ok()
    }

    fn count_zones(&self, places: &[u32]) -> usize {
        let mut zones: Vec<u16> = places
            .iter()
            .filter_map(|place| self.at(*place))
            .map(|entry| entry.zone)
            .collect();
        zones.sort_unstable();
        zones.dedup();
        zones.len()
    }

    /// A group, and when it will be another by itself.
    fn group(
        &self,
        config: &BalancerConfig,
        portion: Portion,
        until: u64,
        old: Option<&Group<T, G>>,
        random: u64,
        now: Nanos,
    ) -> (Group<T, G>, Nanos) {
        let entries = || portion.members.iter().filter_map(|place| self.at(*place));
        let nodes: Box<[Weak<Node<T, G>>]> =
            entries().map(|entry| Arc::downgrade(&entry.node)).collect();
        let numbers: Box<[u32]> = entries().map(|entry| entry.node.number).collect();
        let strategy = config.strategy();
        let change = nanos(config.weight_change());
        let weighted = strategy.is_weighted();
        let by_parts = strategy.takes_parts();
        let mut due = NEVER;
        let mut weights: Vec<f32> = Vec::with_capacity(nodes.len());
        let mut chances: Vec<u8> = Vec::with_capacity(nodes.len());
        for entry in entries() {
            let mut weight = if weighted {
                entry.weight_at(now, change)
            } else {
                1.0
            };
            if weighted && let Some(way) = &entry.way {
                due = due.min(step(way.since, now, change));
            }
            let chance = match config.slow_start() {
                Some(slow) if entry.slow_since != NEVER => {
                    let (share, next) = warmth(slow, entry.slow_since, now);
                    due = due.min(next);
                    share
                }
                _ => 1.0,
            };
            if by_parts {
                weight *= chance;
            }
            weights.push(weight);
            chances.push(((chance * 255.0) as u8).max(1));
        }
        // All of weight 0 count the same.
        if weights.iter().all(|weight| *weight <= 0.0) {
            weights.fill(1.0);
        }
        let slow = chances.iter().any(|chance| *chance < u8::MAX);
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let keyed = matches!(strategy, Strategy::ConsistentHash(_) | Strategy::Own(_));
        let more = More {
            weight_sum: weights.iter().map(|weight| f64::from(*weight)).sum(),
            chances: (slow && !by_parts).then(|| chances.into()),
            vitals: config.is_timed().then(|| {
                let vitals = entries().map(|entry| entry.node.vitals_or_new());
                vitals.map(std::sync::Arc::clone).collect()
            }),
            keys: keyed.then(|| keys(entries())),
            weights: None,
        };
        let turn = turn(old, &numbers, random);
        let by_turns = matches!(strategy, Strategy::RoundRobin);
        let table = Table::new(
            strategy,
            &Arranged {
                nodes: &nodes,
                weights: &weights,
                more: &more,
            },
            &weights,
            || keys(entries()).into(),
            by_turns && slow,
            turn,
        );
        let kept = (!equal && strategy.compares_weights()).then(|| weights.into());
        let more = More {
            weights: kept,
            ..more
        };
        let group = Group {
            until,
            priority: portion.priority,
            part: portion.part,
            nodes,
            numbers,
            more,
            table,
        };
        (group, due)
    }
}

fn keys<'a, T: 'a, G: 'a>(entries: impl Iterator<Item = &'a Entry<T, G>>) -> Box<[u64]> {
    entries
        .map(|entry| hash::stable(entry.node.id.as_bytes()))
        .collect()
}

/// When picks look at the clock.
const fn glance(each: bool, sometimes: bool) -> u32 {
    match (each, sometimes) {
        (true, _) => 0,
        (false, true) => 63,
        (false, false) => u32::MAX,
    }
}

/// The part of its share that an endpoint gets that starts slowly, and when it gets more.
fn warmth(slow: &SlowStart, since: Nanos, now: Nanos) -> (f32, Nanos) {
    let passed = now.saturating_sub(since);
    let over = nanos(slow.time());
    if passed >= over {
        return (1.0, NEVER);
    }
    let share = slow.share_after(std::time::Duration::from_nanos(passed));
    (share.get() as f32, step(since, now, over))
}

/// When the next step of something is due that began then and takes so long.
fn step(since: Nanos, now: Nanos, over: Nanos) -> Nanos {
    if now.saturating_sub(since) >= over {
        return NEVER;
    }
    let each = (over / u64::from(SlowStart::STEPS)).max(SHORTEST_STEP);
    now.saturating_add(each).min(since.saturating_add(over))
}

/// Whose turn it is: of the one that would have been next, or of the first after it. Otherwise those before
/// or behind an endpoint that comes and goes would have more turns than others.
fn turn<T, G>(old: Option<&Group<T, G>>, numbers: &[u32], random: u64) -> u64 {
    let Some((old, cursor)) = old.and_then(|old| Some((old, old.table.cursor()?))) else {
        return random;
    };
    match &old.table {
        Table::Turns(_) if !old.numbers.is_empty() && !numbers.is_empty() => {
            let next = cursor.turn() as u32 % old.numbers.len() as u32;
            let number = old.numbers.get(next as usize).copied().unwrap_or(0);
            let place = numbers.partition_point(|known| *known < number);
            (place % numbers.len()) as u64
        }
        _ => cursor.turn(),
    }
}

/// What a strategy of somebody's own sees when it is arranged.
struct Arranged<'a, T, G> {
    nodes: &'a [Weak<Node<T, G>>],
    weights: &'a [f32],
    more: &'a More,
}

impl<T, G> Field for Arranged<'_, T, G> {
    fn len(&self) -> usize {
        self.nodes.len()
    }

    fn in_flight(&self, place: usize) -> u32 {
        let holders = self.nodes.get(place).map_or(0, Weak::strong_count);
        holders.saturating_sub(1) as u32
    }

    fn weight(&self, place: usize) -> f32 {
        self.weights.get(place).copied().unwrap_or(1.0)
    }

    fn share(&self, place: usize) -> f64 {
        f64::from(self.weight(place)) / self.more.weight_sum.max(f64::MIN_POSITIVE)
    }

    fn latency(&self, place: usize) -> Ewma {
        let vitals = self.more.vitals.as_ref();
        let vitals = vitals.and_then(|vitals| vitals.get(place));
        vitals.map_or(Ewma::UNKNOWN, |vitals| Vitals::latency(vitals))
    }

    fn key(&self, place: usize) -> u64 {
        self.more.key(place)
    }

    fn takes_part(&self, _place: usize, _choosing: &Choosing<'_>) -> bool {
        true
    }

    fn all_in_flight(&self) -> u64 {
        0
    }
}
