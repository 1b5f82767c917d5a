//! All endpoints that a balancer knows, and what is known about each: behind the balancer's lock, looked at
//! when something changes and never by a pick.

use std::{hash::BuildHasher, sync::Arc as Std};

use hashbrown::HashTable;
use rs_core::{Mandate, Name};

use crate::{
    EndpointHealth,
    common::Nanos,
    node::{FAILED, Node, SUCCEEDED},
    sync::Arc,
};

pub(crate) struct Roster<T, G> {
    /// In the order in which they came, which is that of their numbers.
    pub(crate) entries: Vec<Entry<T, G>>,
    /// Places of the entries by their ids.
    index: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    /// Names of zones; there are few.
    pub(crate) zones: Vec<Name>,
    pub(crate) generation: u64,
    next_number: u32,
    pub(crate) panicking: bool,
    pub(crate) sweep_at: Nanos,
    /// Not to be looked at again before, so that looking costs no more than a small part of the time.
    pub(crate) rest_until: Nanos,
    pub(crate) counts: Counts,
}

/// How many endpoints are how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) up: usize,
    pub(crate) ejected: usize,
    pub(crate) unhealthy: usize,
    pub(crate) draining: usize,
    pub(crate) left_out: usize,
}

pub(crate) struct Entry<T, G> {
    pub(crate) node: Arc<Node<T, G>>,
    pub(crate) weight: f32,
    /// Of its id: who goes gives others new places, and their ids lie far apart.
    hash: u32,
    /// How it came to its weight, if it had another one before.
    pub(crate) way: Option<Box<Way>>,
    /// Since when it starts slowly; [`NEVER`](crate::common::NEVER) if it does not.
    pub(crate) slow_since: Nanos,
    /// Until when it is ejected; 0 if it is not.
    pub(crate) ejected_until: Nanos,
    pub(crate) order: Option<Box<Order>>,
    /// What it had counted when it was last compared.
    seen: [u32; 2],
    pub(crate) zone: u16,
    pub(crate) priority: u16,
    pub(crate) registry: EndpointHealth,
    pub(crate) checked: EndpointHealth,
    /// How often it was ejected in a short time.
    pub(crate) level: u8,
    /// It is one of those that this client uses.
    pub(crate) used: bool,
}

/// From which weight an endpoint is on its way to another, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) from: f32,
    pub(crate) since: Nanos,
}

/// Somebody ordered that an endpoint be out of service.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) drain: bool,
    pub(crate) mandate: Std<Mandate>,
    pub(crate) until: Nanos,
}

/// No zone.
pub(crate) const NOWHERE: u16 = u16::MAX;

/// What an endpoint is, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Up,
    Ejected,
    Unhealthy,
    /// Draining, or out by order: not even in a panic.
    Draining,
    LeftOut,
}

impl Standing {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
            Self::LeftOut => "left_out",
        }
    }
}

impl<T, G> Entry<T, G> {
    pub(crate) const fn new(node: Arc<Node<T, G>>) -> Self {
        Self {
            node,
            weight: 1.0,
            hash: 0,
            way: None,
            slow_since: crate::common::NEVER,
            ejected_until: 0,
            order: None,
            seen: [0; 2],
            zone: NOWHERE,
            priority: 0,
            registry: EndpointHealth::Healthy,
            checked: EndpointHealth::Healthy,
            level: 0,
            used: true,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        if !self.used {
            Standing::LeftOut
        } else if self.is_going() || self.order.is_some() {
            Standing::Draining
        } else if self.registry == EndpointHealth::Unhealthy
            || self.checked == EndpointHealth::Unhealthy
        {
            Standing::Unhealthy
        } else if self.ejected_until > 0 {
            Standing::Ejected
        } else {
            Standing::Up
        }
    }

    pub(crate) fn is_going(&self) -> bool {
        self.registry == EndpointHealth::Draining || self.checked == EndpointHealth::Draining
    }

    /// How many calls are in flight: one reference is the roster's own.
    pub(crate) fn in_flight(&self) -> u32 {
        (Arc::strong_count(&self.node).saturating_sub(1)) as u32
    }

    /// What succeeded and failed since this was last asked.
    pub(crate) fn since_last(&mut self) -> (u32, u32) {
        let now = [self.node.ended(SUCCEEDED), self.node.ended(FAILED)];
        let [succeeded, failed] = self.seen;
        let since = (now[0].wrapping_sub(succeeded), now[1].wrapping_sub(failed));
        self.seen = now;
        since
    }

    /// Keeps the short counts of the endpoint from running over.
    pub(crate) fn carry(&mut self) {
        for how in 0..4 {
            let carried = self.node.carry(how);
            if let Some(seen) = self.seen.get_mut(how) {
                *seen = seen.wrapping_sub(carried);
            }
        }
    }

    /// How much it can carry now, on its way to a new weight.
    pub(crate) fn weight_at(&self, now: Nanos, change: Nanos) -> f32 {
        let Some(way) = &self.way else {
            return self.weight;
        };
        let passed = now.saturating_sub(way.since);
        if passed >= change {
            return self.weight;
        }
        let part = passed as f64 / change as f64;
        let (from, to) = (f64::from(way.from), f64::from(self.weight));
        (from + (to - from) * part) as f32
    }
}

impl<T, G> Roster<T, G> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            index: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            zones: Vec::new(),
            generation: 0,
            next_number: 1,
            panicking: false,
            sweep_at: 0,
            rest_until: 0,
            counts: Counts::default(),
        }
    }

    pub(crate) fn find(&self, id: &str) -> Option<usize> {
        let hash = spread(self.hash(id));
        let is_it = |place: &u32| {
            let entry = self.entries.get(*place as usize);
            entry.is_some_and(|entry| *entry.node.id == *id)
        };
        self.index.find(hash, is_it).map(|place| *place as usize)
    }

    fn hash(&self, id: &str) -> u32 {
        self.hasher.hash_one(id) as u32
    }

    pub(crate) fn entry(&mut self, id: &str) -> Option<&mut Entry<T, G>> {
        let place = self.find(id)?;
        self.entries.get_mut(place)
    }

    /// The number of the next endpoint; after four billion they begin again.
    pub(crate) fn next_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = number.checked_add(1).unwrap_or(1);
        number
    }

    pub(crate) fn add(&mut self, mut entry: Entry<T, G>) {
        let place = self.entries.len() as u32;
        entry.hash = self.hash(&entry.node.id);
        let hash = spread(entry.hash);
        self.entries.push(entry);
        let hash_of = hash_in(&self.entries);
        self.index.insert_unique(hash, place, hash_of);
    }

    /// Leaves only those whose places are marked; the others, to be dropped when nobody waits for it.
    pub(crate) fn keep(&mut self, marked: &[bool]) -> Vec<Entry<T, G>> {
        let mut gone = Vec::new();
        let mut kept = Vec::with_capacity(self.entries.len());
        for (place, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if marked.get(place).copied().unwrap_or(true) {
                kept.push(entry);
            } else {
                gone.push(entry);
            }
        }
        self.entries = kept;
        if !gone.is_empty() {
            self.index.clear();
            let hash_of = hash_in(&self.entries);
            for place in 0..self.entries.len() as u32 {
                self.index.insert_unique(hash_of(&place), place, &hash_of);
            }
        }
        gone
    }

    /// The number of a zone. Beyond 65,535 there are no more.
    pub(crate) fn zone(&mut self, name: Option<Name>) -> u16 {
        let Some(name) = name else {
            return NOWHERE;
        };
        let known = self.zones.iter().position(|zone| *zone == name);
        let place = known.unwrap_or(self.zones.len());
        match u16::try_from(place) {
            Ok(zone) if zone < NOWHERE => {
                if known.is_none() {
                    self.zones.push(name);
                }
                zone
            }
            _ => NOWHERE,
        }
    }

    pub(crate) fn count(&mut self) {
        let mut counts = Counts::default();
        for entry in &self.entries {
            *counts.of(entry.standing()) += 1;
        }
        self.counts = counts;
    }
}

/// The hash of the id of the entry at a place.
fn hash_in<T, G>(entries: &[Entry<T, G>]) -> impl Fn(&u32) -> u64 {
    move |place| {
        let entry = entries.get(*place as usize);
        entry.map_or(0, |entry| spread(entry.hash))
    }
}

/// Half a hash over all the bits that a table looks at.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Counts {
    fn of(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::Up => &mut self.up,
            Standing::Ejected => &mut self.ejected,
            Standing::Unhealthy => &mut self.unhealthy,
            Standing::Draining => &mut self.draining,
            Standing::LeftOut => &mut self.left_out,
        }
    }
}
