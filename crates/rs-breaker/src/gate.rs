use rs_core::Label;

use crate::{
    BreakerState,
    error::{REFUSALS, Refusal, Why},
};

/// All that a call has to know at the door, in one word that is read in one load.
///
/// `generation | why it refuses | flags | state`, from the highest bit to the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gate(u64);

const STATE: u64 = 0b111;
const WHY_AT: u32 = 12;
const GENERATION_AT: u32 = 16;

impl Gate {
    /// Calls go in without another look.
    pub(crate) const PLAIN: u64 = 1 << 3;
    /// Calls are refused unless it is due.
    pub(crate) const SHUT: u64 = 1 << 4;
    /// Time alone will change something.
    pub(crate) const DUE: u64 = 1 << 5;
    /// Not every refusal is carried out.
    pub(crate) const LENIENT: u64 = 1 << 6;
    /// Every call is timed, for a rule asks for it.
    pub(crate) const TIMED: u64 = 1 << 7;
    /// The times of some calls are shown.
    pub(crate) const SAMPLED: u64 = 1 << 8;
    /// A rule asks when a call ended.
    pub(crate) const SLICED: u64 = 1 << 9;
    /// Half-open, and all places are taken.
    pub(crate) const FULL: u64 = 1 << 10;
    /// The times of all calls are shown.
    pub(crate) const SHOWN: u64 = 1 << 11;

    pub(crate) fn new(state: BreakerState, why: Why, generation: u64) -> Self {
        Self(generation << GENERATION_AT | (why as u64) << WHY_AT | state.index() as u64)
    }

    pub(crate) const fn with(self, flag: u64, set: bool) -> Self {
        Self(if set { self.0 | flag } else { self.0 })
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> GENERATION_AT
    }

    pub(crate) fn state(self) -> BreakerState {
        let index = (self.0 & STATE) as usize;
        BreakerState::ALL
            .get(index)
            .copied()
            .unwrap_or(BreakerState::Closed)
    }

    /// Why it refuses, if it does.
    #[inline]
    pub(crate) fn why(self) -> &'static Refusal {
        // The index has four bits, and there is one for each.
        &REFUSALS[(self.0 >> WHY_AT & 0b1111) as usize]
    }
}
