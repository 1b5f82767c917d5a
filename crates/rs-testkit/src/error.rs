//! What can go wrong, in words that explain a failed test.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a server or a wait failed.
///
/// `Debug` reads like `Display`, because that is what a test prints when it unwraps or returns an
/// error.
#[non_exhaustive]
pub enum Error {
    /// The machine does not have this program.
    Missing {
        /// The program that was looked for.
        program: &'static str,
    },
    /// The server ended without being told to.
    Died {
        /// Which server.
        server: &'static str,
        /// How it ended, such as `exit status: 1`.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// The server runs but does not answer as it should.
    NotReady {
        /// Which server.
        server: &'static str,
        /// How long it was given.
        waited: Duration,
        /// What the last attempt to use it said.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// The test has ended the server, so it cannot be paused, resumed or become ready.
    NotRunning {
        /// Which server.
        server: &'static str,
    },
    /// The condition of a [`wait_until`](crate::wait_until) did not come.
    NotYet {
        /// What was awaited.
        what: String,
        /// How long.
        waited: Duration,
        /// How many times the condition was looked at.
        looks: u32,
        /// What it said last.
        last: String,
    },
    /// No port is free in the range that tests use.
    NoPort,
    /// The operating system refused something.
    Os {
        /// What was attempted.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn os(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Os { doing, source }
    }

    /// Whether another program took the server's port before the server could.
    pub(crate) fn is_port_taken(&self) -> bool {
        let (Self::Died { log, .. } | Self::NotReady { log, .. }) = self else {
            return false;
        };
        let log = log.to_ascii_lowercase();
        ["address already in use", "address in use", "eaddrinuse"]
            .iter()
            .any(|words| log.contains(words))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program } => {
                // It takes minutes to build, so it is asked for by name.
                let which = match *program {
                    "apiextensions-apiserver" => " --kubernetes",
                    _ => "",
                };
                write!(
                    f,
                    "`{program}` is not on this machine; install it: cargo xtask services install{which}"
                )
            }
            Self::Died {
                server,
                status,
                log,
            } => {
                write!(
                    f,
                    "{server} ended by itself ({status}); its last lines:\n{log}"
                )
            }
            Self::NotReady {
                server,
                waited,
                last,
                log,
            } => {
                write!(
                    f,
                    "{server} is not ready after {waited:.1?}: {last}; its last lines:\n{log}"
                )
            }
            Self::NotRunning { server } => write!(f, "{server} is not running"),
            Self::NotYet {
                what,
                waited,
                looks,
                last,
            } => {
                write!(
                    f,
                    "not in {waited:.1?}: {what}; looked {looks} times, last: {last}"
                )
            }
            Self::NoPort => write!(f, "no free port between {:?}", crate::port::RANGE),
            Self::Os { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}
