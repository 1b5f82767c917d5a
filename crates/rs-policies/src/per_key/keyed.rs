use std::{fmt, sync::Arc};

use rs_core::{Call, Ending, Guard, Rejection};

use super::{Inner, PerKey, Resting, shelf::Kept};

/// The guard of one key; see [`PerKey::of`].
pub struct Keyed<G> {
    pub(super) kept: Option<Arc<Kept<G>>>,
    pub(super) of: PerKey<G>,
}

impl<G> Keyed<G> {
    /// The guard; `None` if there was no room for it.
    #[must_use]
    pub fn guard(&self) -> Option<&G> {
        self.kept.as_deref().map(|kept| &kept.guard)
    }
}

/// What a call carries that the guard of its key admitted: the guard, and what the guard gave out. Nothing
/// if its key has none.
pub struct KeyedTicket<G: Guard>(Option<(Arc<Kept<G>>, G::Ticket)>);

impl<G: Guard> KeyedTicket<G> {
    pub(super) fn leave(self, ending: Ending) {
        if let Some((kept, ticket)) = self.0 {
            kept.guard.leave(ticket, ending);
        }
    }
}

impl<G: Resting> Inner<G> {
    #[inline]
    pub(super) fn try_enter(
        &self,
        kept: Option<Arc<Kept<G>>>,
        call: &Call,
    ) -> Result<KeyedTicket<G>, Rejection> {
        let Some(kept) = kept else {
            return self.without_guard().map(|()| KeyedTicket(None));
        };
        match kept.guard.try_enter(call) {
            Ok(ticket) => Ok(KeyedTicket(Some((kept, ticket)))),
            Err(refused) => Err(self.refuse(refused)),
        }
    }

    pub(super) async fn enter(
        &self,
        kept: Option<Arc<Kept<G>>>,
        call: &Call,
    ) -> Result<KeyedTicket<G>, Rejection> {
        let Some(kept) = kept else {
            return self.without_guard().map(|()| KeyedTicket(None));
        };
        match kept.guard.enter(call).await {
            Ok(ticket) => Ok(KeyedTicket(Some((kept, ticket)))),
            Err(refused) => Err(self.refuse(refused)),
        }
    }

    #[cold]
    fn refuse(&self, refused: Rejection) -> Rejection {
        self.refused.increment();
        refused
    }
}

impl<G: Resting + 'static> Guard for Keyed<G> {
    type Ticket = KeyedTicket<G>;

    fn try_enter(&self, call: &Call) -> Result<KeyedTicket<G>, Rejection> {
        self.of.0.try_enter(self.kept.clone(), call)
    }

    fn enter(&self, call: &Call) -> impl Future<Output = Result<KeyedTicket<G>, Rejection>> + Send {
        self.of.0.enter(self.kept.clone(), call)
    }

    fn leave(&self, ticket: KeyedTicket<G>, ending: Ending) {
        ticket.leave(ending);
    }
}

impl<G> fmt::Debug for Keyed<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("of", &self.of.name())
            .field("has_room", &self.kept.is_some())
            .finish_non_exhaustive()
    }
}

impl<G: Guard> fmt::Debug for KeyedTicket<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedTicket").finish_non_exhaustive()
    }
}
