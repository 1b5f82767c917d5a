//! One client's connection, from its acceptance to its end.

use std::net::SocketAddr;

use fastrand::Rng;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::delivery::Delivery;
use super::fault::Fault;
use super::lane::Direction;
use super::stats::Counters;
use super::switch::Switch;

/// Carries the connection until both ends are done with it or a reset ends it.
pub(super) async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    switch: &Switch,
    counters: &Counters,
    mut chance: Rng,
) {
    let _open = Open::count(counters);
    let line = switch.connect();
    let connected = tokio::select! {
        biased;
        () = reset(line.fault.clone()) => None,
        connected = TcpStream::connect(server) => connected.ok(),
    };
    let Some(mut server) = connected else {
        // The port was open when the client knocked; a reset is the nearest thing to a refusal.
        counters.reset();
        let _ = client.set_zero_linger();
        return;
    };
    // Delays are ours to make.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);

    let orderly = {
        let mut delivery = |direction| {
            let chance = chance.fork();
            Delivery {
                direction,
                fault: line.fault.clone(),
                counters,
                chance,
            }
        };
        let requests = delivery(Direction::ToServer);
        let replies = delivery(Direction::ToClient);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            biased;
            () = reset(line.fault.clone()) => false,
            done = async {
                tokio::try_join!(requests.run(from_client, to_server), replies.run(from_server, to_client))
            } => done.is_ok(),
        }
    };
    if !orderly {
        counters.reset();
        // With nothing to linger for, closing sends a reset instead of an orderly end.
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// Returns when the fault is a reset.
async fn reset(mut fault: watch::Receiver<Fault>) {
    if fault.wait_for(Fault::resets).await.is_err() {
        std::future::pending().await
    }
}

/// Counts a connection for as long as it lasts.
struct Open<'a>(&'a Counters);

impl<'a> Open<'a> {
    fn count(counters: &'a Counters) -> Self {
        counters.accepted();
        Self(counters)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.ended();
    }
}
