//! The handle that tests hold.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keeper::Keeper;
use super::kind::ServerKind;
use super::log::Log;
use super::place::Place;
use super::process::Process;
use crate::clock;
use crate::error::Error;

/// Between two attempts to use a server that is starting or looks whether one has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// How long one attempt to use a server may take while it starts.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long a server has for an orderly end before it is killed.
const LAST_WISH: Duration = Duration::from_secs(15);

/// How often another program may take the ports before a start fails.
const MOVES: u32 = 5;

/// A running server that belongs to the test alone: [`Redis`](crate::Redis),
/// [`Consul`](crate::Consul) and so on.
///
/// Dropping it kills the server and removes its folder. When the test panics, the last lines of the
/// server's log are printed with the panic.
#[derive(Debug)]
pub struct Server<K: ServerKind> {
    kind: K,
    // The order of what follows matters when this is dropped: the server dies and its folder goes,
    // in the same way as if the test had been killed, and then others may have the ports.
    _keeper: Keeper,
    process: Mutex<Option<Process>>,
    /// Held while processes come and go: ending a server ends all that runs in its folder.
    changing: tokio::sync::Mutex<()>,
    place: Place,
    log: Log,
}

impl<K: ServerKind> Server<K> {
    /// Starts a server with the default options and waits until it serves.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] names the command that installs the program; [`Error::Died`] and
    /// [`Error::NotReady`] carry the end of the server's log.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the server and removes its folder.
    pub async fn start() -> Result<Self, Error> {
        Self::start_with(K::default()).await
    }

    /// The options, to change some before starting.
    #[must_use]
    pub fn builder() -> K {
        K::default()
    }

    /// Starts a server with these options and waits until it serves.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// As [`start`](Self::start).
    pub async fn start_with(kind: K) -> Result<Self, Error> {
        let mut moves = 0;
        loop {
            let server = Self::settle(kind.clone())?;
            let Err(error) = server.restart().await else {
                return Ok(server);
            };
            // The error says all there is to say about it.
            server.kill().await;
            // Our ports are reserved among tests, but the rest of the machine does not know.
            if !error.is_port_taken() || moves == MOVES {
                return Err(error);
            }
            moves += 1;
        }
    }

    fn settle(kind: K) -> Result<Self, Error> {
        let place = Place::pick(K::NAME, K::PORTS)?;
        let _keeper = Keeper::start(place.folder(), K::TIDY)?;
        place.create()?;
        let log = Log::of(&place);
        Ok(Self {
            kind,
            process: Mutex::new(None),
            changing: tokio::sync::Mutex::new(()),
            _keeper,
            place,
            log,
        })
    }

    /// The address for clients.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.place.addr()
    }

    /// The folder with its data, configuration and log, removed with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.place.folder()
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &K {
        &self.kind
    }

    /// All that it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The process that was started, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running().ok()?.as_ref().map(Process::id)
    }

    /// Freezes all its processes with `SIGSTOP`: connections are accepted by the kernel, and then
    /// nothing answers. Returns when nothing moves any more.
    ///
    /// # Errors
    ///
    /// [`Error::Died`] or [`Error::NotRunning`] when there is nothing to freeze.
    pub fn pause(&self) -> Result<(), Error> {
        self.with_process(Process::pause)
    }

    /// Lets it go on after a [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// [`Error::Died`] or [`Error::NotRunning`] when there is nothing to resume.
    pub fn resume(&self) -> Result<(), Error> {
        self.with_process(Process::resume)
    }

    /// Kills it with `SIGKILL`, as a crash would. Returns when its ports refuse connections; they
    /// stay reserved for a [`restart`](Self::restart).
    ///
    /// # Cancel safety
    ///
    /// Once it has begun it kills, also when the future is dropped.
    pub async fn kill(&self) {
        let _alone = self.changing.lock().await;
        self.kill_alone().await;
    }

    /// Asks it to end in an orderly way, and kills it when it does not.
    ///
    /// # Cancel safety
    ///
    /// Once it has begun it asks; dropping the future leaves the server ending, and it is no longer
    /// killed when it does not end.
    pub async fn stop(&self) {
        let _alone = self.changing.lock().await;
        self.stop_alone().await;
    }

    /// Stops it if it runs, and starts it again with the same data and on the same ports.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the server stopped or starting; a further `restart` continues from
    /// there.
    pub async fn restart(&self) -> Result<(), Error> {
        {
            let _alone = self.changing.lock().await;
            self.stop_alone().await;
            let command = self.kind.command(&self.place)?;
            let process = Process::start(K::NAME, command, self.place.folder(), &self.log)?;
            *self.lock() = Some(process);
        }
        tokio::select! {
            biased;
            error = self.end() => Err(error),
            ready = self.readiness() => ready,
        }
    }

    async fn kill_alone(&self) {
        let process = self.lock().take();
        if let Some(process) = process {
            process.kill().await;
        }
    }

    async fn stop_alone(&self) {
        if let Some(process) = self.lock().as_mut() {
            process.ask(K::STOP);
        }
        let asked = clock::now();
        while asked.elapsed() < LAST_WISH && !self.has_ended() {
            clock::sleep(PAUSE).await;
        }
        self.kill_alone().await;
    }

    /// Waits until it serves.
    async fn readiness(&self) -> Result<(), Error> {
        let started = clock::now();
        loop {
            let attempt = clock::timeout(ATTEMPT, self.kind.ready(&self.place)).await;
            let last = match attempt.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                // Somebody else may answer there, while ours could not have the port.
                Ok(()) => return self.running().map(drop),
                Err(error) => error.to_string(),
            };
            if started.elapsed() > K::PATIENCE {
                let log = self.log.last_lines();
                return Err(Error::NotReady {
                    server: K::NAME,
                    waited: started.elapsed(),
                    last,
                    log,
                });
            }
            clock::sleep(PAUSE).await;
        }
    }

    /// Waits until it ends, by itself or by a test that does not wait for it to be ready.
    async fn end(&self) -> Error {
        loop {
            if let Err(error) = self.with_process(|_| ()) {
                return error;
            }
            clock::sleep(PAUSE).await;
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    fn with_process(&self, act: impl FnOnce(&Process)) -> Result<(), Error> {
        match self.running()?.as_ref() {
            Some(process) => act(process),
            None => return Err(Error::NotRunning { server: K::NAME }),
        }
        Ok(())
    }

    /// The process, or none if the test ended it, or the error if it ended by itself.
    fn running(&self) -> Result<MutexGuard<'_, Option<Process>>, Error> {
        let mut guard = self.lock();
        let Some(process) = guard.as_mut() else {
            return Ok(guard);
        };
        match process.ended() {
            None => Ok(guard),
            Some(_) if process.was_asked() => Err(Error::NotRunning { server: K::NAME }),
            Some(status) => Err(Error::Died {
                server: K::NAME,
                status: status.to_string(),
                log: self.log.last_lines(),
            }),
        }
    }

    fn has_ended(&self) -> bool {
        self.lock()
            .as_mut()
            .is_none_or(|process| process.ended().is_some())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: ServerKind> Drop for Server<K> {
    fn drop(&mut self) {
        let (how, surprising) = match self.running() {
            Err(Error::Died { .. }) => ("had ended by itself", true),
            Ok(process) if process.is_some() => ("was running", false),
            _ => ("had been stopped", false),
        };
        if surprising || std::thread::panicking() {
            eprintln!(
                "{} {how} on {}; its last lines:\n{}\n",
                K::NAME,
                self.addr(),
                self.log.last_lines()
            );
        }
    }
}
