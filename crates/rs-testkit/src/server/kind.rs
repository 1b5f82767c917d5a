//! What is particular to each server.

use std::fmt::Debug;
use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::Place;
use crate::error::Error;

/// A kind of server with its options: how to start it and how to know that it serves.
///
/// [`Server`](super::Server) does everything else. Implement this for a server of your own.
pub trait ServerKind: Clone + Debug + Default + Send + Sync + 'static {
    /// What people call it.
    const NAME: &'static str;

    /// How many ports it needs; the first is the one for its clients.
    const PORTS: usize;

    /// How long it may take to start on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// The signal that asks it to end in an orderly way.
    const STOP: Signal = Signal::TERM;

    /// A shell command that frees what the system would keep of a killed server, run in its folder.
    const TIDY: &'static str = ":";

    /// The command that runs it in the foreground, for the first time and after a restart.
    ///
    /// The command runs in the folder of `place`; its output is the log.
    ///
    /// # Errors
    ///
    /// A missing program or a configuration that cannot be written.
    fn command(&self, place: &Place) -> Result<Command, Error>;

    /// One attempt to use it as a client would.
    ///
    /// # Errors
    ///
    /// Why it does not serve yet.
    fn ready(&self, place: &Place) -> impl Future<Output = io::Result<()>> + Send;
}
