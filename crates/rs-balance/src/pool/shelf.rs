//! The connections of an endpoint, and who waits for one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64, atomic::Ordering},
    time::Instant,
};

use rs_metrics::{
    Counter, Family, Histogram,
    pattern::{Home, Rules},
};
use tokio::sync::Semaphore;

use super::{
    Connect, NoConnection, PoolConfig,
    metrics::{self, Borrowed, Closed},
    stock::{Idle, Leaving, Place as Left, Stock},
};

/// What the endpoints of a pool share.
pub(crate) struct Shared<C> {
    pub(crate) home: Home,
    pub(crate) rules: Rules<PoolConfig>,
    pub(crate) connect: C,
    pub(crate) borrowed: Family<Counter, Borrowed>,
    pub(crate) refused: Family<Counter, NoConnection>,
    pub(crate) failed: Family<Counter>,
    pub(crate) closed: Family<Counter, Closed>,
    pub(crate) waits: Family<Histogram>,
}

impl<C> Shared<C> {
    pub(crate) fn new(home: Home, rules: Rules<PoolConfig>, connect: C) -> Self {
        let (name, registry) = (home.name, home.metrics());
        Self {
            borrowed: metrics::BORROWED.bind_in(&registry, name),
            refused: metrics::REFUSED.bind_in(&registry, name),
            failed: metrics::FAILED.bind_in(&registry, name),
            closed: metrics::CLOSED.bind_in(&registry, name),
            waits: metrics::WAIT.bind_in(&registry, name),
            home,
            rules,
            connect,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.home.around.clock().now()
    }
}

/// An endpoint as its balancer knows it.
pub(crate) struct Shelf<C: Connect> {
    /// Which one it is, in this process.
    pub(crate) number: u64,
    pub(crate) target: C::Target,
    pub(crate) shared: Arc<Shared<C>>,
    /// Who has a place may have a connection; places are handed out in order. Closed with the endpoint.
    places: Semaphore,
    stock: Mutex<Stock<C::Connection>>,
}

impl<C: Connect> Shelf<C> {
    pub(crate) fn new(shared: &Arc<Shared<C>>, target: C::Target) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let size = shared.rules.get().size() as usize;
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            target,
            shared: Arc::clone(shared),
            places: Semaphore::new(size),
            stock: Mutex::new(Stock::new(size)),
        }
    }

    pub(crate) fn stock(&self) -> MutexGuard<'_, Stock<C::Connection>> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, if one is free, and what lies idle for who has it.
    pub(crate) fn try_take(
        self: &Arc<Self>,
        now: Instant,
        config: &PoolConfig,
    ) -> Option<Taken<C>> {
        let permit = self.places.try_acquire().ok()?;
        permit.forget();
        let mut stock = self.stock();
        stock.take();
        let (idle, leaving) = stock.pop(now, config);
        drop(stock);
        let place = Place::new(self);
        self.bid_farewell(leaving);
        Some((place, idle))
    }

    /// Whether the endpoint has gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.places.is_closed()
    }

    /// A place, when one is free; `None` if the endpoint goes.
    pub(crate) async fn take(self: &Arc<Self>) -> Option<Place<C>> {
        let permit = self.places.acquire().await.ok()?;
        permit.forget();
        self.stock().take();
        Some(Place::new(self))
    }

    /// Somebody waits from now on, if there is room for one more.
    pub(crate) fn try_wait(&self, queue: u32) -> Option<Waiting<'_, C>> {
        let may = self.stock().try_wait(queue as usize);
        may.then(|| Waiting(self))
    }

    pub(crate) fn pop(&self, now: Instant, config: &PoolConfig) -> Option<Idle<C::Connection>> {
        let (idle, leaving) = self.stock().pop(now, config);
        self.bid_farewell(leaving);
        idle
    }

    /// A place is free again, or one less is to be had.
    fn leave(&self, stock: &mut Stock<C::Connection>) {
        // Under the lock: whoever makes the pool smaller counts the places that are free.
        if stock.leave() == Left::Free {
            self.places.add_permits(1);
        }
    }

    pub(crate) fn expire(&self, now: Instant, config: &PoolConfig) {
        let leaving = self.stock().expire(now, config);
        self.bid_farewell(leaving);
    }

    /// Closes what is idle, because it will not work either.
    pub(crate) fn distrust(&self) {
        let leaving = self.stock().clear(Closed::Check);
        self.bid_farewell(leaving);
    }

    /// Closes what is idle, and from now on what calls bring back; who waits goes elsewhere.
    pub(crate) fn close(&self) {
        self.places.close();
        let leaving = self.stock().close();
        self.bid_farewell(leaving);
    }

    /// What leaves is the caller's to bid farewell.
    pub(crate) fn resize(&self, size: u32) -> Leaving<C::Connection> {
        let mut stock = self.stock();
        let forget = |count| self.places.forget_permits(count);
        let (more, leaving) = stock.resize(size as usize, forget);
        self.places.add_permits(more);
        leaving
    }

    /// Drops connections while nobody waits for it: that is the caller's code.
    pub(crate) fn bid_farewell(&self, leaving: Leaving<C::Connection>) {
        for (connection, why) in leaving {
            self.shared.closed[why].increment();
            drop(connection);
        }
    }
}

/// A place, and the connection that lay idle there, if one did.
pub(crate) type Taken<C> = (Place<C>, Option<Idle<<C as Connect>::Connection>>);

/// A place that a call has at an endpoint, until this is dropped.
pub(crate) struct Place<C: Connect> {
    shelf: Arc<Shelf<C>>,
    has_left: bool,
}

impl<C: Connect> Place<C> {
    /// Of one that has been counted.
    fn new(shelf: &Arc<Shelf<C>>) -> Self {
        Self {
            shelf: Arc::clone(shelf),
            has_left: false,
        }
    }

    pub(crate) fn shelf(&self) -> &Shelf<C> {
        &self.shelf
    }

    /// Goes, and leaves its connection for the next call.
    pub(crate) fn leave(mut self, idle: Idle<C::Connection>, config: &PoolConfig) {
        let shelf = &self.shelf;
        let mut stock = shelf.stock();
        let leaving = stock.push(idle, config);
        shelf.leave(&mut stock);
        drop(stock);
        self.has_left = true;
        self.shelf.bid_farewell(leaving);
    }
}

impl<C: Connect> Drop for Place<C> {
    fn drop(&mut self) {
        if !self.has_left {
            self.shelf.leave(&mut self.shelf.stock());
        }
    }
}

/// Somebody waits, until this is dropped.
pub(crate) struct Waiting<'a, C: Connect>(&'a Shelf<C>);

impl<C: Connect> Drop for Waiting<'_, C> {
    fn drop(&mut self) {
        self.0.stock().stop_waiting();
    }
}
