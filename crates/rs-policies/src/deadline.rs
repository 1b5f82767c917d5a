use std::time::Duration;

/// How the time that a call has left is written into a header, so that the service that is called can stop
/// when nobody waits any more.
///
/// What is left is sent, not the moment: clocks of two machines need not agree.
///
/// ```
/// use rs_core::{Call, Clock};
/// use rs_policies::DeadlineHeader;
/// use std::time::Duration;
///
/// let clock = Clock::default();
/// let call = Call::new("charge").limited_to(Duration::from_millis(1500));
///
/// let header = DeadlineHeader::Grpc;
/// let left = call.remaining(clock.now()).map(|left| (header.name(), header.encode(left)));
/// assert_eq!(left, Some(("grpc-timeout", "1500000u".to_owned())));
///
/// // On the other side:
/// let received = Call::new("charge").limited_to(header.decode("1500000u").unwrap());
/// # let _ = received;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadlineHeader {
    /// As gRPC has it: `grpc-timeout: 1500m`.
    Grpc,
    /// Whole milliseconds, as Envoy has it: `x-envoy-expected-rq-timeout-ms: 1500`.
    EnvoyMillis,
}

/// The units of gRPC, the finest first: the letter, and how many nanoseconds it is.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60_000_000_000),
    ('H', 3_600_000_000_000),
];

/// How much a value in such a unit may be: eight digits.
const MOST: u128 = 99_999_999;

impl DeadlineHeader {
    /// The header's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc-timeout",
            Self::EnvoyMillis => "x-envoy-expected-rq-timeout-ms",
        }
    }

    /// The header's value for this time, rounded down: never more than is left.
    #[must_use]
    pub fn encode(self, left: Duration) -> String {
        match self {
            Self::Grpc => {
                let nanos = left.as_nanos();
                let fits = |(_, unit): &&(char, u128)| nanos / unit <= MOST;
                let (letter, unit) = UNITS.iter().find(fits).unwrap_or(&('H', UNITS[5].1));
                format!("{}{letter}", (nanos / unit).min(MOST))
            }
            Self::EnvoyMillis => left.as_millis().to_string(),
        }
    }

    /// The time that a header's value says; `None` if it is not one.
    #[must_use]
    pub fn decode(self, value: &str) -> Option<Duration> {
        let value = value.trim();
        let (digits, unit) = match self {
            Self::Grpc => {
                let letter = value.chars().last()?;
                let (_, unit) = UNITS.iter().find(|(known, _)| *known == letter)?;
                (value.strip_suffix(letter)?, *unit)
            }
            Self::EnvoyMillis => (value, 1_000_000),
        };
        let most = match self {
            Self::Grpc => 8,
            Self::EnvoyMillis => 18,
        };
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        if digits.is_empty() || digits.len() > most || !is_number {
            return None;
        }
        let nanos = digits.parse::<u128>().ok()?.checked_mul(unit)?;
        let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
        Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
    }
}
