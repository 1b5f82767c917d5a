//! Who may lead: what a lease has to do, and where it is kept.

#[cfg(feature = "etcd")]
mod etcd;
mod memory;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "etcd")]
pub use etcd::EtcdLease;
pub use memory::MemoryLease;
#[cfg(feature = "redis")]
pub use redis::RedisLease;

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

/// The number of a term: each is larger than all before it, whoever leads.
///
/// It fences: whatever the leader changes remembers the largest epoch it has seen and refuses smaller
/// ones. Then a leader that was frozen, and does not know yet that it was replaced, changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who wants to lead what, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// What is led: the name of the worker, the same on all replicas.
    pub name: String,
    /// Who wants to lead: no other replica says the same.
    pub holder: String,
    /// How long the lease lasts unless it is renewed.
    pub time: Duration,
}

impl Claim {
    /// A claim.
    pub fn new(name: impl Into<String>, holder: impl Into<String>, time: Duration) -> Self {
        Self {
            name: name.into(),
            holder: holder.into(),
            time,
        }
    }
}

/// The answer of a [`Lease`], which is waited for.
pub type LeaseFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LeaseError>> + Send + 'a>>;

/// Where the replicas of a service agree on who leads.
///
/// # Implementing
///
/// - At any time at most one holder has the lease of a name, and each that gets it gets a larger
///   [`Epoch`] than all before, also after the store was restarted.
/// - A lease ends when its time has passed by the clock of the store, counted from when the store heard the
///   claim or its last renewal.
/// - Time is all that the store needs to know: it never asks whether a holder still lives.
pub trait Lease: Send + Sync + 'static {
    /// Gives the lease to this holder if nobody else has it: the epoch of its term. A holder that has it
    /// already, because it did not hear the answer, begins a new term.
    ///
    /// # Errors
    /// When there is no answer. Whether the lease was given is not known then.
    ///
    /// # Cancel safety
    /// Dropping the future is like an error.
    fn acquire<'a>(&'a self, claim: &'a Claim) -> LeaseFuture<'a, Option<Epoch>>;

    /// Begins the time of this holder's lease anew; whether it still had it, in this epoch.
    ///
    /// # Errors
    /// When there is no answer.
    ///
    /// # Cancel safety
    /// Dropping the future is like an error.
    fn renew<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, bool>;

    /// Ends this holder's lease, if it still has it in this epoch.
    ///
    /// # Errors
    /// When there is no answer; the lease ends with its time then.
    ///
    /// # Cancel safety
    /// Dropping the future is like an error.
    fn release<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, ()>;
}

impl<L: Lease + ?Sized> Lease for Arc<L> {
    fn acquire<'a>(&'a self, claim: &'a Claim) -> LeaseFuture<'a, Option<Epoch>> {
        (**self).acquire(claim)
    }

    fn renew<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, bool> {
        (**self).renew(claim, epoch)
    }

    fn release<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, ()> {
        (**self).release(claim, epoch)
    }
}

/// A lease store that did not answer, and why.
#[derive(Debug, Clone)]
pub struct LeaseError(Arc<dyn Error + Send + Sync>);

impl LeaseError {
    /// This is why.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into().into())
    }
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for LeaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
