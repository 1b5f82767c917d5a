use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    num::NonZeroU128,
    str::FromStr,
    sync::LazyLock,
};

use crate::{call::CallId, hash};

/// The identity of a request as it travels through services, in every log line, span and signal.
///
/// It is made at the edge or taken from a header, has the size of a W3C trace id, and prints as 32
/// hexadecimal digits. A UUID or 32 digits are taken as they are; any other text is hashed, the same
/// way in every process, so that one request keeps one id.
///
/// ```
/// use rs_core::Correlation;
///
/// let id: Correlation = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736".parse()?;
/// assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_ne!(Correlation::fresh(), Correlation::fresh());
/// # Ok::<(), rs_core::EmptyCorrelation>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Correlation(NonZeroU128);

static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());

impl Correlation {
    /// The header that carries it between services.
    pub const HEADER: &'static str = "x-correlation-id";

    /// An id that no other request has.
    #[must_use]
    pub fn fresh() -> Self {
        let number = CallId::next().get();
        let high = hash::spread(number ^ *SEED);
        let low = hash::spread(high ^ number.rotate_left(32));
        Self::from_halves(high, low)
    }

    /// The id with these bits; zero, which W3C calls invalid, is no id.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Option<Self> {
        match NonZeroU128::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// Its bits.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        self.0.get()
    }

    fn from_halves(high: u64, low: u64) -> Self {
        let bits = (u128::from(high) << 64) | u128::from(low);
        Self(NonZeroU128::new(bits).unwrap_or(NonZeroU128::MIN))
    }

    fn hashed(text: &str) -> Self {
        let high = hash::stable(text.as_bytes());
        Self::from_halves(high, hash::spread(high ^ text.len() as u64))
    }
}

impl FromStr for Correlation {
    type Err = EmptyCorrelation;

    fn from_str(text: &str) -> Result<Self, EmptyCorrelation> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EmptyCorrelation);
        }
        let digits: String = text.chars().filter(|&c| c != '-').collect();
        // The digits alone: the number's own parser would take a sign for one of them.
        let as_it_is = (digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit()))
            .then(|| u128::from_str_radix(&digits, 16).ok())
            .flatten()
            .and_then(Self::from_bits);
        Ok(as_it_is.unwrap_or_else(|| Self::hashed(text)))
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A correlation id was expected and there was only white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmptyCorrelation;

impl fmt::Display for EmptyCorrelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an empty text is no correlation id")
    }
}

impl std::error::Error for EmptyCorrelation {}
