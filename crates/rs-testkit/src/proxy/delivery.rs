//! Carries bytes one way through the fault of the moment.

use std::future::pending;
use std::io;

use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::fault::Fault;
use super::lane::{Direction, Flow, Lane};
use super::stats::Counters;
use crate::clock;

/// How many pieces may be on their way; a sender that is faster is held back, as by a real network.
const PIECES: usize = 64;

/// How large a piece is at most.
const PIECE: usize = 16 * 1024;

/// What was read at once. It is timed when it sets off, so that latency delays without throttling.
#[derive(Debug)]
struct Piece {
    set_off: Instant,
    roll: f64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    /// The sender will send no more.
    End,
    /// The sender is gone.
    Broken,
}

/// Takes what one end sends and gives it to the other, later, slower or not at all.
pub(super) struct Delivery<'a> {
    pub(super) direction: Direction,
    pub(super) fault: watch::Receiver<Fault>,
    pub(super) counters: &'a Counters,
    pub(super) chance: Rng,
}

impl Delivery<'_> {
    /// Runs until the sender's end has been passed on.
    ///
    /// # Errors
    ///
    /// The sender is gone, and the other end is to learn of it.
    pub(super) async fn run(mut self, from: ReadHalf<'_>, to: WriteHalf<'_>) -> io::Result<()> {
        let (sender, pieces) = mpsc::channel(PIECES);
        let chance = self.chance.fork();
        let ((), delivered) = tokio::join!(collect(from, sender, chance), self.deliver(pieces, to));
        delivered
    }

    async fn deliver(
        &mut self,
        mut pieces: mpsc::Receiver<Piece>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        // A stream that has lost a byte has lost all that follows.
        let mut lossy = false;
        while let Some(piece) = pieces.recv().await {
            lossy |= self.travel(&piece).await == Flow::Lost;
            match piece.content {
                Content::Bytes(bytes) if lossy => self.counters.lost(bytes.len()),
                Content::Bytes(bytes) => lossy = self.pass_on(&bytes, &mut to).await == Flow::Lost,
                Content::End | Content::Broken if lossy => pending().await,
                Content::End => return to.shutdown().await,
                Content::Broken => return Err(io::ErrorKind::ConnectionReset.into()),
            }
        }
        Ok(())
    }

    /// Waits until the piece has arrived; returns whether it did.
    async fn travel(&mut self, piece: &Piece) -> Flow {
        loop {
            let lane = self.lane();
            match lane.flow {
                Flow::Lost => return Flow::Lost,
                Flow::Held => self.change().await,
                Flow::Open => {
                    let due = piece.set_off + lane.delay(piece.roll);
                    if due <= clock::now() {
                        return Flow::Open;
                    }
                    // A fault that is healed meanwhile delays no longer.
                    tokio::select! {
                        () = clock::sleep_until(due) => {}
                        () = self.change() => {}
                    }
                }
            }
        }
    }

    /// Hands the bytes over at the speed of the lane; returns whether all went through.
    async fn pass_on(&mut self, mut bytes: &[u8], to: &mut WriteHalf<'_>) -> Flow {
        while !bytes.is_empty() {
            let lane = self.lane();
            match lane.flow {
                Flow::Lost => {
                    self.counters.lost(bytes.len());
                    return Flow::Lost;
                }
                Flow::Held => {
                    self.change().await;
                    continue;
                }
                Flow::Open => {}
            }
            let (now, later) = bytes.split_at(lane.portion(bytes.len()));
            // A receiver that is gone tells through its own direction, subject to the fault there.
            if to.write_all(now).await.is_ok() {
                self.counters.delivered(self.direction, now.len());
            }
            bytes = later;
            let busy = lane.busy(now.len());
            if !busy.is_zero() {
                tokio::select! {
                    () = clock::sleep(busy) => {}
                    () = self.change() => {}
                }
            }
        }
        Flow::Open
    }

    fn lane(&mut self) -> Lane {
        self.fault.borrow_and_update().lane(self.direction)
    }

    async fn change(&mut self) {
        // Without a switch the fault stays as it is.
        if self.fault.changed().await.is_err() {
            pending().await
        }
    }
}

async fn collect(mut from: ReadHalf<'_>, pieces: mpsc::Sender<Piece>, mut chance: Rng) {
    let mut buffer = vec![0; PIECE];
    loop {
        let content = match from.read(&mut buffer).await {
            Ok(0) => Content::End,
            Ok(read) => Content::Bytes(buffer[..read].to_vec()),
            Err(_) => Content::Broken,
        };
        let last = !matches!(content, Content::Bytes(_));
        let piece = Piece {
            set_off: clock::now(),
            roll: chance.f64(),
            content,
        };
        if pieces.send(piece).await.is_err() || last {
            return;
        }
    }
}
