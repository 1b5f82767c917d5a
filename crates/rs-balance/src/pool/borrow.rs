//! How a call comes by a connection.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use rs_core::{Call, Clock, Failure, Fault, Outcome, Rejection, TimeScope, TimedOut};

use super::{
    Connect, Connected, Inner, NoConnection, PoolConfig,
    metrics::{Borrowed, Closed},
    shelf::{Place, Shelf, Taken},
};
use crate::Lease;

type Leased<C> = Lease<Arc<Shelf<C>>>;

/// Endpoints may go while a call waits for them; it begins anew so many times.
const ROUNDS: u32 = 4;

/// What a future gives within this time; `None` if the time is over first.
async fn within<F: Future>(clock: &Clock, time: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut sleep) = (pin!(future), pin!(clock.sleep(time)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
    })
    .await
}

/// What became of a look at several endpoints.
enum Looked<C: Connect> {
    Found(Connected<C>),
    /// All that were asked are full; the call may wait for the first.
    Full(Leased<C>),
    Failed(Failure<C::Error>),
}

/// What a call could not connect to.
struct Lost<E> {
    shelves: Vec<u64>,
    last: Option<Failure<E>>,
}

impl<E> Lost<E> {
    fn to(&mut self, shelf: u64, failure: Failure<E>) {
        self.shelves.push(shelf);
        self.last = Some(failure);
    }
}

impl<C: Connect> Inner<C> {
    pub(crate) async fn borrow(&self, call: &Call) -> Result<Connected<C>, Failure<C::Error>> {
        let config = self.shared.rules.get();
        // Those that this call could not connect to, and why not the last of them.
        let mut lost = Lost {
            shelves: Vec::new(),
            last: None,
        };
        for _ in 0..ROUNDS {
            let (lease, place) = match self.look(call, &config, &mut lost).await {
                Looked::Found(connected) => return Ok(connected),
                Looked::Failed(failure) => return Err(failure),
                Looked::Full(lease) => match self.wait(call, &config, &lease).await? {
                    Some(place) => (lease, place),
                    None => {
                        lease.finish(Outcome::Ignored);
                        continue;
                    }
                },
            };
            let number = lease.number;
            let now = self.shared.now();
            let idle = place.shelf().pop(now, &config);
            match self.fill(call, &config, lease, (place, idle), now).await {
                Ok(connected) => return Ok(connected),
                Err(failure) => lost.to(number, failure),
            }
        }
        Err(lost
            .last
            .unwrap_or_else(|| self.refuse_full(&config).into()))
    }

    /// Looks at endpoints, one after the other, for a connection that is free or can be made.
    ///
    /// The first that is full keeps its lease: it has been chosen, and the call counts there while it looks
    /// elsewhere.
    async fn look(&self, call: &Call, config: &PoolConfig, lost: &mut Lost<C::Error>) -> Looked<C> {
        let mut full: Option<Leased<C>> = None;
        let mut seen = lost.shelves.clone();
        while seen.len() < usize::from(config.tries()) {
            if let Some(failure) = self.is_late(call) {
                return Looked::Failed(failure);
            }
            // All have been seen: nobody is refused for that.
            if !seen.is_empty() && seen.len() >= self.balancer.len() {
                break;
            }
            let lease = match self.pick(call, &seen) {
                Ok(lease) => lease,
                Err(refusal) => {
                    lost.last.get_or_insert_with(|| refusal.into());
                    break;
                }
            };
            let number = lease.number;
            let now = self.shared.now();
            match lease.try_take(now, config) {
                Some(taken) => match self.fill(call, config, lease, taken, now).await {
                    Ok(connected) => return Looked::Found(connected),
                    Err(failure) => lost.to(number, failure),
                },
                None if full.is_none() && !lease.is_closed() => full = Some(lease),
                None => lease.finish(Outcome::Ignored),
            }
            seen.push(number);
        }
        match (full, lost.last.take()) {
            (Some(full), last) => {
                lost.last = last;
                Looked::Full(full)
            }
            (None, Some(last)) => Looked::Failed(last),
            (None, None) => Looked::Failed(self.refuse_full(config).into()),
        }
    }

    fn pick(&self, call: &Call, seen: &[u64]) -> Result<Leased<C>, Rejection> {
        if seen.is_empty() {
            return self.balancer.try_pick(call);
        }
        self.balancer
            .try_pick_but(call, |_, shelf| seen.contains(&shelf.number))
    }

    /// Waits for a place at an endpoint; `None` if the endpoint goes.
    async fn wait(
        &self,
        call: &Call,
        config: &PoolConfig,
        lease: &Leased<C>,
    ) -> Result<Option<Place<C>>, Failure<C::Error>> {
        let limit = config.longest_wait();
        let clock = self.shared.home.around.clock();
        let begun = clock.now();
        let (time, is_cut) = self.time_for(call, limit);
        let Some(waiting) = lease.try_wait(config.queue()) else {
            let refusal = match config.queue() {
                0 => self.refuse_full(config),
                queue => self.refuse(
                    NoConnection::QueueFull,
                    lease.stock().waiting() as f64,
                    queue.into(),
                ),
            };
            return Err(refusal.into());
        };
        let waited = within(clock, time, lease.take()).await;
        drop(waiting);
        if let Some(place) = waited {
            if place.is_some() {
                let waited = clock.now().saturating_duration_since(begun);
                self.shared.waits.record_time(waited);
            }
            return Ok(place);
        }
        if is_cut {
            return Err(TimedOut::new(TimeScope::Deadline, time).into());
        }
        let (waited, limit) = (time.as_secs_f64(), limit.as_secs_f64());
        Err(self.refuse(NoConnection::Waited, waited, limit).into())
    }

    /// A connection for who has a place: the one that lay idle there if it works, or a new one.
    async fn fill(
        &self,
        call: &Call,
        config: &PoolConfig,
        lease: Leased<C>,
        (place, idle): Taken<C>,
        now: Instant,
    ) -> Result<Connected<C>, Failure<C::Error>> {
        let shared = &self.shared;
        let clock = shared.home.around.clock();
        if let Some(mut idle) = idle {
            let lay = now.saturating_duration_since(idle.since);
            let mut begun = now;
            let works = if lay < config.check_after() {
                true
            } else {
                let (time, is_cut) = self.time_for(call, config.check_within());
                let check = shared.connect.check(&mut idle.connection);
                let checked = within(clock, time, check).await;
                begun = clock.now();
                match checked {
                    Some(answer) => answer.is_ok(),
                    // The call had too little time: that says nothing about the others. This one is in the
                    // middle of a check, and of no use to anybody.
                    None if is_cut => {
                        shared.closed[Closed::Cancelled].increment();
                        return Err(TimedOut::new(TimeScope::Deadline, time).into());
                    }
                    None => false,
                }
            };
            if works {
                shared.borrowed[Borrowed::Reused].increment();
                let (connection, made) = (idle.connection, idle.made);
                return Ok(Connected::new(connection, made, begun, true, lease, place));
            }
            shared.closed[Closed::Check].increment();
            drop(idle);
            // All others have lain longer.
            place.shelf().distrust();
        }
        let (time, is_cut) = self.time_for(call, config.connect_within());
        let connect = shared.connect.connect(&place.shelf().target);
        match within(clock, time, connect).await {
            Some(Ok(connection)) => {
                shared.borrowed[Borrowed::Made].increment();
                let now = clock.now();
                Ok(Connected::new(connection, now, now, false, lease, place))
            }
            Some(Err(error)) => {
                shared.failed.increment();
                lease.finish(Outcome::TRANSIENT);
                let attempts = call.attempt();
                Err(Failure::Operation { error, attempts })
            }
            // The call had too little time: that says nothing about the endpoint, and its lease is dropped.
            None if is_cut => Err(TimedOut::new(TimeScope::Deadline, time).into()),
            None => {
                shared.failed.increment();
                lease.finish(Fault::timed_out().into());
                Err(TimedOut::new(TimeScope::Connect, time).into())
            }
        }
    }

    /// So long, or until the deadline of the call; and whether that is what limits it.
    fn time_for(&self, call: &Call, limit: Duration) -> (Duration, bool) {
        match call.remaining(self.shared.now()) {
            Some(left) if left < limit => (left, true),
            _ => (limit, false),
        }
    }

    fn is_late(&self, call: &Call) -> Option<Failure<C::Error>> {
        let left = call.remaining(self.shared.now())?;
        let late = TimedOut::new(TimeScope::Deadline, left);
        left.is_zero().then(|| late.into())
    }

    fn refuse_full(&self, config: &PoolConfig) -> Rejection {
        let size = config.size().into();
        self.refuse(NoConnection::Full, size, size)
    }

    #[cold]
    fn refuse(&self, why: NoConnection, observed: f64, limit: f64) -> Rejection {
        self.shared.refused[why].increment();
        why.reason()
            .reject(self.shared.home.name)
            .because(observed, limit)
    }
}
