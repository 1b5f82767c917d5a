//! How a process ends.

use std::{future::Future, io, pin::pin, task::Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

use rs_core::unless;

use crate::{GaveUp, ManagerError, StopReport, WhenGivenUp, WorkerManager};

/// Why [`WorkerManager::run`] stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// The process was told to end, by SIGTERM or SIGINT.
    Told(StopReport),
    /// It was told twice: nobody had any time left.
    ToldTwice(StopReport),
    /// Too many restarts.
    GaveUp(GaveUp, StopReport),
}

impl Stopped {
    /// Who stopped how.
    #[must_use]
    pub const fn report(&self) -> &StopReport {
        match self {
            Self::Told(report) | Self::ToldTwice(report) | Self::GaveUp(_, report) => report,
        }
    }
}

impl WorkerManager {
    /// Starts all workers, and stops them when the process is told to end by SIGTERM or SIGINT, or when the
    /// manager gives up. A second signal aborts what still runs.
    ///
    /// # Errors
    /// When the start fails; what was started is stopped then. When signals cannot be listened to.
    ///
    /// # Cancel safety
    /// If it is dropped, the workers go on.
    pub async fn run(&self) -> Result<Stopped, ManagerError> {
        let listen = |kind| {
            signal(kind).map_err(|error: io::Error| ManagerError::NoSignals(error.to_string()))
        };
        let mut told = Told {
            term: listen(SignalKind::terminate())?,
            int: listen(SignalKind::interrupt())?,
        };
        let started = unless(told.next(), self.start_all()).await;
        let gave_up = match started {
            // Told while it started.
            None => None,
            Some(Ok(()) | Err(ManagerError::GaveUp(_))) => unless(told.next(), self.ended()).await,
            Some(Err(error)) => {
                self.stop_all().await;
                return Err(error);
            }
        };
        let stopped = {
            let stop = pin!(self.stop_all());
            unless(told.next(), stop).await
        };
        if let (Some(_), WhenGivenUp::Exit(code)) = (&gave_up, self.config().then()) {
            std::process::exit(code.into());
        }
        Ok(match (stopped, gave_up) {
            (Some(report), None) => Stopped::Told(report),
            (Some(report), Some(why)) => Stopped::GaveUp(why, report),
            (None, _) => Stopped::ToldTwice(self.stop_now().await),
        })
    }
}

struct Told {
    term: Signal,
    int: Signal,
}

impl Told {
    fn next(&mut self) -> impl Future<Output = ()> {
        std::future::poll_fn(|cx| {
            let term = self.term.poll_recv(cx).is_ready();
            let int = self.int.poll_recv(cx).is_ready();
            if term || int {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}
