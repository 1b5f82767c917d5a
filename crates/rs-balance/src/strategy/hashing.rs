//! The same endpoint for the same key, found in constant time.

use rs_core::hash;

use crate::{config::HashTable, dice::scaled};

/// From keys to endpoints: a table with as many places for each as it is to have keys.
#[derive(Debug)]
pub(crate) enum Keys {
    Narrow(Box<[u16]>),
    /// For more than 2^16 endpoints.
    Wide(Box<[u32]>),
}

impl Keys {
    /// For endpoints of these ids and weights.
    pub(crate) fn new(table: HashTable, ids: &[u64], weights: &[f32]) -> Self {
        let table = match table {
            HashTable::Maglev => maglev(ids, weights),
            HashTable::Ring => ring(ids, weights),
        };
        if ids.len() <= usize::from(u16::MAX) {
            Self::Narrow(table.iter().map(|endpoint| *endpoint as u16).collect())
        } else {
            Self::Wide(table)
        }
    }

    #[inline]
    pub(crate) fn of(&self, key: u64) -> usize {
        // Keys come as people hash them; the bits are spread once more.
        let point = hash::spread(key);
        match self {
            Self::Narrow(table) => {
                let (place, _) = scaled(point, table.len());
                table.get(place).map_or(0, |place| usize::from(*place))
            }
            Self::Wide(table) => {
                let (place, _) = scaled(point, table.len());
                table.get(place).map_or(0, |place| *place as usize)
            }
        }
    }
}

/// Sizes of tables, prime numbers, and for how many endpoints each is large enough: they have 13 places each
/// at least then, so that their shares differ by less than 8 %. A table of another size gives other
/// endpoints to nearly all keys, so there are few sizes, far apart; and in a larger one fewer keys move
/// that need not.
const SIZES: [(usize, usize); 4] = [
    (20_000, 262_139),
    (80_000, 1_048_573),
    (320_000, 4_194_301),
    (usize::MAX, 16_777_213),
];

fn places(endpoints: usize) -> usize {
    let size = SIZES.iter().find(|(most, _)| endpoints <= *most);
    size.map_or(262_139, |(_, places)| *places)
}

/// A table that the endpoints fill in turns, each by its own order of the places (Maglev). An endpoint of
/// less weight than the heaviest leaves out turns.
fn maglev(ids: &[u64], weights: &[f32]) -> Box<[u32]> {
    const FREE: u32 = u32::MAX;
    if ids.is_empty() {
        return Box::default();
    }
    let size = places(ids.len());
    // The order of the turns is that of the ids, not of how the endpoints happen to be listed.
    let mut turns: Vec<u32> = (0..ids.len() as u32).collect();
    turns.sort_unstable_by_key(|place| ids[*place as usize]);
    let heaviest = weights.iter().copied().fold(0.0, f32::max);
    let mut walks: Vec<Walk> = turns
        .iter()
        .map(|place| {
            let (id, weight) = (ids[*place as usize], weights[*place as usize]);
            let part = if heaviest > 0.0 {
                weight / heaviest
            } else {
                1.0
            };
            Walk {
                at: (hash::spread(id ^ 0x6d61_676c) % size as u64) as u32,
                step: (hash::spread(id ^ 0x6576_0000) % (size as u64 - 1)) as u32 + 1,
                part,
                due: 0.0,
                endpoint: *place,
            }
        })
        .collect();
    let equal = walks.iter().all(|walk| walk.part >= 1.0);
    let mut table = vec![FREE; size];
    let mut filled = 0;
    'turns: loop {
        for walk in &mut walks {
            if !equal {
                walk.due += walk.part;
                if walk.due < 1.0 {
                    continue;
                }
                walk.due -= 1.0;
            }
            loop {
                let place = walk.at as usize;
                walk.at += walk.step;
                if walk.at >= size as u32 {
                    walk.at -= size as u32;
                }
                if table[place] == FREE {
                    table[place] = walk.endpoint;
                    break;
                }
            }
            filled += 1;
            if filled == size {
                break 'turns;
            }
        }
    }
    table.into()
}

/// An endpoint's order of the places: from one on in steps.
struct Walk {
    at: u32,
    step: u32,
    part: f32,
    due: f32,
    endpoint: u32,
}

/// How finely a ring is cut, as a power of two, how many points each endpoint of mean weight has, and for how
/// many endpoints that is meant. Few steps, far apart: at each of them many keys move.
const RINGS: [(usize, u32, u64); 4] = [
    (4_000, 18, 160),
    (20_000, 19, 64),
    (80_000, 21, 64),
    (usize::MAX, 23, 64),
];

/// Each endpoint's points on a circle, cut into arcs: an arc is that of the first point at or after its
/// beginning. Where the arcs begin does not depend on the endpoints, so only those of an endpoint that goes
/// become another's, as on a ring that is searched; and a look-up is one.
fn ring(ids: &[u64], weights: &[f32]) -> Box<[u32]> {
    const NOBODY: u64 = u64::MAX;
    if ids.is_empty() {
        return Box::default();
    }
    let size = RINGS.iter().find(|(most, ..)| ids.len() <= *most);
    let (bits, each) = size.map_or((18, 160), |(_, bits, each)| (*bits, *each));
    let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
    let mean = sum / ids.len() as f64;
    // Rounded, so that the others keep their points when the mean changes a little.
    let unit = if mean > 0.0 {
        mean.log2().floor().exp2()
    } else {
        1.0
    };
    // Of each arc the first point in it, and whose it is.
    let mut firsts = vec![NOBODY; 1 << bits];
    for (endpoint, (id, weight)) in ids.iter().zip(weights).enumerate() {
        let part = if mean > 0.0 {
            f64::from(*weight) / unit
        } else {
            1.0
        };
        let count = ((each as f64 * part).round() as u64).max(1);
        for number in 0..count {
            let point = hash::spread(id.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            let Some(first) = firsts.get_mut((point >> (64 - bits)) as usize) else {
                continue;
            };
            let new = (point << bits >> 32) << 32 | endpoint as u64;
            let is_earlier = match (new >> 32).cmp(&(*first >> 32)) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Greater => false,
                // The ids decide, not how the endpoints happen to be listed.
                std::cmp::Ordering::Equal => {
                    let known = ids.get(*first as u32 as usize);
                    known.is_none_or(|known| id < known)
                }
            };
            if is_earlier {
                *first = new;
            }
        }
    }
    // From the end to the beginning, and what is behind the last point is that of the first.
    let first = firsts.iter().find(|first| **first != NOBODY);
    let mut next = first.map_or(0, |first| *first as u32);
    let mut table: Box<[u32]> = firsts.iter().map(|first| *first as u32).collect();
    for (place, first) in table.iter_mut().zip(&firsts).rev() {
        if *first != NOBODY {
            next = *first as u32;
        }
        *place = next;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Vec<u64> {
        (0..count)
            .map(|id| hash::stable(format!("10.0.{}.{}:80", id / 250, id % 250).as_bytes()))
            .collect()
    }

    /// How many keys moved when the last endpoint went, as a multiple of those that had to.
    fn moved(table: HashTable, endpoints: usize) -> f64 {
        let all = ids(endpoints);
        let before = Keys::new(table, &all, &vec![1.0; endpoints]);
        let after = Keys::new(table, &all[..endpoints - 1], &vec![1.0; endpoints - 1]);
        let keys = 200_000_u64;
        let (mut had_to, mut did) = (0, 0);
        for key in 0..keys {
            let (old, new) = (before.of(key), after.of(key));
            had_to += u32::from(old == endpoints - 1);
            did += u32::from(old != new);
        }
        f64::from(did) / f64::from(had_to)
    }

    #[test]
    fn few_keys_move_that_need_not() {
        for (endpoints, limit) in [(5, 1.3), (10, 1.3), (100, 1.3), (1000, 8.0), (10_000, 40.0)] {
            let (maglev, ring) = (
                moved(HashTable::Maglev, endpoints),
                moved(HashTable::Ring, endpoints),
            );
            println!(
                "{endpoints} endpoints, one goes: maglev {maglev:.3}, ring {ring:.3} times the least"
            );
            assert!(
                maglev <= limit,
                "maglev moves {maglev} times the least of {endpoints}"
            );
            assert!(
                (ring - 1.0).abs() < 1e-9,
                "a ring moves only what has to: {ring}"
            );
        }
    }

    #[test]
    fn the_order_of_the_endpoints_does_not_matter() {
        let forth = ids(20);
        let back: Vec<u64> = forth.iter().rev().copied().collect();
        for table in [HashTable::Maglev, HashTable::Ring] {
            let one = Keys::new(table, &forth, &[1.0; 20]);
            let other = Keys::new(table, &back, &[1.0; 20]);
            assert!(
                (0..10_000).all(|key| one.of(key) == 19 - other.of(key)),
                "{table:?}"
            );
        }
    }

    #[test]
    fn weights_count() {
        let weights = [4.0, 2.0, 1.0, 1.0];
        for (table, tolerance) in [(HashTable::Maglev, 0.02), (HashTable::Ring, 0.3)] {
            let keys = Keys::new(table, &ids(4), &weights);
            let mut counts = [0.0; 4];
            (0..100_000).for_each(|key| counts[keys.of(key)] += 1.0);
            for (count, weight) in counts.iter().zip(weights) {
                let fair = 100_000.0 * f64::from(weight) / 8.0;
                assert!(
                    (count / fair - 1.0_f64).abs() < tolerance,
                    "{table:?}: {counts:?}"
                );
            }
        }
    }
}
