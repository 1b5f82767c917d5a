use rs_core::{Call, Ending, Guard, Outcome, Outline, Permit, Rejection};

/// Two guards as one: a call must get past both, the first one first.
///
/// What the second refuses says nothing about the dependency to the first.
///
/// # Cancel safety
/// A call that is dropped while it waits for the second gives back what it has of the first.
#[derive(Debug, Clone)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Guard, B: Guard> Both<A, B> {
    fn refused_inside(outer: Permit<&A>, why: Rejection) -> Rejection {
        outer.finish(Outcome::Ignored);
        why
    }
}

impl<A: Guard, B: Guard> Guard for Both<A, B> {
    type Ticket = (A::Ticket, B::Ticket);

    fn try_enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
        let outer = self.0.try_admit(call)?;
        match self.1.try_enter(call) {
            Ok(inner) => Ok((outer.into_ticket(), inner)),
            Err(why) => Err(Self::refused_inside(outer, why)),
        }
    }

    async fn enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
        let outer = match self.0.enter_at_once(call) {
            Some(entered) => entered?,
            None => self.0.enter(call).await?,
        };
        let outer = Permit::new(&self.0, outer);
        let entered = match self.1.enter_at_once(call) {
            Some(entered) => entered,
            None => self.1.enter(call).await,
        };
        match entered {
            Ok(inner) => Ok((outer.into_ticket(), inner)),
            Err(why) => Err(Self::refused_inside(outer, why)),
        }
    }

    #[inline]
    fn leave(&self, (outer, inner): Self::Ticket, ending: Ending) {
        self.1.leave(inner, ending);
        self.0.leave(outer, ending);
    }

    fn outline(&self) -> Outline {
        let (outer, inner) = (self.0.outline(), self.1.outline());
        let waits = outer.longest_wait().saturating_add(inner.longest_wait());
        let outline = Outline::of("guards")
            .saying(format!("{outer}; {inner}"))
            .waiting_up_to(waits);
        let failures = [outer.refuses_after(), inner.refuses_after()];
        match failures.into_iter().flatten().min() {
            Some(failures) => outline.refusing_after(failures),
            None => outline,
        }
    }
}
