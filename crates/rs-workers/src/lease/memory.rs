use std::{
    collections::HashMap,
    fmt,
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use rs_core::{Clock, Deadline};

use super::{Claim, Epoch, Lease, LeaseFuture};

/// A [`Lease`] in memory: for one process, and for tests of what leads.
///
/// Clones are the same.
#[derive(Clone, Default)]
pub struct MemoryLease {
    clock: Clock,
    held: Arc<Mutex<HashMap<String, Held>>>,
}

struct Held {
    holder: Option<String>,
    epoch: Epoch,
    until: Instant,
}

impl MemoryLease {
    /// Nobody leads anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same by this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            clock,
            held: Arc::default(),
        }
    }

    /// Who leads this now, and in which epoch.
    #[must_use]
    pub fn leader(&self, name: &str) -> Option<(String, Epoch)> {
        let (now, held) = (self.clock.now(), self.held());
        let held = held.get(name).filter(|held| held.until > now)?;
        Some((held.holder.clone()?, held.epoch))
    }

    /// Takes the lease away from whoever has it, as if its time were over.
    pub fn revoke(&self, name: &str) {
        if let Some(held) = self.held().get_mut(name) {
            held.holder = None;
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_of(&self, claim: &Claim, epoch: Epoch, now: Instant) -> bool {
        self.holder.as_ref() == Some(&claim.holder) && self.epoch == epoch && self.until > now
    }
}

impl Lease for MemoryLease {
    fn acquire<'a>(&'a self, claim: &'a Claim) -> LeaseFuture<'a, Option<Epoch>> {
        let now = self.clock.now();
        let mut all = self.held();
        let before = all.get(&claim.name);
        let taken = before.is_some_and(|held| {
            let by_another = held
                .holder
                .as_ref()
                .is_some_and(|holder| *holder != claim.holder);
            by_another && held.until > now
        });
        let epoch = Epoch::new(before.map_or(1, |held| held.epoch.number() + 1));
        if !taken {
            let held = Held {
                holder: Some(claim.holder.clone()),
                epoch,
                until: Deadline::after(now, claim.time).moment(),
            };
            all.insert(claim.name.clone(), held);
        }
        Box::pin(ready(Ok((!taken).then_some(epoch))))
    }

    fn renew<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, bool> {
        let now = self.clock.now();
        let mut all = self.held();
        let held = all
            .get_mut(&claim.name)
            .filter(|held| held.is_of(claim, epoch, now));
        let renewed = held.map(|held| held.until = Deadline::after(now, claim.time).moment());
        Box::pin(ready(Ok(renewed.is_some())))
    }

    fn release<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, ()> {
        let now = self.clock.now();
        let mut all = self.held();
        if let Some(held) = all
            .get_mut(&claim.name)
            .filter(|held| held.is_of(claim, epoch, now))
        {
            held.holder = None;
        }
        Box::pin(ready(Ok(())))
    }
}

impl fmt::Debug for MemoryLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLease")
            .field("names", &self.held().len())
            .finish_non_exhaustive()
    }
}
