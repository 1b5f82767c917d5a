use crate::Share;

/// How something grows from a part to the whole: the calls that come back to a dependency that was down, the
/// share of a server that is new.
///
/// ```
/// use rs_core::Curve;
///
/// let tenth = "10%".parse()?;
/// assert_eq!(Curve::Linear.between(tenth, 0.5).to_string(), "55%");
/// assert_eq!(Curve::Exponential.between("1%".parse()?, 0.5).to_string(), "10%");
/// assert_eq!(Curve::Linear.between(tenth, 0.0), tenth);
/// assert_eq!(Curve::Linear.between(tenth, 1.0).to_string(), "100%");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Curve {
    /// By the same amount in the same time.
    Linear,
    /// By the same factor in the same time: careful at first, fast at the end.
    Exponential,
}

impl Curve {
    /// The share when this part of the way from `from` to the whole is behind it.
    #[must_use]
    pub fn between(self, from: Share, part: f64) -> Share {
        let from = from.get();
        let share = match self {
            Self::Linear => from + (1.0 - from) * part,
            Self::Exponential => from.powf(1.0 - part),
        };
        Share::of(share).unwrap_or(Share::ALL)
    }
}
