use std::future::Future;

use crate::{Call, Classify, Ending, Failure, Outline, Permit, Rejection, classify::contained};

/// Admits or refuses a call, and hears how it ended: a breaker, a bulkhead, a rate limit.
///
/// Whoever writes a guard writes two functions: [`try_enter`](Guard::try_enter) decides and gives
/// out a ticket, [`leave`](Guard::leave) takes the ticket back. Whoever uses one calls
/// [`try_admit`](Guard::try_admit) or [`admit`](Guard::admit) and holds a [`Permit`], which brings
/// the ticket back whatever happens: `leave` is called exactly once for each ticket, also when the
/// caller's future is dropped or its thread panics. Every guard is a [`Policy`](crate::Policy).
///
/// ```
/// use rs_core::{Call, Ending, Guard, Measure, Name, Reason, Rejection, Unit};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// /// Admits one call at a time.
/// struct Turnstile { inside: AtomicU32 }
///
/// static INSIDE: Measure = Measure::new("calls inside", Unit::Count);
/// static BUSY: Reason = Reason::new("turnstile", "busy").judging(&INSIDE);
///
/// impl Guard for Turnstile {
///     type Ticket = ();
///
///     fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
///         match self.inside.compare_exchange(0, 1, Relaxed, Relaxed) {
///             Ok(_) => Ok(()),
///             Err(inside) => Err(BUSY.reject(Name::of("door")).because(inside.into(), 1.0)),
///         }
///     }
///
///     fn leave(&self, (): (), _ending: Ending) {
///         self.inside.store(0, Relaxed);
///     }
/// }
///
/// let door = Turnstile { inside: AtomicU32::new(0) };
/// let permit = door.try_admit(&Call::new("visit"))?;
/// assert!(door.try_admit(&Call::new("visit")).is_err());
/// drop(permit);
/// assert!(door.try_admit(&Call::new("visit")).is_ok());
/// # Ok::<(), Rejection>(())
/// ```
pub trait Guard: Send + Sync {
    /// What an admitted call carries and brings back: the generation it was admitted in, the place
    /// it holds, when it began.
    type Ticket: Send;

    /// Decides at once, without waiting.
    ///
    /// # Errors
    /// The rejection that explains why not.
    fn try_enter(&self, call: &Call) -> Result<Self::Ticket, Rejection>;

    /// Decides, and may wait for a place. By default it does not wait.
    ///
    /// An implementation that waits gives up at the call's deadline, and gives back whatever it held
    /// when its future is dropped.
    fn enter(&self, call: &Call) -> impl Future<Output = Result<Self::Ticket, Rejection>> + Send {
        std::future::ready(self.try_enter(call))
    }

    /// What [`enter`](Guard::enter) would decide, if it need not wait for it; `None` says nothing, and
    /// `enter` is asked.
    ///
    /// A way round the future of `enter` for whoever is in a hurry. A guard that never waits answers
    /// `Some(self.try_enter(call))`.
    fn enter_at_once(&self, call: &Call) -> Option<Result<Self::Ticket, Rejection>> {
        let _ = call;
        None
    }

    /// Takes a ticket back.
    fn leave(&self, ticket: Self::Ticket, ending: Ending);

    /// What it is, for whoever plans a stack: a pipeline adds up how long calls may be held up, and
    /// refuses a retry that could make a breaker open with a single call.
    fn outline(&self) -> Outline {
        Outline::of("guard")
    }

    /// A permit for this call, or the reason why not, at once.
    ///
    /// # Errors
    /// The rejection that explains why not.
    #[inline]
    fn try_admit(&self, call: &Call) -> Result<Permit<&Self>, Rejection> {
        let ticket = self.try_enter(call)?;
        Ok(Permit::new(self, ticket))
    }

    /// A permit for this call, waiting for it where the guard has a queue.
    ///
    /// # Errors
    /// The rejection that explains why not.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue, and a place that was just won.
    #[inline]
    fn admit(&self, call: &Call) -> impl Future<Output = Result<Permit<&Self>, Rejection>> + Send {
        async move {
            let ticket = self.enter(call).await?;
            Ok(Permit::new(self, ticket))
        }
    }

    /// Calls a blocking operation under this guard, judged by this classifier; [`ByResult`](crate::ByResult) takes every
    /// `Err` for a transient failure. It does not wait for a place: that would block the thread.
    /// A classifier that panics is contained: the call counts as failed, and a signal says so.
    ///
    /// # Errors
    /// [`Failure::Rejected`] when the guard refuses, else the operation's own error.
    fn call_blocking<T, E>(
        &self,
        call: impl Into<Call>,
        classify: &impl Classify<T, E>,
        operation: impl FnOnce(Call) -> Result<T, E>,
    ) -> Result<T, Failure<E>> {
        let call = call.into();
        let permit = self.try_admit(&call)?;
        let result = operation(call);
        permit.finish(contained(classify, &call, result.as_ref()));
        result.map_err(|error| Failure::Operation {
            error,
            attempts: call.attempt(),
        })
    }
}

macro_rules! guard_by_reference {
    ($($reference:ty),*) => {$(
        impl<G: Guard + ?Sized> Guard for $reference {
            type Ticket = G::Ticket;

            #[inline]
            fn try_enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
                (**self).try_enter(call)
            }

            #[inline]
            fn enter(
                &self,
                call: &Call,
            ) -> impl Future<Output = Result<Self::Ticket, Rejection>> + Send {
                (**self).enter(call)
            }

            #[inline]
            fn enter_at_once(&self, call: &Call) -> Option<Result<Self::Ticket, Rejection>> {
                (**self).enter_at_once(call)
            }

            #[inline]
            fn leave(&self, ticket: Self::Ticket, ending: Ending) {
                (**self).leave(ticket, ending);
            }

            fn outline(&self) -> Outline {
                (**self).outline()
            }
        }
    )*};
}

guard_by_reference!(&G, Box<G>, std::sync::Arc<G>);
