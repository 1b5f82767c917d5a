use std::{fmt, ops::Deref, time::Duration};

use rs_core::{Ending, Guard, Outcome};

use crate::{node::Node, sync::Arc};

/// A call that goes to an endpoint: it counts as in flight there until this is finished or dropped.
///
/// It stands for what it takes to call the endpoint, so that one calls through it. Finish it with the
/// outcome; dropping it unfinished means that the call was cancelled. It owns what it uses: the endpoint may
/// leave the set, and the balancer may be dropped, while calls go on.
///
/// ```
/// use rs_balance::{Balancer, BalancerConfig, Endpoint, Strategy};
/// use rs_core::{Call, Outcome};
///
/// let search = Balancer::new("search", BalancerConfig::new(Strategy::Random))?;
/// search.update([Endpoint::new("a", String::from("10.0.0.7:80"))]);
///
/// let lease = search.pick(&Call::new("query")).expect("an endpoint");
/// assert!(lease.starts_with("10.0.0."), "a lease stands for the value");
/// assert_eq!(search.in_flight(), 1);
/// lease.finish(Outcome::Success);
/// assert_eq!(search.in_flight(), 0);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[must_use = "a lease dropped unfinished counts as a cancelled call"]
pub struct Lease<T, G: Guard = ()> {
    node: Arc<Node<T, G>>,
    begun: u64,
    /// The id of the call, above a bit that says whether it counts among all calls in flight, too.
    call: u64,
    ticket: Carried<G::Ticket>,
}

/// What the guard gave the call to carry.
///
/// As wide as a word: a lease without gaps is kept in registers and moved in one piece, one with gaps is
/// copied byte by byte, which costs more than a count.
#[repr(u64)]
enum Carried<K> {
    Yes(K),
    /// The balancer has heard how the call ended, though the lease may go on to count.
    NoMore,
}

const COUNTED: u64 = 1 << 63;

/// Counts a call among all that are in flight. What its lease has to know for its id then.
#[cold]
pub(crate) fn count<T, G>(node: &Node<T, G>, call: u64) -> u64 {
    node.common.takes_off();
    call | COUNTED
}

impl<T, G: Guard> Lease<T, G> {
    #[inline(always)]
    pub(crate) const fn new(
        node: Arc<Node<T, G>>,
        ticket: G::Ticket,
        begun: u64,
        call: u64,
    ) -> Self {
        Self {
            node,
            begun,
            call,
            ticket: Carried::Yes(ticket),
        }
    }

    /// The call ended like this.
    #[inline]
    pub fn finish(mut self, outcome: Outcome) {
        self.end(Ending::finished(outcome));
    }

    /// The call ended like this and took this long; saves reading the clock.
    #[inline]
    pub fn finish_after(mut self, outcome: Outcome, elapsed: Duration) {
        self.end(Ending::Finished {
            outcome,
            elapsed: Some(elapsed),
        });
    }

    /// The answer has begun, and this is what it says; the call goes on to count as in flight until the
    /// lease is dropped.
    ///
    /// For answers that are streamed: how long their reader takes says nothing about the endpoint.
    #[inline]
    pub fn answered(&mut self, outcome: Outcome) {
        self.end(Ending::finished(outcome));
    }

    /// Which endpoint it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.node.id
    }

    /// What it takes to call the endpoint.
    #[must_use]
    pub fn value(&self) -> &T {
        &self.node.value
    }

    /// The guard of the endpoint.
    #[must_use]
    pub fn guard(&self) -> &G {
        &self.node.guard
    }

    pub(crate) fn number(&self) -> u32 {
        self.node.number
    }

    #[inline(always)]
    fn end(&mut self, ending: Ending) {
        if let Carried::Yes(ticket) = std::mem::replace(&mut self.ticket, Carried::NoMore) {
            self.node.ends(ending, self.begun, self.call & !COUNTED);
            self.node.guard.leave(ticket, ending);
        }
    }
}

impl<T, G: Guard> Deref for Lease<T, G> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.node.value
    }
}

impl<T, G: Guard> Drop for Lease<T, G> {
    #[inline]
    fn drop(&mut self) {
        self.end(Ending::Cancelled);
        if self.call & COUNTED != 0 {
            self.node.common.lands();
        }
    }
}

impl<T, G: Guard> fmt::Debug for Lease<T, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("endpoint", &self.id())
            .field("answered", &matches!(self.ticket, Carried::NoMore))
            .finish_non_exhaustive()
    }
}
