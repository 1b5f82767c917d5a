use std::{fmt, str::FromStr, time::Duration};

use rs_core::{ConfigError, config};

use crate::strategy::Own;

/// How an endpoint is chosen.
///
/// Each is written by its name, as in a file:
///
/// ```
/// use rs_balance::Strategy;
///
/// let strategy: Strategy = "weighted_random".parse()?;
/// assert_eq!(strategy, Strategy::WeightedRandom);
/// assert_eq!(
///     "round_robbin".parse::<Strategy>().unwrap_err().to_string(),
///     "unknown strategy `round_robbin`, did you mean `round_robin`? known: round_robin, random, \
///      least_connections, least_connections_exact, two_choices, weighted_random, \
///      smooth_weighted_round_robin, latency_based, consistent_hash, priority_failover",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Strategy {
    /// One after the other. It goes on where it was when the set changes, so that an endpoint that comes
    /// and goes leaves the others their fair share.
    RoundRobin,
    /// Any, with the same chance.
    Random,
    /// The one with the fewest calls in flight for its weight: exactly among up to
    /// [`Strategy::EXACT_UP_TO`], the better of two random ones among more.
    LeastConnections,
    /// The one with the fewest calls in flight for its weight, however many there are: takes as long as
    /// there are endpoints.
    LeastConnectionsExact,
    /// The better of two random ones by calls in flight for their weight.
    TwoChoices,
    /// Any, with a chance as its weight says.
    WeightedRandom,
    /// One after the other, each as often as its weight says and evenly spaced.
    SmoothWeightedRoundRobin,
    /// The better of two random ones by how fast they were lately and how many calls they have in flight.
    LatencyBased(Latency),
    /// The same one for the same key of the call; few keys move when the set changes. A call without a key
    /// goes anywhere.
    ConsistentHash(Hashing),
    /// Any of the best priority that has endpoints which are well, however few, as their weights say.
    PriorityFailover,
    /// A strategy of one's own.
    Own(Own),
}

const NAMES: [&str; 10] = [
    "round_robin",
    "random",
    "least_connections",
    "least_connections_exact",
    "two_choices",
    "weighted_random",
    "smooth_weighted_round_robin",
    "latency_based",
    "consistent_hash",
    "priority_failover",
];

impl Strategy {
    /// Among so many endpoints [`Strategy::LeastConnections`] looks at all of them.
    pub const EXACT_UP_TO: usize = 8;

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::LeastConnections => "least_connections",
            Self::LeastConnectionsExact => "least_connections_exact",
            Self::TwoChoices => "two_choices",
            Self::WeightedRandom => "weighted_random",
            Self::SmoothWeightedRoundRobin => "smooth_weighted_round_robin",
            Self::LatencyBased(_) => "latency_based",
            Self::ConsistentHash(_) => "consistent_hash",
            Self::PriorityFailover => "priority_failover",
            Self::Own(own) => own.name(),
        }
    }

    /// Whether endpoints have turns.
    pub(crate) const fn takes_turns(&self) -> bool {
        matches!(self, Self::RoundRobin | Self::SmoothWeightedRoundRobin)
    }

    /// Whether weights matter.
    pub(crate) const fn is_weighted(&self) -> bool {
        !matches!(self, Self::RoundRobin | Self::Random)
    }

    /// Whether one that starts slowly gets less weight, and not less of the draws.
    pub(crate) const fn takes_parts(&self) -> bool {
        matches!(
            self,
            Self::RoundRobin
                | Self::WeightedRandom
                | Self::SmoothWeightedRoundRobin
                | Self::PriorityFailover
        )
    }

    /// Whether weights are looked at when an endpoint is chosen, and not only when the table is made.
    pub(crate) const fn compares_weights(&self) -> bool {
        matches!(
            self,
            Self::LeastConnections
                | Self::LeastConnectionsExact
                | Self::TwoChoices
                | Self::LatencyBased(_)
                | Self::ConsistentHash(_)
                | Self::Own(_)
        )
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::LatencyBased(latency) => latency.check(),
            Self::ConsistentHash(hashing) => hashing.check(),
            _ => Ok(()),
        }
    }
}

impl FromStr for Strategy {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Ok(match name.trim() {
            "round_robin" => Self::RoundRobin,
            "random" => Self::Random,
            "least_connections" => Self::LeastConnections,
            "least_connections_exact" => Self::LeastConnectionsExact,
            "two_choices" => Self::TwoChoices,
            "weighted_random" => Self::WeightedRandom,
            "smooth_weighted_round_robin" => Self::SmoothWeightedRoundRobin,
            "latency_based" => Self::LatencyBased(Latency::default()),
            "consistent_hash" => Self::ConsistentHash(Hashing::default()),
            "priority_failover" => Self::PriorityFailover,
            other => return Err(ConfigError::unknown("strategy", other, NAMES)),
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How [`Strategy::LatencyBased`] judges.
///
/// Each endpoint has a moving average of how long its calls took. A slower call lifts it at once to what
/// that took; faster calls, and time without any, let it sink. One that is not heard of for three times the
/// decay counts as a newcomer: somebody has to find out whether it is well again.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Latency {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    decay: Duration,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    failure_counts_as: Duration,
}

impl Latency {
    /// What was measured so long ago counts a third; 10 s unless told.
    #[must_use]
    pub const fn with_decay(mut self, decay: Duration) -> Self {
        self.decay = decay;
        self
    }

    /// A call that failed counts as one that took so long, if it did not take longer: one that fails fast
    /// is not fast. 5 s unless told.
    #[must_use]
    pub const fn with_failure_counting_as(mut self, time: Duration) -> Self {
        self.failure_counts_as = time;
        self
    }

    /// After how long a measurement counts a third.
    #[must_use]
    pub const fn decay(&self) -> Duration {
        self.decay
    }

    /// As how long a call counts that failed.
    #[must_use]
    pub const fn failure_counts_as(&self) -> Duration {
        self.failure_counts_as
    }

    fn check(&self) -> Result<(), ConfigError> {
        let allowed = Duration::from_millis(10)..=Duration::from_secs(3600);
        config::time_in_range("decay", self.decay, allowed.clone())?;
        let allowed = Duration::ZERO..=*allowed.end();
        config::time_in_range("failure_counts_as", self.failure_counts_as, allowed)?;
        Ok(())
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self {
            decay: Duration::from_secs(10),
            failure_counts_as: Duration::from_secs(5),
        }
    }
}

/// How [`Strategy::ConsistentHash`] finds the endpoint of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Hashing {
    table: HashTable,
    bounded_load: Option<f64>,
}

/// The table of a [`Hashing`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HashTable {
    /// Every endpoint has nearly the same number of places in a table. Fairest; a few keys of those that stay
    /// move, too: of a hundred endpoints 1.2 times as many as have to, of a thousand several times as many.
    #[default]
    Maglev,
    /// Every endpoint has points on a ring. Only keys of those that go move, and keys to those that come,
    /// however many endpoints there are; the shares are less even.
    Ring,
}

impl Hashing {
    /// By a table as in Google's Maglev.
    #[must_use]
    pub const fn maglev() -> Self {
        Self {
            table: HashTable::Maglev,
            bounded_load: None,
        }
    }

    /// By points on a ring.
    #[must_use]
    pub const fn ring() -> Self {
        Self {
            table: HashTable::Ring,
            bounded_load: None,
        }
    }

    /// No endpoint has more calls in flight than so many times its share of all; what is too much goes
    /// elsewhere. 1.25 is usual.
    #[must_use]
    pub const fn with_bounded_load(mut self, times: f64) -> Self {
        self.bounded_load = Some(times);
        self
    }

    /// By which table.
    #[must_use]
    pub const fn table(&self) -> HashTable {
        self.table
    }

    /// How many times its share an endpoint may have in flight.
    #[must_use]
    pub const fn bounded_load(&self) -> Option<f64> {
        self.bounded_load
    }

    fn check(&self) -> Result<(), ConfigError> {
        if let Some(times) = self.bounded_load {
            config::in_range("bounded_load", times, 1.01..=1000.0)?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod written {
    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error, MapAccess, Visitor},
        ser::SerializeMap,
    };
    use std::fmt;

    use super::Strategy;

    impl Serialize for Strategy {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut map = match self {
                Self::LatencyBased(_) | Self::ConsistentHash(_) => to.serialize_map(Some(1))?,
                other => return to.serialize_str(other.name()),
            };
            match self {
                Self::LatencyBased(latency) => map.serialize_entry(self.name(), latency)?,
                Self::ConsistentHash(hashing) => map.serialize_entry(self.name(), hashing)?,
                _ => {}
            }
            map.end()
        }
    }

    impl<'de> Deserialize<'de> for Strategy {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_any(Written)
        }
    }

    /// A name, or a name with its settings.
    struct Written;

    impl<'de> Visitor<'de> for Written {
        type Value = Strategy;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the name of a strategy")
        }

        fn visit_str<E: Error>(self, name: &str) -> Result<Strategy, E> {
            name.parse().map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strategy, A::Error> {
            let name: String = map
                .next_key()?
                .ok_or_else(|| A::Error::custom("a strategy has a name"))?;
            let strategy = match name.parse().map_err(A::Error::custom)? {
                Strategy::LatencyBased(_) => Strategy::LatencyBased(map.next_value()?),
                Strategy::ConsistentHash(_) => Strategy::ConsistentHash(map.next_value()?),
                other => {
                    return Err(A::Error::custom(format_args!("`{other}` has no settings")));
                }
            };
            match map.next_key::<String>()? {
                None => Ok(strategy),
                Some(second) => Err(A::Error::custom(format_args!(
                    "one strategy is enough, `{second}` is another"
                ))),
            }
        }
    }
}
