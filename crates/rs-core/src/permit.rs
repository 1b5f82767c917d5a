use std::{fmt, time::Duration};

use crate::{Ending, Guard, Outcome};

/// An admitted call. Finish it with the outcome; dropping it unfinished means *cancelled*.
///
/// Either way the guard hears of it exactly once and takes back whatever the call held.
#[must_use = "a permit dropped unfinished counts as a cancelled call"]
pub struct Permit<G: Guard> {
    guard: G,
    ticket: Option<G::Ticket>,
}

impl<G: Guard> Permit<G> {
    /// A permit for a ticket that this guard gave out. Guards need it only when they have a way in
    /// of their own beside [`Guard::try_admit`] and [`Guard::admit`], or a permit that owns them.
    #[inline]
    pub const fn new(guard: G, ticket: G::Ticket) -> Self {
        Self {
            guard,
            ticket: Some(ticket),
        }
    }

    /// The call ended like this.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        self.end(Ending::finished(outcome));
    }

    /// The call ended like this and took this long; saves a guard that measures from reading the
    /// clock.
    #[inline]
    pub fn finish_after(self, outcome: Outcome, elapsed: Duration) {
        self.end(Ending::Finished {
            outcome,
            elapsed: Some(elapsed),
        });
    }

    #[inline]
    fn end(mut self, ending: Ending) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.leave(ticket, ending);
        }
    }

    /// The ticket itself: whoever takes it brings it back to the guard, which hears nothing from this
    /// permit any more. For guards that are made of others.
    ///
    /// # Panics
    /// Never: a permit has its ticket until it is finished or dropped.
    #[inline]
    #[expect(
        clippy::expect_used,
        reason = "whoever takes the ticket consumes the permit"
    )]
    pub fn into_ticket(mut self) -> G::Ticket {
        self.ticket.take().expect("a permit that was not finished")
    }

    /// The guard that admitted the call.
    #[inline]
    pub const fn guard(&self) -> &G {
        &self.guard
    }

    /// What the guard gave the call to carry. `None` only while the permit is being dropped.
    #[inline]
    #[must_use]
    pub const fn ticket(&self) -> Option<&G::Ticket> {
        self.ticket.as_ref()
    }
}

impl<G: Guard> Drop for Permit<G> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.leave(ticket, Ending::Cancelled);
        }
    }
}

impl<G: Guard> fmt::Debug for Permit<G>
where
    G::Ticket: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
