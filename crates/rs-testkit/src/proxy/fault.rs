//! What can be wrong with a network.

use std::time::Duration;

use super::lane::{Direction, Flow, Lane};

/// What is wrong with the network, to be set on a [`FaultProxy`](super::FaultProxy).
///
/// Faults combine: `Fault::latency(ms(50)).jitter(ms(20)).and(Fault::bandwidth(10_000))`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "a fault does nothing until a proxy gets it"]
pub struct Fault {
    to_server: Lane,
    to_client: Lane,
    resets: bool,
    refuses: bool,
}

impl Fault {
    /// Nothing is wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every byte is on its way for this long, so a round trip takes twice that.
    pub fn latency(latency: Duration) -> Self {
        Self::both(Lane {
            latency,
            ..Lane::default()
        })
    }

    /// Adds up to this much to every delay, by chance; the order of bytes stays.
    pub fn jitter(self, jitter: Duration) -> Self {
        self.and(Self::both(Lane {
            jitter,
            ..Lane::default()
        }))
    }

    /// Lets at most this many bytes per second pass, each way and in each connection.
    pub fn bandwidth(bytes_per_second: u32) -> Self {
        Self::both(Lane {
            bytes_per_second: Some(bytes_per_second),
            ..Lane::default()
        })
    }

    /// Every connection, present or new, is answered with a reset.
    pub fn reset() -> Self {
        Self {
            resets: true,
            ..Self::default()
        }
    }

    /// Connections are accepted and bytes taken, but nothing comes out at the other end, not even
    /// the end of a connection. A connection that has lost bytes stays silent for good, also when the
    /// fault is healed, because a stream with a hole must not go on.
    pub fn black_hole() -> Self {
        Self::both(Lane {
            flow: Flow::Lost,
            ..Lane::default()
        })
    }

    /// Connections stay open and silent while bytes wait in the network; they arrive when the fault
    /// is healed. This is how TCP sees a partition that ends.
    pub fn stall() -> Self {
        Self::both(Lane {
            flow: Flow::Held,
            ..Lane::default()
        })
    }

    /// Bytes go this way only: one end believes in a connection from which the other hears nothing.
    pub fn half_open(flowing: Direction) -> Self {
        let mut fault = Self::stall();
        *fault.lane_mut(flowing) = Lane::default();
        fault
    }

    /// Nothing listens: new connections are refused. Present ones go on; see
    /// [`cut`](super::FaultProxy::cut).
    pub fn refuse() -> Self {
        Self {
            refuses: true,
            ..Self::default()
        }
    }

    /// Only this way: the other is as it should be.
    pub fn only(mut self, direction: Direction) -> Self {
        match direction {
            Direction::ToServer => self.to_client = Lane::default(),
            Direction::ToClient => self.to_server = Lane::default(),
        }
        self
    }

    /// Both faults at once: delays add up, otherwise the worse wins.
    pub fn and(self, other: Self) -> Self {
        Self {
            to_server: self.to_server.and(other.to_server),
            to_client: self.to_client.and(other.to_client),
            resets: self.resets || other.resets,
            refuses: self.refuses || other.refuses,
        }
    }

    fn both(lane: Lane) -> Self {
        Self {
            to_server: lane,
            to_client: lane,
            ..Self::default()
        }
    }

    pub(super) fn lane(&self, direction: Direction) -> Lane {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }

    fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    pub(super) fn resets(&self) -> bool {
        self.resets
    }

    pub(super) fn refuses(&self) -> bool {
        self.refuses
    }
}
