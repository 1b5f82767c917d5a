use std::{fmt, num::NonZeroU64};

/// What an admitted call carries: the generation it began in, and the place it holds.
///
/// Two words, so that it travels in registers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The generation, the place, and a bit that is always set.
    held: NonZeroU64,
    /// When the call began, in nanoseconds since the breaker was made, above two bits: whether its time is
    /// shown, and whether it is timed at all.
    started: u64,
}

/// When a call began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Started {
    /// In nanoseconds since the breaker was made.
    pub(crate) age: u64,
    /// Whether its time is among those that are shown.
    pub(crate) shown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Its result counts.
    Counted,
    /// It was let through though it would have been refused: its result decides nothing.
    Beside,
    /// It is the probe of this number.
    Probe(u16),
}

const COUNTED: u64 = 0;
const BESIDE: u64 = 1;
const FIRST_PROBE: u64 = 2;
const PLACE_BITS: u32 = 16;

impl Ticket {
    /// How many probes have different numbers.
    pub(crate) const PROBE_NUMBERS: u16 = u16::MAX - FIRST_PROBE as u16;

    #[inline]
    pub(crate) const fn new(generation: u64, place: Place, started: Option<Started>) -> Self {
        let place = match place {
            Place::Counted => COUNTED,
            Place::Beside => BESIDE,
            Place::Probe(number) => FIRST_PROBE + number as u64,
        };
        // The bit makes it non-zero whatever the rest is.
        let held = match NonZeroU64::new(1 << 63 | generation << PLACE_BITS | place) {
            Some(held) => held,
            None => NonZeroU64::MIN,
        };
        let started = match started {
            Some(Started { age, shown }) => age << 2 | (shown as u64) << 1 | 1,
            None => 0,
        };
        Self { held, started }
    }

    #[inline]
    pub(crate) const fn place(&self) -> Place {
        match self.held.get() & ((1 << PLACE_BITS) - 1) {
            COUNTED => Place::Counted,
            BESIDE => Place::Beside,
            number => Place::Probe((number - FIRST_PROBE) as u16),
        }
    }

    /// When the call began, if it is timed.
    #[inline]
    pub(crate) const fn started(&self) -> Option<Started> {
        if self.started & 1 == 0 {
            return None;
        }
        Some(Started {
            age: self.started >> 2,
            shown: self.started & 2 != 0,
        })
    }

    /// The generation of the breaker that the call began in. Its result decides nothing once the breaker
    /// is in another.
    #[inline]
    #[must_use]
    pub const fn generation(&self) -> u64 {
        (self.held.get() & !(1 << 63)) >> PLACE_BITS
    }

    /// Whether the call is a probe.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        matches!(self.place(), Place::Probe(_))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("generation", &self.generation())
            .field("place", &self.place())
            .finish()
    }
}
