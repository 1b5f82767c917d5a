//! Promises of guards that hold something for each call: it comes back, whatever happens.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use rs_core::{Call, Guard, Permit, Policy, operation};

use super::{MANY, calls::ENDINGS, fill, poll, room};

/// How many places a new guard has.
#[track_caller]
fn places<G: Guard>(guard: &G) -> usize {
    let places = room(guard);
    assert!(places > 0, "contract: a new guard has no room");
    assert!(
        places < MANY,
        "contract: a guard with fewer than {MANY} places is needed"
    );
    places
}

#[track_caller]
fn same<G: Guard>(guard: &G, places: usize, after: impl std::fmt::Display) {
    let found = room(guard);
    assert!(
        found == places,
        "contract: {found} calls can be inside {after}, and {places} before"
    );
}

/// What a call held comes back however it ends, and once; a refusal takes nothing.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn gives_back<G: Guard>(make: impl Fn() -> G) {
    let call = Call::new("contract");
    for (how, ending) in ENDINGS {
        let guard = make();
        let places = places(&guard);
        if let Ok(ticket) = guard.try_enter(&call) {
            guard.leave(ticket, ending);
        }
        same(&guard, places, format_args!("after one that {how}"));
    }
    let guard = make();
    let places = places(&guard);
    let held: Vec<_> = fill(&guard)
        .into_iter()
        .map(|ticket| Permit::new(&guard, ticket))
        .collect();
    for _ in 0..3 {
        let refused = guard.try_admit(&call).is_err();
        assert!(refused, "contract: a guard that was filled lets another in");
    }
    drop(held);
    same(&guard, places, "after some were refused");
}

/// A call may be dropped wherever it is: before it began, on its way in, inside.
///
/// # Panics
/// When it leaves something behind.
#[track_caller]
pub fn cancels<G: Guard>(make: impl Fn() -> G) {
    let call = Call::new("contract");
    let guard = make();
    let places = places(&guard);
    drop(guard.admit(&call));
    same(
        &guard,
        places,
        "after a future was dropped that nobody polled",
    );
    for polls in 1..5 {
        let hangs = operation(async |_: Call| std::future::pending::<Result<(), ()>>().await);
        let mut running = Box::pin(guard.run(&call, &hangs));
        for _ in 0..polls {
            let _ = poll(running.as_mut());
        }
        drop(running);
        same(
            &guard,
            places,
            format_args!("after a call was dropped at poll {polls}"),
        );
    }
    // On its way in, if there is a queue.
    let held = fill(&guard);
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(guard.admit(&call))).collect();
    for one in &mut waiting {
        let _ = poll(one.as_mut());
    }
    // The one in the middle first.
    drop(waiting.swap_remove(1));
    drop(waiting);
    give(&guard, held);
    same(&guard, places, "after calls were dropped that waited");
    // Served, and gone before it heard of it.
    let held = fill(&guard);
    let mut waiting = Box::pin(guard.admit(&call));
    let _ = poll(waiting.as_mut());
    give(&guard, held);
    drop(waiting);
    same(
        &guard,
        places,
        "after a call was dropped that was just let in",
    );
}

/// Whoever waits for a place is woken when there is one, gets it in order of arrival, and is not overtaken.
/// A guard without a queue refuses instead, and is not tried further.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn waits<G: Guard>(make: impl Fn() -> G) {
    let call = Call::new("contract");
    let guard = make();
    let places = places(&guard);
    let mut held = fill(&guard);
    let bells = [(); 2].map(|()| Bell::new());
    let mut waiting = [(); 2].map(|()| Box::pin(guard.admit(&call)));
    for (one, (_, waker)) in waiting.iter_mut().zip(&bells) {
        match one.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => return give(&guard, held),
            Poll::Ready(Ok(_)) => panic!("contract: a guard that was filled lets another in"),
        }
    }
    let [mut first, mut second] = waiting;
    let Some(ticket) = held.pop() else { return };
    give(&guard, vec![ticket]);
    let [rung, _] = bells
        .each_ref()
        .map(|(bell, _)| bell.0.load(Ordering::SeqCst));
    assert!(
        rung,
        "contract: whoever waits longest is not woken when there is a place"
    );
    let overtakes = guard.try_admit(&call).is_ok();
    assert!(!overtakes, "contract: a call overtakes one that waits");
    let early = poll(second.as_mut()).is_ready();
    assert!(
        !early,
        "contract: one that came later gets in before one that waits"
    );
    let Poll::Ready(Ok(permit)) = poll(first.as_mut()) else {
        panic!("contract: one that was woken for a place does not get it");
    };
    drop(permit);
    let Poll::Ready(Ok(permit)) = poll(pin!(second)) else {
        panic!("contract: the second that waits does not get its place");
    };
    drop(permit);
    give(&guard, held);
    drop(first);
    same(&guard, places, "after calls had waited");
}

/// A guard that is given other rules knows the calls that are inside, and each place comes back once. `other`
/// gives it rules under which it still has places, and fewer than [`MANY`].
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn reconfigures<G: Guard>(make: impl Fn() -> G, other: impl Fn(&G)) {
    let call = Call::new("contract");
    let fresh = make();
    other(&fresh);
    let places = places(&fresh);
    for inside in 0..=places {
        let guard = make();
        let held: Vec<_> = (0..inside)
            .map_while(|_| guard.try_enter(&call).ok())
            .collect();
        let left = places.saturating_sub(held.len());
        other(&guard);
        let found = room(&guard);
        assert!(
            found == left,
            "contract: with {} inside and {places} places by the new rules, {found} can come in",
            held.len()
        );
        give(&guard, held);
        same(&guard, places, "after new rules and when all had left");
    }
}

fn give<G: Guard>(guard: &G, tickets: Vec<G::Ticket>) {
    for ticket in tickets {
        drop(Permit::new(guard, ticket));
    }
}

/// Whether it was rung.
struct Bell(AtomicBool);

impl Bell {
    fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self(AtomicBool::new(false)));
        (Arc::clone(&bell), bell.into())
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}
