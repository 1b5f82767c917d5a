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
    (field.in_flight(place) + 1) as f32 / field.weight(place)
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
#[inline(never)]
fn exact(field: &impl Field, choosing: &Choosing<'_>) -> usize {
    let tie = choosing.dice.roll();
    let least = |all: bool| {
        (0..field.len())
            .filter(|place| all || field.takes_part(*place, choosing))
            .map(|place| {
                // A different order each time, for who is equal.
                let order = hash::spread(tie ^ place as u64);
                (load(field, place), order, place)
            })
            .min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)))
            .map(|(.., place)| place)
    };
    least(false).or_else(|| least(true)).unwrap_or(0)
}

/// Whether a call is likely done sooner by this one. One that nobody knows is taken to be as fast as the
/// other: it gets its first call as soon as anybody.
#[inline]
fn is_faster(field: &impl Field, one: usize, other: usize, now: u32, decay: f32) -> bool {
    let (one_known, other_known) = (field.latency(one), field.latency(other));
    let (one_load, other_load) = (load(field, one), load(field, other));
    if one_known.is_known() && other_known.is_known() {
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
