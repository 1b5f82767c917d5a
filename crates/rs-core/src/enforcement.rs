use crate::{Call, Share, hash};

/// Whether a guard's refusals are carried out, or only counted.
///
/// Dark mode shows what a guard would do before it may do it; a share lets it do it to some calls.
/// All attempts of one call are treated alike.
///
/// ```
/// use rs_core::{Call, Enforcement, Share};
///
/// let call = Call::new("charge");
/// assert!(Enforcement::Full.covers(&call));
/// assert!(!Enforcement::Dark.covers(&call));
///
/// let some = Enforcement::Partial(Share::percent(25.0)?);
/// let covered = (0..10_000).filter(|_| some.covers(&Call::new("charge"))).count();
/// assert!((2_200..2_800).contains(&covered));
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Enforcement {
    /// Every refusal is carried out.
    #[default]
    Full,
    /// No refusal is carried out; each is counted as one that would have been.
    Dark,
    /// Refusals are carried out for this share of the calls and counted for the rest.
    Partial(Share),
}

impl Enforcement {
    /// Whether a refusal of this call is to be carried out.
    #[must_use]
    pub fn covers(&self, call: &Call) -> bool {
        match self {
            Self::Full => true,
            Self::Dark => false,
            Self::Partial(share) => share.covers(hash::spread(call.id().get())),
        }
    }
}
