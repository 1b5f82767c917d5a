//! Calls that ended, counted in one word: who takes it takes all of it at one moment.

use crate::{
    sync::{AtomicU64, Ordering},
    window::Results,
};

/// What a [`Counted`] belongs to: the generation that its calls began in, and the slice of time in
/// which they ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag(u64);

const SLICE_AT: u32 = 32;
const SLICE: u64 = (1 << 20) - 1;
/// A tally is at most this many slices ahead of a call that read the clock and was held up. All others
/// are behind, however long nobody called.
const AHEAD: u64 = 1 << 8;
const EPOCH_AT: u32 = 52;
const TAG: u64 = !0 << SLICE_AT;

impl Tag {
    /// Only the low bits of both are kept. Generations that could be mistaken for each other are 4096
    /// apart, which matters only between a call's look at the gate and its counting.
    #[inline]
    pub(crate) const fn new(generation: u64, slice: u64) -> Self {
        Self(generation << EPOCH_AT | (slice & SLICE) << SLICE_AT)
    }

    #[inline]
    const fn epoch(self) -> u64 {
        self.0 >> EPOCH_AT
    }

    /// The slice, given one that is not long before or after it.
    pub(crate) const fn slice_near(self, slice: u64) -> u64 {
        let behind = self.behind(slice);
        if behind <= SLICE - AHEAD {
            slice.saturating_sub(behind)
        } else {
            slice.saturating_add(SLICE + 1 - behind)
        }
    }

    const fn is_before(self, other: Self) -> bool {
        let behind = self.behind(other.0 >> SLICE_AT);
        behind > 0 && behind <= SLICE - AHEAD
    }

    const fn behind(self, slice: u64) -> u64 {
        slice.wrapping_sub(self.0 >> SLICE_AT) & SLICE
    }
}

/// How many calls ended how, and what they belong to, in one word: whoever takes it takes all of it at
/// one moment. Taken word by word, an hour's failures could meet a minute's successes if whoever takes
/// them is held up in between.
#[derive(Debug)]
pub(crate) struct Counted(AtomicU64);

/// How a call ended, as a place in a [`Counted`]. Only successes in time gather for long; of the others
/// each makes its thread look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum End {
    Fine = 0,
    /// A success in time that ended after a bad one that nobody has looked at yet: those before may be
    /// old, and must not be mixed with it. When there is no more room it counts as one before, and nobody
    /// knows any more which were: then all are mixed. To say that bad ones are the last when they are not
    /// would open a breaker in which few calls fail.
    FineLater = 9,
    Slow = 16,
    Failed = 21,
    SlowFailed = 27,
}

impl End {
    const ALL: [Self; 5] = [
        Self::Fine,
        Self::FineLater,
        Self::Slow,
        Self::Failed,
        Self::SlowFailed,
    ];
    const AGAINST: u64 = (1 << SLICE_AT) - (1 << Self::Slow as u32);

    pub(crate) const fn of(failed: bool, slow: bool) -> Self {
        match (failed, slow) {
            (false, false) => Self::Fine,
            (false, true) => Self::Slow,
            (true, false) => Self::Failed,
            (true, true) => Self::SlowFailed,
        }
    }

    /// Where it counts now.
    #[inline]
    const fn place_in(self, word: u64) -> Self {
        let later = word & Self::AGAINST != 0 && !Self::FineLater.is_full_in(word);
        match self {
            Self::Fine if later => Self::FineLater,
            end => end,
        }
    }

    #[inline]
    const fn most(self) -> u64 {
        let bits = match self {
            Self::Fine => 9,
            Self::FineLater => 7,
            Self::Slow | Self::SlowFailed => 5,
            Self::Failed => 6,
        };
        (1 << bits) - 1
    }

    #[inline]
    const fn is_full_in(self, word: u64) -> bool {
        self.count_in(word) == self.most()
    }

    #[inline]
    const fn count_in(self, word: u64) -> u64 {
        word >> self as u32 & self.most()
    }
}

/// What became of counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is counted; nobody was in the way.
    Alone,
    /// It is counted; another thread was in the way.
    Contended,
    /// It is not: the count belongs to another generation.
    Stale,
    /// It is not: the count belongs to an earlier slice.
    Behind,
    /// It is not: there is no room.
    Full,
}

impl Counted {
    pub(super) fn new(tag: Tag) -> Self {
        Self(AtomicU64::new(tag.0))
    }

    /// One more success in time. Nearly all come while nothing bad waits to be looked at.
    #[inline]
    pub(crate) fn add_fine(&self, tag: Tag) -> Added {
        let word = self.0.load(Ordering::Relaxed);
        let is_plain = word & (TAG | End::AGAINST) == tag.0;
        if !is_plain || End::Fine.is_full_in(word) {
            return self.add(End::Fine, tag);
        }
        match self
            .0
            .compare_exchange(word, word + 1, Ordering::SeqCst, Ordering::Relaxed)
        {
            Ok(_) => Added::Alone,
            Err(_) => match self.add(End::Fine, tag) {
                Added::Alone => Added::Contended,
                added => added,
            },
        }
    }

    /// One more, if the count belongs to this tag or to a later slice.
    #[inline(never)]
    pub(crate) fn add(&self, end: End, tag: Tag) -> Added {
        self.add_unless(end, tag, Tag::is_before)
    }

    /// One more, even if the count belongs to an earlier slice.
    pub(crate) fn add_anyway(&self, end: End, tag: Tag) -> Added {
        self.add_unless(end, tag, |_, _| false)
    }

    #[inline]
    fn add_unless(&self, end: End, tag: Tag, is_behind: impl Fn(Tag, Tag) -> bool) -> Added {
        let mut word = self.0.load(Ordering::Relaxed);
        let mut added = Added::Alone;
        loop {
            let counted = Tag(word & TAG);
            if counted != tag {
                if counted.epoch() != tag.epoch() {
                    return Added::Stale;
                }
                if is_behind(counted, tag) {
                    return Added::Behind;
                }
            }
            let place = end.place_in(word);
            if place.is_full_in(word) {
                return Added::Full;
            }
            let next = word + (1 << place as u32);
            // SeqCst: whoever fails to get the lock after this relies on the holder to see it.
            match self
                .0
                .compare_exchange(word, next, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return added,
                Err(current) => {
                    word = current;
                    added = Added::Contended;
                }
            }
        }
    }

    pub(super) fn calls(&self) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        End::ALL.iter().map(|end| end.count_in(word)).sum()
    }

    pub(super) fn speaks_against(&self) -> bool {
        self.0.load(Ordering::SeqCst) & End::AGAINST != 0
    }

    /// What it counted and for what; it belongs to this tag from now on.
    pub(super) fn take(&self, next: Tag) -> (Tag, Taken) {
        let mut word = self.0.load(Ordering::SeqCst);
        if word != next.0 {
            word = self.0.swap(next.0, Ordering::SeqCst);
        }
        let [before, later, slow, failed, slow_failed] = End::ALL.map(|end| end.count_in(word));
        // Where there was no more room for those that ended later, they are among those before.
        let mixed = End::FineLater.is_full_in(word);
        let (before, fine) = if mixed {
            (0, before + later)
        } else {
            (before, later)
        };
        let taken = Taken {
            before,
            then: Results {
                fine,
                slow,
                failed,
                slow_failed,
            },
        };
        (Tag(word & TAG), taken)
    }
}

/// What tallies counted: successes in time, and then the rest, of which nobody knows the order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    pub(super) before: u64,
    pub(super) then: Results,
}
