//! Randomness that costs a nanosecond: good enough to spread load, not to keep secrets.

use std::cell::Cell;

/// Wyrand, as `fastrand` has it, over a state that lives where it is cheapest.
#[derive(Debug)]
pub(crate) struct Dice<'a>(pub(crate) &'a Cell<u64>);

impl Dice<'_> {
    /// Any number.
    #[inline]
    pub(crate) fn roll(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x2d35_8dcc_aa6c_78a5);
        self.0.set(state);
        let wide = u128::from(state) * u128::from(state ^ 0x8bb8_4b93_962e_acc9);
        (wide as u64) ^ (wide >> 64) as u64
    }

    /// A number below this one.
    #[inline]
    pub(crate) fn below(&self, limit: usize) -> usize {
        scaled(self.roll(), limit).0
    }
}

/// The place that a number points at if all numbers are cut into so many parts, and where in the part.
#[inline]
pub(crate) fn scaled(number: u64, parts: usize) -> (usize, u64) {
    let wide = u128::from(number) * parts as u128;
    ((wide >> 64) as usize, wide as u64)
}
