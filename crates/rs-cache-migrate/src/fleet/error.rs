use std::{error::Error, fmt};

use rs_core::ConfigError;

/// A migration is not in a fleet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FleetError {
    /// Something is out of its range.
    Config(ConfigError),
    /// It took a step before it joined, or has joined already.
    TooLate,
    /// It has not joined.
    Alone,
    /// The record cannot be reached. This is why.
    Away(String),
}

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::TooLate => f.write_str("it took a step already; join before"),
            Self::Alone => f.write_str("it has joined no fleet"),
            Self::Away(why) => write!(f, "the record of the fleet cannot be reached: {why}"),
        }
    }
}

impl Error for FleetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::TooLate | Self::Alone | Self::Away(_) => None,
        }
    }
}
