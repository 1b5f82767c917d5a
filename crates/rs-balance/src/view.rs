//! What is in force: the endpoints that may be chosen, side by side, and the tables that choose.

use std::sync::Arc as Std;

use rs_core::{Call, Rejection, hash};

use crate::{
    NoEndpoint,
    common::{Common, NEVER, Nanos},
    dice::Dice,
    ewma::Ewma,
    node::{Node, Vitals},
    strategy::{Choosing, Field, Table},
    sync::{Arc, Weak},
    tried::Avoid,
};

/// A whole that never changes; the next one takes its place.
pub(crate) struct View<T, G> {
    pub(crate) generation: u64,
    pub(crate) groups: Box<[Group<T, G>]>,
    /// Time alone will change something then.
    pub(crate) due: Nanos,
    /// The endpoints are to be compared with each other then.
    pub(crate) sweep_at: Nanos,
    /// A pick looks at the clock if none of these bits of its number is set: each, one in 64, or hardly any.
    pub(crate) glance: u32,
    /// Calls are timed.
    pub(crate) timed: bool,
    /// All calls in flight are counted.
    pub(crate) counted: bool,
    pub(crate) tries: u8,
    pub(crate) panicking: bool,
    /// Why there is nobody, if there is nobody.
    pub(crate) nobody: NoEndpoint,
}

/// Endpoints that are chosen among for a part of the calls: those of a priority, of the own zone or of the
/// others.
pub(crate) struct Group<T, G> {
    /// Calls go here whose number is not above this, and above that of the group before.
    pub(crate) until: u64,
    pub(crate) priority: u16,
    pub(crate) part: Part,
    pub(crate) nodes: Box<[Weak<Node<T, G>>]>,
    /// Of each endpoint its number, rising.
    pub(crate) numbers: Box<[u32]>,
    pub(crate) more: More,
    pub(crate) table: Table,
}

/// What only some strategies ask for.
#[derive(Default)]
pub(crate) struct More {
    /// All 1 if there are none.
    pub(crate) weights: Option<Box<[f32]>>,
    pub(crate) weight_sum: f64,
    /// With what chance of 255 each takes part, as long as some start slowly.
    pub(crate) chances: Option<Box<[u8]>>,
    pub(crate) vitals: Option<Box<[Std<Vitals>]>>,
    pub(crate) keys: Option<Box<[u64]>>,
}

/// Which part of a priority a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Local,
    Remote,
}

/// Whoever wants to know what was looked at while an endpoint was chosen.
pub(crate) trait Watch {
    fn looks_at(&self, _number: u32) {}
    fn enters(&self, _priority: u16, _part: Part) {}
    fn refuses(&self, _number: u32, _refusal: &Rejection) {}
}

/// Nobody.
impl Watch for () {}

/// A pick, as a strategy sees it.
struct Asked<'a, T, G, W> {
    group: &'a Group<T, G>,
    avoid: &'a Avoid,
    common: &'a Common,
    watch: &'a W,
}

impl<T, G, W: Watch> Asked<'_, T, G, W> {
    #[inline(never)]
    fn may_take_part(&self, place: usize, choosing: &Choosing<'_>) -> bool {
        let number = self.group.numbers.get(place).copied().unwrap_or(0);
        !self.avoid.has(number) && self.group.more.takes_part(place, choosing)
    }

    #[inline(always)]
    fn looks_at(&self, place: usize) {
        if let Some(number) = self.group.numbers.get(place) {
            self.watch.looks_at(*number);
        }
    }
}

impl<T, G, W: Watch> Field for Asked<'_, T, G, W> {
    #[inline]
    fn len(&self) -> usize {
        self.group.nodes.len()
    }

    #[inline]
    fn in_flight(&self, place: usize) -> u32 {
        self.looks_at(place);
        // One reference is the balancer's own.
        let holders = self.group.nodes.get(place).map_or(0, Weak::strong_count);
        holders.saturating_sub(1) as u32
    }

    #[inline]
    fn weight(&self, place: usize) -> f32 {
        self.group.more.weight(place)
    }

    #[inline]
    fn is_weighed(&self) -> bool {
        self.group.more.weights.is_some()
    }

    #[inline]
    fn is_even(&self) -> bool {
        let more = &self.group.more;
        self.avoid.is_empty() && more.chances.is_none() && more.weights.is_none()
    }

    fn share(&self, place: usize) -> f64 {
        match &self.group.more.weights {
            Some(_) if self.group.more.weight_sum > 0.0 => {
                f64::from(self.weight(place)) / self.group.more.weight_sum
            }
            _ => 1.0 / self.len().max(1) as f64,
        }
    }

    #[inline]
    fn latency(&self, place: usize) -> Ewma {
        self.group.more.latency(place)
    }

    fn key(&self, place: usize) -> u64 {
        self.group.more.key(place)
    }

    #[inline(always)]
    fn takes_part(&self, place: usize, choosing: &Choosing<'_>) -> bool {
        self.avoid.is_empty() && self.group.more.chances.is_none()
            || self.may_take_part(place, choosing)
    }

    fn all_in_flight(&self) -> u64 {
        self.common.flying()
    }
}

impl More {
    #[inline]
    pub(crate) fn weight(&self, place: usize) -> f32 {
        let weights = self.weights.as_ref();
        weights.map_or(1.0, |weights| weights.get(place).copied().unwrap_or(1.0))
    }

    #[inline]
    pub(crate) fn latency(&self, place: usize) -> Ewma {
        let vitals = self.vitals.as_ref().and_then(|vitals| vitals.get(place));
        vitals.map_or(Ewma::UNKNOWN, |vitals| vitals.latency())
    }

    pub(crate) fn key(&self, place: usize) -> u64 {
        let keys = self.keys.as_ref().and_then(|keys| keys.get(place));
        keys.copied().unwrap_or(place as u64)
    }

    fn takes_part(&self, place: usize, choosing: &Choosing<'_>) -> bool {
        let chances = self.chances.as_ref();
        match chances.and_then(|chances| chances.get(place)).copied() {
            None | Some(u8::MAX) => true,
            Some(chance) => {
                // The same key goes to a newcomer always or not yet.
                let shown = match (&self.keys, choosing.call.key()) {
                    (Some(_), Some(key)) => hash::spread(key.get() ^ self.key(place)),
                    _ => choosing.dice.roll(),
                };
                ((shown >> 56) as u8) < chance
            }
        }
    }
}

impl<T, G> View<T, G> {
    pub(crate) fn empty() -> Self {
        Self {
            generation: 0,
            groups: Box::default(),
            due: NEVER,
            sweep_at: NEVER,
            glance: u32::MAX,
            timed: false,
            counted: false,
            tries: 1,
            panicking: false,
            nobody: NoEndpoint::Empty,
        }
    }

    /// The group for a call.
    #[inline(always)]
    fn group(&self, dice: &Dice<'_>) -> Option<&Group<T, G>> {
        match &*self.groups {
            [only] => Some(only),
            several => {
                let number = dice.roll();
                let fits = |group: &&Group<T, G>| number <= group.until;
                several.iter().find(fits).or(several.last())
            }
        }
    }

    /// Whether time has changed something by now.
    #[inline]
    pub(crate) const fn is_due(&self, now: Nanos) -> bool {
        now != NEVER && (now >= self.due || now >= self.sweep_at)
    }

    /// An endpoint for a call, if the first choice is there; nobody is to be avoided.
    #[inline(always)]
    pub(crate) fn choose_at_once(
        &self,
        common: &Common,
        call: &Call,
        dice: &Dice<'_>,
        now: u32,
    ) -> Option<Arc<Node<T, G>>> {
        let choosing = Choosing {
            call,
            dice,
            again: 0,
        };
        let nobody = &Avoid::NOBODY;
        self.group(dice)?
            .choose(common, nobody, &choosing, now, &())
    }

    /// An endpoint for a call, none of those that are to be avoided. `now` is in milliseconds.
    pub(crate) fn choose<W: Watch>(
        &self,
        common: &Common,
        call: &Call,
        avoid: &Avoid,
        dice: &Dice<'_>,
        now: u32,
        watch: &W,
    ) -> Result<Arc<Node<T, G>>, NoEndpoint> {
        let Some(group) = self.group(dice) else {
            return Err(self.nobody);
        };
        let choosing = Choosing {
            call,
            dice,
            again: 0,
        };
        match group.choose(common, avoid, &choosing, now, watch) {
            Some(node) => Ok(node),
            None => self.choose_again(common, avoid, choosing, now, watch),
        }
    }

    /// What was chosen is gone, or is to be avoided: tries again, and then takes whoever is left.
    #[cold]
    fn choose_again<W: Watch>(
        &self,
        common: &Common,
        avoid: &Avoid,
        choosing: Choosing<'_>,
        now: u32,
        watch: &W,
    ) -> Result<Arc<Node<T, G>>, NoEndpoint> {
        for again in 1..=4 {
            let choosing = Choosing { again, ..choosing };
            let group = self.group(choosing.dice);
            let chosen = group.and_then(|group| group.choose(common, avoid, &choosing, now, watch));
            if let Some(node) = chosen {
                return Ok(node);
            }
        }
        let left = self
            .groups
            .iter()
            .find_map(|group| group.whoever_is_left(avoid, choosing.dice, watch));
        left.ok_or(NoEndpoint::Excluded)
    }

    /// Every endpoint that may be chosen, in each group from anywhere on.
    pub(crate) fn all(&self, start: usize) -> impl Iterator<Item = Arc<Node<T, G>>> {
        self.groups.iter().flat_map(move |group| {
            let start = start % group.nodes.len().max(1);
            let (before, after) = group.nodes.split_at(start);
            after.iter().chain(before).filter_map(Weak::upgrade)
        })
    }
}

impl<T, G> Group<T, G> {
    #[inline(always)]
    fn choose<W: Watch>(
        &self,
        common: &Common,
        avoid: &Avoid,
        choosing: &Choosing<'_>,
        now: u32,
        watch: &W,
    ) -> Option<Arc<Node<T, G>>> {
        watch.enters(self.priority, self.part);
        let asked = Asked {
            group: self,
            avoid,
            common,
            watch,
        };
        let place = self.table.choose(&asked, choosing, now);
        let node = self.nodes.get(place)?.upgrade()?;
        if avoid.has(node.number) {
            return None;
        }
        watch.looks_at(node.number);
        Some(node)
    }

    fn whoever_is_left<W: Watch>(
        &self,
        avoid: &Avoid,
        dice: &Dice<'_>,
        watch: &W,
    ) -> Option<Arc<Node<T, G>>> {
        let count = self.nodes.len();
        let start = dice.below(count.max(1));
        let (before, after) = self.numbers.split_at_checked(start)?;
        let places = (start..).zip(after).chain((0..).zip(before));
        let mut left = places.filter(|(_, number)| !avoid.has(**number));
        left.find_map(|(place, number)| {
            let node = self.nodes.get(place)?.upgrade()?;
            watch.enters(self.priority, self.part);
            watch.looks_at(*number);
            Some(node)
        })
    }
}
