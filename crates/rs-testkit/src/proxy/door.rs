//! The listening port, which can be closed and opened again.

use std::future::poll_fn;
use std::io;
use std::net;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::clock;
use crate::port::Port;

/// Before another attempt when the system has no descriptor left or has given our port away.
const PAUSE: Duration = Duration::from_millis(10);

/// A port of our own. It closes and opens at once, not when a task gets to it, so that a test that
/// connects right after is refused or let in as it should be.
#[derive(Debug)]
pub(super) struct Door {
    port: Port,
    runtime: Handle,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Whether it should be open; opening can fail for a moment.
    wanted: bool,
    listener: Option<TcpListener>,
}

impl Door {
    /// A closed door.
    pub(super) fn new(port: Port) -> Self {
        let state = State {
            wanted: false,
            listener: None,
        };
        Self {
            port,
            runtime: Handle::current(),
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    pub(super) fn addr(&self) -> net::SocketAddr {
        self.port.addr()
    }

    pub(super) fn close(&self) {
        *self.lock() = State {
            wanted: false,
            listener: None,
        };
    }

    /// Opens it if it is closed. After an error, [`enter`](Self::enter) keeps trying.
    pub(super) fn open(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.wanted = true;
        if state.listener.is_none() {
            state.listener = Some(self.listen()?);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    /// The next client, whenever the door is open for it.
    pub(super) async fn enter(&self) -> TcpStream {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            tokio::select! {
                stream = poll_fn(|context| self.poll_accept(context)) => match stream {
                    Ok(stream) => return stream,
                    Err(_) => clock::sleep(PAUSE).await,
                },
                () = changed => {}
                () = self.opening_late() => {}
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match &self.lock().listener {
            Some(listener) => listener.poll_accept(context).map_ok(|(stream, _)| stream),
            // Woken by `changed`.
            None => Poll::Pending,
        }
    }

    /// Opens the door that could not be opened when it should have been.
    async fn opening_late(&self) {
        loop {
            let late = {
                let state = self.lock();
                state.wanted && state.listener.is_none()
            };
            if !late {
                return std::future::pending().await;
            }
            clock::sleep(PAUSE).await;
            if self.lock().wanted && self.open().is_ok() {
                return;
            }
        }
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let listener = net::TcpListener::bind(self.addr())?;
        listener.set_nonblocking(true)?;
        // The caller may be on a thread of its own.
        let _runtime = self.runtime.enter();
        TcpListener::from_std(listener)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
