use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
};

use rs_core::hash;

use super::{
    Candidates, Chooser, Choosing, Field, alias::Alias, hashing::Keys, own::Own, smooth::Smooth,
};
use crate::{config::Strategy, dice::scaled};

/// A strategy for a set of endpoints.
pub(crate) enum Table {
    Turns(Cursor),
    Random,
    Exact,
    TwoChoices,
    Weighted(Alias),
    Smooth(Smooth, Cursor),
    /// With the decay of averages in milliseconds.
    Latency(f32),
    Keys(Keys, Option<f64>),
    Own(Box<dyn Chooser>),
}

/// Whose turn it is; on cache lines of its own, for everybody writes it.
#[derive(Debug)]
pub(crate) struct Cursor(Box<Padded>);

#[repr(align(128))]
#[derive(Debug)]
struct Padded(AtomicU64);

impl Cursor {
    pub(crate) fn new(turn: u64) -> Self {
        Self(Box::new(Padded(AtomicU64::new(turn))))
    }

    #[inline]
    fn next(&self) -> u64 {
        self.0.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn turn(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// How often something else is wanted before chance decides.
const REDRAWS: u32 = 8;

impl Table {
    /// A table of this strategy for these weights, in which slow start is included; `ids` are hashes.
    ///
    /// `slow` is whether somebody starts slowly; those who take turns do so by weights then.
    pub(crate) fn new(
        strategy: &Strategy,
        field: &dyn Field,
        weights: &[f32],
        ids: impl FnOnce() -> Vec<u64>,
        slow: bool,
        turn: u64,
    ) -> Self {
        match strategy {
            Strategy::RoundRobin if slow => Self::Smooth(Smooth::new(weights), Cursor::new(turn)),
            Strategy::RoundRobin => Self::Turns(Cursor::new(turn)),
            Strategy::Random => Self::Random,
            Strategy::LeastConnections if weights.len() <= Strategy::EXACT_UP_TO => Self::Exact,
            Strategy::LeastConnectionsExact => Self::Exact,
            Strategy::LeastConnections | Strategy::TwoChoices => Self::TwoChoices,
            Strategy::WeightedRandom | Strategy::PriorityFailover => {
                Self::Weighted(Alias::new(weights))
            }
            Strategy::SmoothWeightedRoundRobin => {
                Self::Smooth(Smooth::new(weights), Cursor::new(turn))
            }
            Strategy::LatencyBased(latency) => {
                Self::Latency((latency.decay().as_millis() as f32).max(1.0))
            }
            Strategy::ConsistentHash(hashing) => {
                let keys = Keys::new(hashing.table(), &ids(), weights);
                Self::Keys(keys, hashing.bounded_load())
            }
            Strategy::Own(own) => Self::own(own, field),
        }
    }

    fn own(own: &Own, field: &dyn Field) -> Self {
        let candidates = Candidates::of(field);
        match catch_unwind(AssertUnwindSafe(|| own.arrange(&candidates))) {
            Ok(chooser) => Self::Own(chooser),
            Err(_) => Self::Random,
        }
    }

    /// Whether the turn can be handed on to the next table.
    pub(crate) const fn cursor(&self) -> Option<&Cursor> {
        match self {
            Self::Turns(cursor) | Self::Smooth(_, cursor) => Some(cursor),
            _ => None,
        }
    }

    /// The place of an endpoint; the field has one at least. `now` is in milliseconds.
    #[inline(always)]
    pub(crate) fn choose(&self, field: &impl Field, choosing: &Choosing<'_>, now: u32) -> usize {
        let count = field.len();
        match self {
            Self::Turns(cursor) => wanted(field, choosing, || {
                // Places are fewer than 2^32, and dividing 32 bits is quick.
                (cursor.next() as u32 % (count as u32).max(1)) as usize
            }),
            Self::Random => random(field, choosing),
            Self::Exact => exact(field, choosing),
            Self::TwoChoices => better_of_two(field, choosing, |one, other| {
                load(field, one) <= load(field, other)
            }),
            Self::Weighted(alias) => wanted(field, choosing, || alias.draw(choosing.dice.roll())),
            Self::Smooth(smooth, cursor) => wanted(field, choosing, || smooth.at(cursor.next())),
            Self::Latency(decay) => better_of_two(field, choosing, |one, other| {
                is_faster(field, one, other, now, *decay)
            }),
            Self::Keys(keys, bound) => by_key(keys, *bound, field, choosing),
            Self::Own(chooser) => by_own(&**chooser, field, choosing),
        }
    }
}

/// What is drawn, unless it does not take part: then what is drawn next.
#[inline(always)]
fn wanted(field: &impl Field, choosing: &Choosing<'_>, mut draw: impl FnMut() -> usize) -> usize {
    let place = draw();
    if field.takes_part(place, choosing) {
        place
    } else {
        drawn_again(field, choosing, draw)
    }
}

#[cold]
fn drawn_again(
    field: &impl Field,
    choosing: &Choosing<'_>,
    mut draw: impl FnMut() -> usize,
) -> usize {
    let mut place = draw();
    let mut redraws = 1;
    while !field.takes_part(place, choosing) && redraws < REDRAWS {
        place = draw();
        redraws += 1;
    }
    place
}

#[inline]
fn random(field: &impl Field, choosing: &Choosing<'_>) -> usize {
    wanted(field, choosing, || choosing.dice.below(field.len()))
}

/// Calls in flight for the weight, the one to come included.
#[inline]
fn load(field: &impl Field, place: usize) -> f32 {
    let calls = (field.in_flight(place) + 1) as f32;
    if field.is_weighed() {
        calls / field.weight(place)
    } else {
        calls
    }
}

/// Of two different ones the better; of one that one.
#[inline]
fn better_of_two(
    field: &impl Field,
    choosing: &Choosing<'_>,
    is_better: impl Fn(usize, usize) -> bool,
) -> usize {
    let count = field.len();
    if count < 2 {
        return 0;
    }
    let mut redraws = 0;
    loop {
        // One number is enough for both: what is left of it after the first is as random.
        let (one, rest) = scaled(choosing.dice.roll(), count);
        let (other, _) = scaled(rest, count - 1);
        let other = other + usize::from(other >= one);
        let (one_may, other_may) = (
            field.takes_part(one, choosing),
            field.takes_part(other, choosing),
        );
        match (one_may, other_may) {
            (true, true) if is_better(one, other) => return one,
            (true, true) | (false, true) => return other,
            (true, false) => return one,
            (false, false) if redraws < REDRAWS => redraws += 1,
            (false, false) => return one,
        }
    }
}

/// The least loaded of all; among several any.
#[inline]
fn exact(field: &impl Field, choosing: &Choosing<'_>) -> usize {
    let (least, ties) = least(field, choosing, 0, field.len().min(BLOCK));
    if field.len() <= BLOCK && ties != 0 {
        return any_of(ties, choosing);
    }
    exact_of_many(field, choosing, least, ties)
}

/// So many are compared at once: who is equal is a bit.
const BLOCK: usize = 64;

/// The least load among those from one place up to another, and, counted from there, who has it.
#[inline(always)]
fn least(field: &impl Field, choosing: &Choosing<'_>, from: usize, to: usize) -> (f32, u64) {
    if field.is_even() {
        return least_of_even(field, from, to);
    }
    let (mut least, mut ties) = (f32::INFINITY, 0_u64);
    for place in from..to {
        if !field.takes_part(place, choosing) {
            continue;
        }
        let (load, bit) = (load(field, place), 1 << (place - from));
        if load < least {
            (least, ties) = (load, bit);
        } else if load == least {
            ties |= bit;
        }
    }
    (least, ties)
}

/// The same where all take part and weigh the same: in whole numbers and without branches.
#[inline(always)]
fn least_of_even(field: &impl Field, from: usize, to: usize) -> (f32, u64) {
    let (mut least, mut ties) = (u32::MAX, 0_u64);
    for place in from..to {
        let (calls, bit) = (field.in_flight(place), 1 << (place - from));
        let others = if calls < least { 0 } else { ties };
        ties = if calls <= least { others | bit } else { others };
        least = least.min(calls);
    }
    ((least.saturating_add(1)) as f32, ties)
}

/// Any of the places whose bits are set; the lowest is 0.
#[inline]
fn any_of(mut bits: u64, choosing: &Choosing<'_>) -> usize {
    // As a rule one is the least, or nobody has anything to do.
    if bits.wrapping_add(1).is_power_of_two() {
        return choosing.dice.below(bits.count_ones() as usize);
    }
    if !bits.is_power_of_two() {
        for _ in 0..choosing.dice.below(bits.count_ones() as usize) {
            bits &= bits - 1;
        }
    }
    bits.trailing_zeros() as usize
}

/// Goes on where the first block ended.
#[inline(never)]
fn exact_of_many(field: &impl Field, choosing: &Choosing<'_>, first: f32, ties: u64) -> usize {
    let (mut best, mut among) = (first, u64::from(ties.count_ones()));
    let mut chosen = (among > 0).then(|| any_of(ties, choosing));
    for from in (BLOCK..field.len()).step_by(BLOCK) {
        let (load, ties) = least(field, choosing, from, field.len().min(from + BLOCK));
        let count = u64::from(ties.count_ones());
        if count == 0 || chosen.is_some() && load > best {
            continue;
        }
        if load < best {
            among = 0;
        }
        (best, among) = (load, among + count);
        // Each of those that are equal so far with the same chance.
        if scaled(choosing.dice.roll(), among as usize).0 < count as usize {
            chosen = Some(from + any_of(ties, choosing));
        }
    }
    chosen.unwrap_or_else(|| exact_of_all(field, choosing))
}

/// Nobody takes part: the least loaded of all, then.
#[cold]
fn exact_of_all(field: &impl Field, choosing: &Choosing<'_>) -> usize {
    let start = choosing.dice.below(field.len());
    let places = (start..field.len()).chain(0..start);
    let by_load = |one: &usize, other: &usize| load(field, *one).total_cmp(&load(field, *other));
    places.min_by(by_load).unwrap_or(0)
}

/// Whether a call is likely done sooner by this one. One that nobody knows, or has not heard of for long, is
/// taken to be as fast as the other: it gets its first call as soon as anybody.
#[inline]
fn is_faster(field: &impl Field, one: usize, other: usize, now: u32, decay: f32) -> bool {
    let (one_known, other_known) = (field.latency(one), field.latency(other));
    let (one_load, other_load) = (load(field, one), load(field, other));
    if one_known.is_telling(now, decay) && other_known.is_telling(now, decay) {
        one_known.at(now, decay) * one_load <= other_known.at(now, decay) * other_load
    } else {
        one_load <= other_load
    }
}

fn by_key(keys: &Keys, bound: Option<f64>, field: &impl Field, choosing: &Choosing<'_>) -> usize {
    let key = match choosing.call.key() {
        Some(key) => key.get(),
        None => choosing.dice.roll(),
    };
    let first = keys.of(key);
    let is_full = |place: usize| match bound {
        None => false,
        Some(times) => is_over(field, place, times),
    };
    if choosing.again == 0 && field.takes_part(first, choosing) && !is_full(first) {
        return first;
    }
    elsewhere(keys, key, is_full, field, choosing)
}

#[cold]
fn elsewhere(
    keys: &Keys,
    key: u64,
    is_full: impl Fn(usize) -> bool,
    field: &impl Field,
    choosing: &Choosing<'_>,
) -> usize {
    // Where the key would go next, and next; not the neighbour, which would get all that is too much.
    for step in 1..=u64::from(REDRAWS) {
        let step = step + u64::from(choosing.again) * 31;
        let step = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = keys.of(hash::spread(key.wrapping_add(step)));
        if field.takes_part(place, choosing) && !is_full(place) {
            return place;
        }
    }
    // Much of the load is on few keys: what is too much goes wherever there is room.
    let less = |one, other| load(field, one) <= load(field, other);
    let mut place = better_of_two(field, choosing, less);
    for _ in 0..REDRAWS {
        if !is_full(place) {
            break;
        }
        place = better_of_two(field, choosing, less);
    }
    place
}

/// Whether one more call would be more than so many times its share of all.
fn is_over(field: &impl Field, place: usize, times: f64) -> bool {
    let here = field.in_flight(place);
    // One call is never too much.
    if here == 0 {
        return false;
    }
    let share = field.share(place);
    let most = (times * (field.all_in_flight() + 1) as f64 * share).ceil();
    f64::from(here) >= most
}

#[inline(never)]
fn by_own(chooser: &dyn Chooser, field: &impl Field, choosing: &Choosing<'_>) -> usize {
    let candidates = Candidates::of(field);
    let chosen = catch_unwind(AssertUnwindSafe(|| chooser.choose(&candidates, choosing)));
    match chosen {
        Ok(Some(place)) if place < field.len() => place,
        _ => random(field, choosing),
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Turns(_) => "Turns",
            Self::Random => "Random",
            Self::Exact => "Exact",
            Self::TwoChoices => "TwoChoices",
            Self::Weighted(_) => "Weighted",
            Self::Smooth(..) => "Smooth",
            Self::Latency(_) => "Latency",
            Self::Keys(..) => "Keys",
            Self::Own(_) => "Own",
        })
    }
}
