use std::time::Duration;

use rs_core::{ConfigError, config};
use rs_metrics::pattern::Checked;

use crate::BalancerConfig;

/// How many connections a pool keeps for each endpoint, and for how long anybody waits.
///
/// | | default | |
/// |---|---|---|
/// | who may wait for a connection of an endpoint | 64, for 1 s | and never past the deadline of the call |
/// | the making of a connection | 2 s | |
/// | the check of a connection | 500 ms | |
/// | a connection is checked when it lay idle for | 1 s | 0 checks each |
/// | a connection is closed when it lay idle for | 90 s | |
/// | a connection is closed when it is as old as | any age | |
/// | endpoints asked by one call | 3 | |
/// | balance | [`BalancerConfig::default`] | |
///
/// ```
/// use rs_balance::{BalancerConfig, Strategy, pool::PoolConfig};
/// use std::time::Duration;
///
/// let config = PoolConfig::of(8)
///     .with_queue(100, Duration::from_millis(200))
///     .with_lifetime(Duration::from_secs(1800))
///     .balanced(BalancerConfig::new(Strategy::LeastConnections));
/// config.check()?;
/// assert_eq!(
///     PoolConfig::of(0).check().unwrap_err().to_string(),
///     "size: 0 is out of range; allowed: 1 to 100000",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PoolConfig {
    size: u32,
    #[cfg_attr(feature = "serde", serde(default = "queue"))]
    queue: u32,
    #[cfg_attr(
        feature = "serde",
        serde(default = "longest_wait", with = "rs_core::humane::duration")
    )]
    longest_wait: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "connect_within", with = "rs_core::humane::duration")
    )]
    connect_within: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "check_within", with = "rs_core::humane::duration")
    )]
    check_within: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "check_after", with = "rs_core::humane::duration")
    )]
    check_after: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "idle", with = "rs_core::humane::duration")
    )]
    idle: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default, with = "rs_core::humane::duration::option")
    )]
    lifetime: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(default = "tries"))]
    tries: u8,
    #[cfg_attr(feature = "serde", serde(default))]
    balance: BalancerConfig,
}

const fn queue() -> u32 {
    64
}

const fn longest_wait() -> Duration {
    Duration::from_secs(1)
}

const fn connect_within() -> Duration {
    Duration::from_secs(2)
}

const fn check_within() -> Duration {
    Duration::from_millis(500)
}

const fn check_after() -> Duration {
    Duration::from_secs(1)
}

const fn idle() -> Duration {
    Duration::from_secs(90)
}

const fn tries() -> u8 {
    3
}

impl PoolConfig {
    /// So many connections to each endpoint at most; everything else is as the table says.
    #[must_use]
    pub fn of(size: u32) -> Self {
        Self {
            size,
            queue: queue(),
            longest_wait: longest_wait(),
            connect_within: connect_within(),
            check_within: check_within(),
            check_after: check_after(),
            idle: idle(),
            lifetime: None,
            tries: tries(),
            balance: BalancerConfig::default(),
        }
    }

    /// So many calls may wait for a connection of an endpoint, each for so long at most.
    #[must_use]
    pub const fn with_queue(mut self, length: u32, longest_wait: Duration) -> Self {
        self.queue = length;
        self.longest_wait = longest_wait;
        self
    }

    /// The making of a connection may take so long.
    #[must_use]
    pub const fn with_connect_within(mut self, time: Duration) -> Self {
        self.connect_within = time;
        self
    }

    /// A connection that lay idle for `after` or longer is checked before it is used, and may take
    /// `within` to answer.
    #[must_use]
    pub const fn with_check(mut self, after: Duration, within: Duration) -> Self {
        self.check_after = after;
        self.check_within = within;
        self
    }

    /// A connection that lay idle for so long is closed.
    #[must_use]
    pub const fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// A connection that is as old as this serves no further call.
    #[must_use]
    pub const fn with_lifetime(mut self, time: Duration) -> Self {
        self.lifetime = Some(time);
        self
    }

    /// A call asks so many endpoints at most, when one cannot be connected to or has no connection left.
    #[must_use]
    pub const fn with_tries(mut self, tries: u8) -> Self {
        self.tries = tries;
        self
    }

    /// Endpoints are chosen, and trusted, by these rules.
    #[must_use]
    pub fn balanced(mut self, balance: BalancerConfig) -> Self {
        self.balance = balance;
        self
    }

    /// How many connections an endpoint has at most.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// How many calls may wait for a connection of an endpoint.
    #[must_use]
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// How long a call may wait for a connection.
    #[must_use]
    pub const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// How long the making of a connection may take.
    #[must_use]
    pub const fn connect_within(&self) -> Duration {
        self.connect_within
    }

    /// How long the check of a connection may take.
    #[must_use]
    pub const fn check_within(&self) -> Duration {
        self.check_within
    }

    /// How long a connection lies idle that is checked before it is used.
    #[must_use]
    pub const fn check_after(&self) -> Duration {
        self.check_after
    }

    /// How long a connection lies idle before it is closed.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// How old a connection may get.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// How many endpoints a call asks.
    #[must_use]
    pub const fn tries(&self) -> u8 {
        self.tries
    }

    /// How endpoints are chosen.
    #[must_use]
    pub const fn balance(&self) -> &BalancerConfig {
        &self.balance
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (moment, hour) = (Duration::from_millis(1), Duration::from_secs(3600));
        let day = hour * 24;
        config::in_range("size", self.size, 1..=100_000)?;
        config::in_range("queue", self.queue, 0..=1_000_000)?;
        config::time_in_range("longest_wait", self.longest_wait, moment..=hour)?;
        config::time_in_range("connect_within", self.connect_within, moment..=hour)?;
        config::time_in_range("check_within", self.check_within, moment..=hour)?;
        config::time_in_range("check_after", self.check_after, Duration::ZERO..=day)?;
        config::time_in_range("idle", self.idle, moment..=day)?;
        if let Some(lifetime) = self.lifetime {
            config::time_in_range("lifetime", lifetime, moment..=day * 365)?;
        }
        config::in_range("tries", self.tries, 1..=16)?;
        let balance = self.balance.check();
        balance.map_err(|error| error.in_field("balance"))
    }
}

impl Checked for PoolConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
