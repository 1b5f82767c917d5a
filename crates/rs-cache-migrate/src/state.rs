//! Where a migration stands, and which steps are legal: one word, and pure functions of it.

use std::{fmt, time::Duration};

use rs_core::{Share, humane, label_set};

use crate::fleet::Standing;

label_set! {
    /// How far a migration has come.
    pub enum Stage: "stage" {
        /// Everything goes to the legacy cache.
        Off = "off",
        /// Writes and deletes go to both, reads to legacy.
        DualWrite = "dual_write",
        /// The same, and some reads are compared, off the caller's time.
        Shadow = "shadow",
        /// A share of the keys is read from new; what is missing there comes from legacy and is promoted.
        Live = "live",
        /// All is read from new only; writes still go to both, so that there is a way back.
        RampDown = "ramp_down",
        /// Everything goes to new. There is no way back.
        Complete = "complete",
    }
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct MigrationState {
    /// How far it has come.
    #[cfg_attr(feature = "serde", serde(serialize_with = "as_str"))]
    pub stage: Stage,
    /// The share of the keys that is read from new.
    pub share: Share,
    /// Which try this is. What an earlier one left in new is not read any more.
    pub epoch: u32,
    /// No operation is under way any longer that does not know of the last step.
    pub settled: bool,
    /// It was rolled back, and stays off until somebody releases it.
    pub held: bool,
}

#[cfg(feature = "serde")]
fn as_str<S: serde::Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.as_str())
}

/// A step that was not taken. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepRefused {
    /// Operations are under way that do not know of the last step yet.
    Unsettled,
    /// Other processes may not know of the last step yet; this much of the propagation bound is left.
    TooSoon(Duration),
    /// It was rolled back and nobody has released it.
    Held,
    /// It is complete: legacy is not kept up to date any more.
    Complete,
    /// It is off already.
    Off,
    /// Only a live migration has a share.
    NotLive,
    /// A share is more than nothing, and told in hundredths of a per cent.
    NotAShare,
    /// The new cache still has what an earlier try left there, and could not be cleared.
    NotCleared(String),
    /// Somebody else took a step at the same moment.
    Overtaken,
    /// So many replicas of the fleet have not acknowledged the last step.
    Behind(u32),
    /// So many replicas were lost, and may still write legacy; see
    /// [`forget_lost`](crate::CacheMigration::forget_lost). Only the last step asks for that.
    Lost(u32),
    /// The record that the fleet shares cannot be reached, so nobody goes on. This is why.
    RecordAway(String),
}

impl fmt::Display for StepRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsettled => f.write_str("operations of the last step are still under way"),
            Self::TooSoon(left) => {
                let left = humane::write_duration(*left);
                write!(f, "others may not know of the last step before {left}")
            }
            Self::Held => f.write_str("it was rolled back; release it first"),
            Self::Complete => f.write_str("it is complete"),
            Self::Off => f.write_str("it is off"),
            Self::NotLive => f.write_str("it is not live"),
            Self::NotAShare => f.write_str("a share is 0.01% to 100%, in steps of 0.01%"),
            Self::NotCleared(why) => write!(f, "the new cache could not be cleared: {why}"),
            Self::Overtaken => f.write_str("somebody else took a step at the same moment"),
            Self::Behind(1) => f.write_str("a replica has not acknowledged the last step"),
            Self::Behind(count) => {
                write!(f, "{count} replicas have not acknowledged the last step")
            }
            Self::Lost(count) => write!(
                f,
                "{count} replicas were lost and may still write legacy; forget them when they are gone"
            ),
            Self::RecordAway(why) => write!(f, "the record of the fleet cannot be reached: {why}"),
        }
    }
}

impl std::error::Error for StepRefused {}

/// All of the share, in hundredths of a per cent.
pub(crate) const ALL: u16 = 10_000;

/// A share in hundredths of a per cent, if it is told in those.
pub(crate) fn hundredths(share: Share) -> Option<u16> {
    let exact = share.get() * f64::from(ALL);
    let whole = exact.round();
    let fits = (exact - whole).abs() < 1e-6 && whole >= 1.0;
    fits.then_some(whole as u16)
}

/// Stage in 3 bits, settled, held, share in 14, steps in 12, epoch in 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

const SETTLED: u64 = 1 << 3;
const HELD: u64 = 1 << 4;
const SHARE_AT: u32 = 5;
const STEP_AT: u32 = 20;
const STEPS: u64 = 0xfff;
const EPOCH_AT: u32 = 32;

impl Word {
    pub(crate) const fn start(epoch: u32) -> Self {
        Self(((epoch as u64) << EPOCH_AT) | SETTLED)
    }

    /// Where others stand.
    pub(crate) const fn standing(stage: Stage, share: u16, epoch: u32) -> Self {
        Self(stage as u64 | ((share as u64) << SHARE_AT) | Self::start(epoch).0)
    }

    #[inline]
    pub(crate) const fn stage(self) -> Stage {
        match self.0 & 7 {
            0 => Stage::Off,
            1 => Stage::DualWrite,
            2 => Stage::Shadow,
            3 => Stage::Live,
            4 => Stage::RampDown,
            _ => Stage::Complete,
        }
    }

    #[inline]
    pub(crate) const fn share(self) -> u16 {
        ((self.0 >> SHARE_AT) & 0x3fff) as u16
    }

    #[inline]
    pub(crate) const fn epoch(self) -> u32 {
        (self.0 >> EPOCH_AT) as u32
    }

    #[inline]
    pub(crate) const fn is_settled(self) -> bool {
        self.0 & SETTLED != 0
    }

    pub(crate) const fn is_held(self) -> bool {
        self.0 & HELD != 0
    }

    /// Both caches are written.
    #[inline]
    pub(crate) const fn writes_both(self) -> bool {
        !matches!(self.stage(), Stage::Off | Stage::Complete)
    }

    /// Whether a key of this hash is read from new. The keys of a smaller share are among those of a larger.
    #[inline]
    pub(crate) const fn reads_new(self, hash: u64) -> bool {
        match self.stage() {
            Stage::Off | Stage::DualWrite | Stage::Shadow => false,
            Stage::Live => (((hash >> 32) * ALL as u64) >> 32) < self.share() as u64,
            Stage::RampDown | Stage::Complete => true,
        }
    }

    fn to(self, stage: Stage, share: u16) -> Self {
        let step = ((self.0 >> STEP_AT) + 1) & STEPS;
        let epoch = match stage {
            // What is in new will not hear of the writes to come.
            Stage::Off => self.epoch().wrapping_add(1),
            _ => self.epoch(),
        };
        Self(
            stage as u64
                | (u64::from(share) << SHARE_AT)
                | (step << STEP_AT)
                | (u64::from(epoch) << EPOCH_AT),
        )
    }

    /// The same, settled or not.
    pub(crate) const fn bare(self) -> u64 {
        self.0 & !SETTLED
    }

    /// Where a record says.
    pub(crate) fn moved_to(self, there: Standing) -> Self {
        let held = if there.held { HELD } else { 0 };
        let below = self.to(there.stage, there.share).0 & u64::from(u32::MAX);
        Self(below | held | (u64::from(there.epoch) << EPOCH_AT))
    }

    pub(crate) const fn settled(self) -> Self {
        Self(self.0 | SETTLED)
    }

    const fn may_step(self) -> Result<(), StepRefused> {
        if !self.is_settled() {
            return Err(StepRefused::Unsettled);
        }
        Ok(())
    }

    /// One step forward; `shares` are the steps of the live stage.
    pub(crate) fn forward(self, shares: &[u16]) -> Result<Self, StepRefused> {
        if self.is_held() {
            return Err(StepRefused::Held);
        }
        if matches!(self.stage(), Stage::Complete) {
            return Err(StepRefused::Complete);
        }
        self.may_step()?;
        let next = |above: u16| shares.iter().copied().find(|share| *share > above);
        Ok(match self.stage() {
            Stage::Off => self.to(Stage::DualWrite, 0),
            Stage::DualWrite => self.to(Stage::Shadow, 0),
            Stage::Shadow => self.to(Stage::Live, next(0).unwrap_or(ALL)),
            Stage::Live if self.share() < ALL => {
                self.to(Stage::Live, next(self.share()).unwrap_or(ALL))
            }
            Stage::Live => self.to(Stage::RampDown, ALL),
            Stage::RampDown | Stage::Complete => self.to(Stage::Complete, ALL),
        })
    }

    /// One step back.
    pub(crate) fn back(self, shares: &[u16]) -> Result<Self, StepRefused> {
        match self.stage() {
            Stage::Off => return Err(StepRefused::Off),
            Stage::Complete => return Err(StepRefused::Complete),
            _ => self.may_step()?,
        }
        let before = |below: u16| shares.iter().rev().copied().find(|share| *share < below);
        Ok(match self.stage() {
            Stage::RampDown | Stage::Complete => self.to(Stage::Live, ALL),
            Stage::Live => match before(self.share()) {
                Some(share) => self.to(Stage::Live, share),
                None => self.to(Stage::Shadow, 0),
            },
            Stage::Shadow => self.to(Stage::DualWrite, 0),
            Stage::DualWrite | Stage::Off => self.to(Stage::Off, 0),
        })
    }

    /// Another share of a live migration.
    pub(crate) fn with_share(self, share: u16) -> Result<Self, StepRefused> {
        if !matches!(self.stage(), Stage::Live) {
            return Err(StepRefused::NotLive);
        }
        self.may_step()?;
        if !(1..=ALL).contains(&share) {
            return Err(StepRefused::NotAShare);
        }
        Ok(self.to(Stage::Live, share))
    }

    /// Off at once, from wherever there is a way back, and held there. It waits for nobody.
    pub(crate) fn rolled_back(self) -> Result<Self, StepRefused> {
        match self.stage() {
            Stage::Complete => Err(StepRefused::Complete),
            Stage::Off if self.is_held() => Err(StepRefused::Off),
            _ => Ok(Self(self.to(Stage::Off, 0).0 | HELD)),
        }
    }

    pub(crate) const fn released(self) -> Self {
        Self(self.0 & !HELD)
    }

    pub(crate) fn state(self) -> MigrationState {
        let share = match self.stage() {
            Stage::RampDown | Stage::Complete => ALL,
            _ => self.share(),
        };
        MigrationState {
            stage: self.stage(),
            share: Share::of(f64::from(share) / f64::from(ALL)).unwrap_or(Share::NONE),
            epoch: self.epoch(),
            settled: self.is_settled(),
            held: self.is_held(),
        }
    }
}

impl fmt::Display for MigrationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.stage)?;
        if self.stage == Stage::Live {
            write!(f, " {}", self.share)?;
        }
        if self.held {
            f.write_str(", held")?;
        }
        Ok(())
    }
}
