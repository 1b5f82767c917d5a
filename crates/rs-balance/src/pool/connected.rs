use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Instant,
};

use rs_core::Outcome;

use super::{
    Connect,
    metrics::Closed,
    shelf::{Place, Shelf},
    stock::Idle,
};
use crate::Lease;

/// A connection that a call has, and its place in the balance: it counts until this is finished or dropped.
///
/// It stands for the connection. Finish it with the outcome, and the connection serves the next call if it
/// can. Dropping it unfinished means that the call was cancelled: the connection is closed, because an
/// answer to the cancelled call may still be on its way.
#[must_use = "a connection dropped unfinished is closed, and counts as a cancelled call"]
pub struct Connected<C: Connect> {
    /// `None` when it is finished.
    held: Option<Held<C>>,
    is_reused: bool,
}

/// In the order in which they are dropped: the connection is closed before its place is given to another.
struct Held<C: Connect> {
    connection: C::Connection,
    made: Instant,
    begun: Instant,
    lease: Lease<Arc<Shelf<C>>>,
    place: Place<C>,
}

impl<C: Connect> Connected<C> {
    pub(crate) const fn new(
        connection: C::Connection,
        made: Instant,
        begun: Instant,
        is_reused: bool,
        lease: Lease<Arc<Shelf<C>>>,
        place: Place<C>,
    ) -> Self {
        Self {
            held: Some(Held {
                connection,
                made,
                begun,
                lease,
                place,
            }),
            is_reused,
        }
    }

    /// The call ended like this: the connection goes back if [`Connect::may_stay`] says so.
    pub fn finish(mut self, outcome: Outcome) {
        let Some(held) = &mut self.held else {
            return;
        };
        // The caller's code: if it panics, the call counts as cancelled and the connection is closed.
        let shared = &held.place.shelf().shared;
        let stays = shared.connect.may_stay(&mut held.connection, outcome);
        self.end(outcome, stays);
    }

    /// The call ended like this, and the connection is to serve no other.
    pub fn finish_and_close(mut self, outcome: Outcome) {
        self.end(outcome, false);
    }

    fn end(&mut self, outcome: Outcome, stays: bool) {
        let Some(held) = self.held.take() else {
            return;
        };
        let shelf = held.place.shelf();
        let now = shelf.shared.now();
        // Not counted from the pick: who waited for a connection waited for other calls.
        let elapsed = now.saturating_duration_since(held.begun);
        held.lease.finish_after(outcome, elapsed);
        if stays {
            let idle = Idle {
                connection: held.connection,
                made: held.made,
                since: now,
            };
            let config = shelf.shared.rules.get();
            held.place.leave(idle, &config);
        } else {
            shelf.shared.closed[Closed::Broken].increment();
            drop(held.connection);
            drop(held.place);
        }
    }

    fn held(&self) -> &Held<C> {
        match &self.held {
            Some(held) => held,
            None => unreachable!("only `finish` and `drop` take it, and nobody has it afterwards"),
        }
    }

    /// Which endpoint it is connected to.
    #[must_use]
    pub fn id(&self) -> &str {
        self.held().lease.id()
    }

    /// What it took to connect to the endpoint.
    #[must_use]
    pub fn target(&self) -> &C::Target {
        &self.held().place.shelf().target
    }

    /// Whether it has served other calls before.
    #[must_use]
    pub const fn is_reused(&self) -> bool {
        self.is_reused
    }
}

impl<C: Connect> Deref for Connected<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        &self.held().connection
    }
}

impl<C: Connect> DerefMut for Connected<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        match &mut self.held {
            Some(held) => &mut held.connection,
            None => unreachable!("only `finish` and `drop` take it, and nobody has it afterwards"),
        }
    }
}

impl<C: Connect> Drop for Connected<C> {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.place.shelf().shared.closed[Closed::Cancelled].increment();
        }
    }
}

impl<C: Connect> fmt::Debug for Connected<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("endpoint", &self.id())
            .field("is_reused", &self.is_reused)
            .finish_non_exhaustive()
    }
}
