//! The handle that tests hold.

use std::net::SocketAddr;
use std::sync::Arc;

use fastrand::Rng;
use tokio::task::JoinSet;

use super::connection::carry;
use super::door::Door;
use super::fault::Fault;
use super::stats::{Counters, ProxyStats};
use super::switch::Switch;
use crate::error::Error;
use crate::port::Port;
use crate::task::Task;

/// A TCP proxy in front of a server that behaves like a bad network.
///
/// It starts without a fault. Faults are switched while it runs; they take effect at once, on bytes
/// that are on their way too. Dropping it closes its port and all its connections.
///
/// ```
/// # use std::time::Duration;
/// # async fn doc(server: std::net::SocketAddr) -> Result<(), rs_testkit::Error> {
/// use rs_testkit::{Fault, FaultProxy};
///
/// let proxy = FaultProxy::start(server).await?;
/// let client_connects_to = proxy.addr();
/// proxy.set(Fault::latency(Duration::from_millis(50)).jitter(Duration::from_millis(20)));
/// proxy.set(Fault::black_hole());
/// proxy.heal();
/// assert_eq!(proxy.stats().accepted, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    // Dropped first, and with it every connection.
    _task: Task,
    shared: Arc<Shared>,
    seed: u64,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    door: Door,
    switch: Switch,
    counters: Counters,
}

impl FaultProxy {
    /// Starts a proxy in front of `server`, which need not be there yet.
    ///
    /// # Errors
    ///
    /// No port is to be had.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn start(server: SocketAddr) -> Result<Self, Error> {
        Self::start_seeded(server, fastrand::u64(..)).await
    }

    /// The same, with chance that can be repeated: connections accepted in the same order draw the
    /// same jitter for the same pieces.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// As [`start`](Self::start).
    pub async fn start_seeded(server: SocketAddr, seed: u64) -> Result<Self, Error> {
        let door = Door::new(Port::reserve()?);
        door.open().map_err(Error::os("listen for a proxy"))?;
        let shared = Arc::new(Shared {
            server,
            door,
            switch: Switch::default(),
            counters: Counters::default(),
        });
        let task = Task::spawn(serve(Arc::clone(&shared), Rng::with_seed(seed)));
        Ok(Self {
            _task: task,
            shared,
            seed,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.door.addr()
    }

    /// What its chance started from, to repeat a run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// From now on this is wrong with the network, for all connections.
    pub fn set(&self, fault: Fault) {
        self.shared.switch.set(fault);
        self.answer_door(fault);
    }

    /// From now on this is wrong for new connections; those that are there keep what they have.
    pub fn set_for_new(&self, fault: Fault) {
        self.shared.switch.set_for_new(fault);
        self.answer_door(fault);
    }

    /// Nothing is wrong any more.
    pub fn heal(&self) {
        self.set(Fault::none());
    }

    /// Resets the connections that are there, once; new ones are not affected.
    pub fn cut(&self) {
        self.shared.switch.set_for_present(Fault::reset());
    }

    /// What has passed through.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        self.shared.counters.read()
    }

    fn answer_door(&self, fault: Fault) {
        if fault.refuses() {
            self.shared.door.close();
        } else {
            // Should the port be taken for a moment, the door keeps trying.
            let _ = self.shared.door.open();
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The task ends when the runtime gets to it; the port closes now.
        self.shared.door.close();
    }
}

/// Holds all connections, so that they end with it.
async fn serve(shared: Arc<Shared>, mut chance: Rng) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            client = shared.door.enter() => {
                let (shared, chance) = (Arc::clone(&shared), chance.fork());
                connections.spawn(async move {
                    let Shared { server, switch, counters, .. } = &*shared;
                    carry(client, *server, switch, counters, chance).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
