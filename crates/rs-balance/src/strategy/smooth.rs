//! One after the other, each as often as its weight says, evenly spaced.

use crate::dice::scaled;

/// The order in which endpoints have their turns.
#[derive(Debug)]
pub(crate) enum Smooth {
    /// Written out, as nginx has it: for weights in a ratio of small numbers.
    Cycle(Box<[u32]>),
    /// For any weights: turn `n` falls on the point `n · φ` of a circle on which each endpoint has an arc as
    /// long as its weight. The golden ratio spaces the turns of each arc evenly, with at most three
    /// different gaps.
    Circle(Circle),
}

impl Smooth {
    /// More work than this is not spent on writing a cycle out.
    const MOST_STEPS: usize = 200_000;

    pub(crate) fn new(weights: &[f32]) -> Self {
        match in_whole_numbers(weights) {
            Some(whole) if cost(&whole) <= Self::MOST_STEPS => Self::Cycle(cycle(&whole)),
            _ => Self::Circle(Circle::new(weights)),
        }
    }

    /// Whose turn it is.
    #[inline]
    pub(crate) fn at(&self, turn: u64) -> usize {
        match self {
            Self::Cycle(order) if order.is_empty() => 0,
            Self::Cycle(order) => order[(turn % order.len() as u64) as usize] as usize,
            Self::Circle(circle) => circle.at(turn),
        }
    }
}

fn cost(whole: &[u32]) -> usize {
    let turns: usize = whole.iter().map(|turns| *turns as usize).sum();
    turns.saturating_mul(whole.len())
}

/// The weights as whole numbers of the same ratio, if they have one of small numbers.
fn in_whole_numbers(weights: &[f32]) -> Option<Vec<u32>> {
    let least = weights.iter().copied().filter(|weight| *weight > 0.0);
    let least = least.fold(f32::INFINITY, f32::min);
    if !least.is_finite() {
        return None;
    }
    (1..=12_u32).find_map(|times| {
        let whole = weights.iter().map(|weight| {
            let scaled = weight / least * times as f32;
            let near = scaled.round();
            let is_whole = (scaled - near).abs() <= 1e-4 * scaled.max(1.0) && near < 100_000.0;
            is_whole.then_some(near as u32)
        });
        whole.collect::<Option<Vec<u32>>>()
    })
}

/// Nginx's order: each gets its weight, the richest has the turn and pays for all.
fn cycle(whole: &[u32]) -> Box<[u32]> {
    let sum: i64 = whole.iter().map(|turns| i64::from(*turns)).sum();
    let mut credit: Vec<i64> = vec![0; whole.len()];
    (0..sum)
        .map(|_| {
            let mut richest = 0;
            for (place, turns) in whole.iter().enumerate() {
                credit[place] += i64::from(*turns);
                if credit[place] > credit[richest] {
                    richest = place;
                }
            }
            credit[richest] -= sum;
            richest as u32
        })
        .collect()
}

/// Arcs on a circle of 2^64 points, and where to begin to look for the arc of a point.
#[derive(Debug)]
pub(crate) struct Circle {
    /// Where each arc ends.
    ends: Box<[u64]>,
    /// For each of as many equal sectors as there are arcs, the arc at its beginning.
    guide: Box<[u32]>,
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Circle {
    fn new(weights: &[f32]) -> Self {
        let sum: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
        let count = weights.len();
        let mut reached = 0.0;
        let mut ends: Vec<u64> = weights
            .iter()
            .enumerate()
            .map(|(place, weight)| {
                reached += f64::from(*weight);
                let part = if sum > 0.0 {
                    reached / sum
                } else {
                    (place + 1) as f64 / count as f64
                };
                (part * 18_446_744_073_709_551_616.0) as u64
            })
            .collect();
        if let Some(last) = ends.last_mut() {
            *last = u64::MAX;
        }
        let mut arc = 0;
        let guide = (0..count)
            .map(|sector| {
                let begin = ((sector as u128) << 64).div_ceil(count as u128) as u64;
                while ends.get(arc).is_some_and(|end| *end <= begin) {
                    arc += 1;
                }
                arc as u32
            })
            .collect();
        Self {
            ends: ends.into(),
            guide,
        }
    }

    #[inline]
    fn at(&self, turn: u64) -> usize {
        let point = turn.wrapping_mul(GOLDEN);
        let (sector, _) = scaled(point, self.guide.len());
        let mut arc = self.guide.get(sector).map_or(0, |arc| *arc as usize);
        while self.ends.get(arc).is_some_and(|end| *end <= point) {
            arc += 1;
        }
        arc.min(self.ends.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[f32], count: u64) -> Vec<usize> {
        let smooth = Smooth::new(weights);
        (0..count).map(|turn| smooth.at(turn)).collect()
    }

    #[test]
    fn small_ratios_are_served_as_nginx_does() {
        assert_eq!(turns(&[5.0, 1.0, 1.0], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(turns(&[0.5, 0.25, 0.25], 4), [0, 1, 2, 0]);
        assert_eq!(turns(&[1.0, 1.0, 1.0], 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(turns(&[1.5, 1.0], 5), [0, 1, 0, 1, 0]);
        assert_eq!(turns(&[1.0, 0.0], 3), [0, 0, 0]);
    }

    #[test]
    fn any_weights_are_served_evenly() {
        let weights = [1.0, std::f32::consts::E, std::f32::consts::PI, 0.1];
        let smooth = Smooth::new(&weights);
        assert!(matches!(smooth, Smooth::Circle(_)));
        let sum: f32 = weights.iter().sum();
        let count = 10_000;
        let turns: Vec<usize> = (0..count).map(|turn| smooth.at(turn)).collect();
        for (place, weight) in weights.iter().enumerate() {
            let at: Vec<usize> = (0..turns.len())
                .filter(|turn| turns[*turn] == place)
                .collect();
            let expected = weight / sum * count as f32;
            assert!(
                (at.len() as f32 - expected).abs() <= 4.0,
                "{place}: {} of {expected}",
                at.len()
            );
            let mut gaps: Vec<usize> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps.sort_unstable();
            gaps.dedup();
            assert!(gaps.len() <= 3, "{place} has gaps {gaps:?}");
        }
    }
}
