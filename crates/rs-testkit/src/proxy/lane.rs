//! What happens to bytes that go one way.

use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: replies.
    ToClient,
}

/// Whether bytes arrive at all. Later ones are worse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flow {
    /// They arrive.
    #[default]
    Open,
    /// They wait.
    Held,
    /// They are lost.
    Lost,
}

/// One way of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) flow: Flow,
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) bytes_per_second: Option<u32>,
}

impl Lane {
    /// Both faults at once.
    pub(super) fn and(self, other: Self) -> Self {
        let slower = [self.bytes_per_second, other.bytes_per_second]
            .into_iter()
            .flatten()
            .min();
        Self {
            flow: self.flow.max(other.flow),
            latency: self.latency + other.latency,
            jitter: self.jitter + other.jitter,
            bytes_per_second: slower,
        }
    }

    /// How long a piece is on its way, where `roll` in `0.0..1.0` is its luck.
    pub(super) fn delay(&self, roll: f64) -> Duration {
        self.latency + self.jitter.mul_f64(roll)
    }

    /// How many of `available` bytes to pass on in one go: what 10 ms let through, so that a slow
    /// lane trickles and does not pause and burst.
    pub(super) fn portion(&self, available: usize) -> usize {
        let portion = self
            .bytes_per_second
            .map_or(available, |rate| (rate / 100).max(1) as usize);
        portion.min(available)
    }

    /// How long the lane is busy with `bytes`.
    pub(super) fn busy(&self, bytes: usize) -> Duration {
        match self.bytes_per_second {
            Some(rate) => Duration::from_secs_f64(bytes as f64 / f64::from(rate.max(1))),
            None => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roll_decides_within_the_jitter() {
        let lane = Lane {
            latency: Duration::from_millis(50),
            jitter: Duration::from_millis(20),
            ..Lane::default()
        };
        assert_eq!(lane.delay(0.0), Duration::from_millis(50));
        assert_eq!(lane.delay(0.5), Duration::from_millis(60));
    }

    #[test]
    fn the_worse_of_two_wins() {
        let slow = Lane {
            bytes_per_second: Some(10),
            flow: Flow::Held,
            ..Lane::default()
        };
        let slower = Lane {
            bytes_per_second: Some(5),
            latency: Duration::from_secs(1),
            ..Lane::default()
        };
        let both = slow.and(slower);
        assert_eq!(
            (both.bytes_per_second, both.flow, both.latency),
            (Some(5), Flow::Held, Duration::from_secs(1))
        );
    }

    #[test]
    fn a_slow_lane_takes_small_portions() {
        let lane = Lane {
            bytes_per_second: Some(1_000),
            ..Lane::default()
        };
        assert_eq!(
            (lane.portion(500), lane.busy(10)),
            (10, Duration::from_millis(10))
        );
        assert_eq!(
            (Lane::default().portion(500), Lane::default().busy(500)),
            (500, Duration::ZERO)
        );
        let crawl = Lane {
            bytes_per_second: Some(1),
            ..Lane::default()
        };
        assert_eq!(
            (crawl.portion(500), crawl.busy(1)),
            (1, Duration::from_secs(1))
        );
    }
}
