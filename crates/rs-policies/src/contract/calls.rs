//! Promises about calls: what goes through, what is refused, and how it is said.

use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::Poll,
};

use rs_core::{
    ByResult, Call, Ending, Failure, Guard, Outcome, Permit, Policy, Rejection, operation,
};

use super::poll;

/// A call through this guard, by each of the ways there are. Whether the operation ran, and what came of it.
fn call<G: Guard>(
    guard: &G,
    way: Way,
    answer: Result<u32, u32>,
) -> (u32, Result<u32, Failure<u32>>) {
    let runs = AtomicU32::new(0);
    let ran = || runs.fetch_add(1, Ordering::Relaxed);
    let call = Call::new("contract");
    let result = match way {
        Way::Async => {
            let operation = operation(async |_: Call| {
                ran();
                answer
            });
            match poll(pin!(guard.run(&call, &operation))) {
                Poll::Ready(result) => result,
                Poll::Pending => panic!("contract: a call waits although all before it have ended"),
            }
        }
        Way::Blocking => guard.call_blocking(call, &ByResult, |_| {
            ran();
            answer
        }),
        Way::Permit => guard
            .try_admit(&call)
            .map_err(Failure::from)
            .and_then(|permit| {
                ran();
                permit.finish(Outcome::Success);
                answer.map_err(|error| Failure::Operation { error, attempts: 1 })
            }),
    };
    (runs.into_inner(), result)
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Async,
    Blocking,
    Permit,
}

impl Way {
    const ALL: [Self; 3] = [Self::Async, Self::Blocking, Self::Permit];
}

/// A guard that admits calls admits them by every way, each runs once, and its result comes out as it was.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn behaves<G: Guard>(make: impl Fn() -> G) {
    for way in Way::ALL {
        let guard = make();
        for round in 0..10 {
            let (runs, result) = call(&guard, way, Ok(round));
            if let Err(Failure::Rejected(why)) = &result {
                panic!(
                    "contract: a call is refused ({way:?}) although all before it have ended: {why}"
                );
            }
            let same = result == Ok(round);
            assert!(
                same,
                "contract: a result is changed on its way out ({way:?}): {result:?}"
            );
            assert!(
                runs == 1,
                "contract: an admitted call ran {runs} times ({way:?})"
            );
        }
        let (runs, result) = call(&make(), way, Err(7));
        let error = result.as_ref().err().and_then(Failure::operation);
        let same = error == Some(&7);
        assert!(
            same,
            "contract: an error is changed on its way out ({way:?}): {result:?}"
        );
        assert!(
            runs == 1,
            "contract: a call that failed ran {runs} times ({way:?})"
        );
    }
}

/// A guard that refuses does so by every way, runs nothing, and explains itself. `exhaust` brings it to where
/// it refuses, and gives the tickets that keep it there: see [`fill`](super::fill).
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn reports<G: Guard>(make: impl Fn() -> G, exhaust: impl Fn(&G) -> Vec<G::Ticket>) {
    for way in Way::ALL {
        let guard = make();
        let held = hold(&guard, exhaust(&guard));
        let runs = AtomicU32::new(0);
        let refusal = match way {
            // This one may have a queue, and wait.
            Way::Async => guard.try_admit(&Call::new("contract")).map(drop),
            Way::Blocking | Way::Permit => match call(&guard, way, Ok(1)) {
                (ran, Err(Failure::Rejected(why))) => {
                    runs.store(ran, Ordering::Relaxed);
                    Err(why)
                }
                _ => Ok(()),
            },
        };
        let Err(why) = refusal else {
            panic!("contract: a call is let in ({way:?}) where the guard should refuse");
        };
        let ran = runs.into_inner() > 0;
        assert!(!ran, "contract: a refused call ran ({way:?})");
        explains_itself(&why);
        drop(held);
    }
}

#[track_caller]
fn explains_itself(why: &Rejection) {
    let reason = why.reason();
    for (what, text) in [("policy", reason.policy()), ("code", reason.code())] {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            !text.is_empty() && text.chars().all(plain),
            "contract: the {what} of a refusal serves as a label, in words like `queue_full`; it is `{text}`"
        );
    }
    let instance = why.instance();
    assert!(
        !instance.as_str().is_empty(),
        "contract: a refusal does not say who refused"
    );
    if let Some(measure) = reason.measure() {
        let (name, seen, limit) = (measure.name(), why.observed(), why.limit());
        assert!(
            seen.is_some_and(f64::is_finite) && limit.is_some_and(f64::is_finite),
            "contract: a refusal for its {name} does not say how much there was and how much is allowed: \
             {seen:?} and {limit:?}"
        );
    }
}

/// In dark mode a guard lets in what it would refuse, counts it, and is as it was when that has left. `darken`
/// puts an exhausted guard in the dark, `counted` says how many it would have refused.
///
/// # Panics
/// When that is not so.
#[track_caller]
pub fn goes_dark<G: Guard>(
    make: impl Fn() -> G,
    exhaust: impl Fn(&G) -> Vec<G::Ticket>,
    darken: impl Fn(&G),
    counted: impl Fn(&G) -> u64,
) {
    let guard = make();
    let held = hold(&guard, exhaust(&guard));
    let refused = guard.try_admit(&Call::new("contract")).is_err();
    assert!(
        refused,
        "contract: the guard should refuse before it is in the dark"
    );
    darken(&guard);
    let before = counted(&guard);
    for (number, way) in (1..).zip(Way::ALL) {
        let (runs, result) = call(&guard, way, Ok(5));
        if let Err(Failure::Rejected(why)) = &result {
            panic!("contract: a call is refused in the dark ({way:?}): {why}");
        }
        let same = result == Ok(5);
        assert!(
            same,
            "contract: a result is changed in the dark ({way:?}): {result:?}"
        );
        assert!(
            runs == 1,
            "contract: a call in the dark ran {runs} times ({way:?})"
        );
        let found = counted(&guard) - before;
        assert!(
            found == number,
            "contract: {number} would have been refused but for dark mode ({way:?}), and {found} were counted"
        );
    }
    // Let in one on top of the other, and out in the order that they came.
    let call = Call::new("contract");
    let several: Vec<_> = (0..3).map(|_| guard.try_admit(&call)).collect();
    let all_in = several.iter().all(Result::is_ok);
    assert!(
        all_in,
        "contract: several calls at once are not all let in in the dark"
    );
    drop(held);
    drop(several);
    let again = guard.try_admit(&call);
    assert!(
        again.is_ok(),
        "contract: a guard in the dark refuses when all have left"
    );
}

fn hold<G: Guard>(guard: &G, tickets: Vec<G::Ticket>) -> Vec<Permit<&G>> {
    let permits = tickets.into_iter();
    permits.map(|ticket| Permit::new(guard, ticket)).collect()
}

/// Every way in which a permit comes back, and its name.
pub(super) const ENDINGS: [(&str, Ending); 5] = [
    ("succeeded", Ending::finished(Outcome::Success)),
    ("failed", Ending::finished(Outcome::TRANSIENT)),
    ("failed for good", Ending::finished(Outcome::PERMANENT)),
    ("was ignored", Ending::finished(Outcome::Ignored)),
    ("was cancelled", Ending::Cancelled),
];
