//! What passed through.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::lane::Direction;

/// What a [`FaultProxy`](super::FaultProxy) has seen so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStats {
    /// Connections that clients opened.
    pub accepted: u64,
    /// Connections of which the proxy still holds an end.
    pub open: u64,
    /// Connections that ended with a reset, by a fault or by one of the ends.
    pub reset: u64,
    /// Bytes that reached the server.
    pub bytes_to_server: u64,
    /// Bytes that reached the client.
    pub bytes_to_client: u64,
    /// Bytes that a black hole took.
    pub bytes_lost: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    accepted: AtomicU64,
    ended: AtomicU64,
    reset: AtomicU64,
    bytes_to_server: AtomicU64,
    bytes_to_client: AtomicU64,
    bytes_lost: AtomicU64,
}

impl Counters {
    pub(super) fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(super) fn ended(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    pub(super) fn reset(&self) {
        self.reset.fetch_add(1, Relaxed);
    }

    pub(super) fn delivered(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::ToServer => &self.bytes_to_server,
            Direction::ToClient => &self.bytes_to_client,
        };
        counter.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn lost(&self, bytes: usize) {
        self.bytes_lost.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn read(&self) -> ProxyStats {
        // In this order, so that no connection seems to end before it began.
        let ended = self.ended.load(Relaxed);
        let accepted = self.accepted.load(Relaxed);
        ProxyStats {
            accepted,
            open: accepted.saturating_sub(ended),
            reset: self.reset.load(Relaxed),
            bytes_to_server: self.bytes_to_server.load(Relaxed),
            bytes_to_client: self.bytes_to_client.load(Relaxed),
            bytes_lost: self.bytes_lost.load(Relaxed),
        }
    }
}
