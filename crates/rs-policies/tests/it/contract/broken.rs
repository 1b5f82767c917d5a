//! A guard with a queue, written by hand, that can be broken in many ways.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Poll, Waker},
};

use rs_core::{Call, Ending, Guard, Measure, Name, Outcome, Reason, Rejection, Unit};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Break {
    RefusesAll,
    RefusesAsyncCalls,
    WaitsForNothing,
    KeepsAfter(Ending),
    GivesBackTwice,
    TakesWhenItRefuses,
    LetsInOneMore,
    SaysNoNumbers,
    SaysNoName,
    SaysNoCode,
    KeepsWhenAWaitIsDropped,
    KeepsWhenServedAndDropped,
    DoesNotWake,
    WakesTheLast,
    LetsOvertake,
    RefusesInTheDark,
    DoesNotCountInTheDark,
    CountsTwiceInTheDark,
    ForgetsWhoIsInside,
}

const SUCCEEDED: Ending = Ending::finished(Outcome::Success);
const IGNORED: Ending = Ending::finished(Outcome::Ignored);
const FAILED: Ending = Ending::finished(Outcome::TRANSIENT);

/// Each, and what is said of it.
pub(super) const ALL: [(Break, &str); 23] = [
    (
        Break::RefusesAll,
        "refused (Async) although all before it have ended",
    ),
    (
        Break::RefusesAsyncCalls,
        "refused (Async) although all before it have ended",
    ),
    (
        Break::WaitsForNothing,
        "a call waits although all before it have ended",
    ),
    (
        Break::KeepsAfter(SUCCEEDED),
        "a call waits although all before it have ended",
    ),
    (
        Break::KeepsAfter(FAILED),
        "2 calls can be inside after one that failed, and 3 before",
    ),
    (
        Break::KeepsAfter(IGNORED),
        "2 calls can be inside after one that was ignored, and 3 before",
    ),
    (
        Break::KeepsAfter(Ending::finished(Outcome::PERMANENT)),
        "after one that failed for good",
    ),
    (
        Break::KeepsAfter(Ending::Cancelled),
        "2 calls can be inside after one that was cancelled, and 3 before",
    ),
    (
        Break::GivesBackTwice,
        "calls can be inside after one that succeeded, and 3 before",
    ),
    (Break::TakesWhenItRefuses, "calls can be inside after"),
    (Break::LetsInOneMore, "lets another in"),
    (Break::SaysNoNumbers, "does not say how much there was"),
    (Break::SaysNoName, "does not say who refused"),
    (Break::SaysNoCode, "the code of a refusal serves as a label"),
    (
        Break::KeepsWhenAWaitIsDropped,
        "after calls were dropped that waited",
    ),
    (
        Break::KeepsWhenServedAndDropped,
        "after a call was dropped that was just let in",
    ),
    (Break::DoesNotWake, "is not woken when there is a place"),
    (Break::WakesTheLast, "is not woken when there is a place"),
    (Break::LetsOvertake, "a call overtakes one that waits"),
    (Break::RefusesInTheDark, "refused in the dark (Async)"),
    (
        Break::DoesNotCountInTheDark,
        "would have been refused but for dark mode",
    ),
    (
        Break::ForgetsWhoIsInside,
        "with 1 inside and 2 places by the new rules, 2 can come in",
    ),
    (
        Break::CountsTwiceInTheDark,
        "would have been refused but for dark mode",
    ),
];

pub(super) struct Door {
    how: Option<Break>,
    inner: Mutex<Inner>,
    counted: AtomicU32,
}

struct Inner {
    limit: i64,
    inside: i64,
    dark: bool,
    next: u64,
    waiting: VecDeque<(u64, Waker)>,
    served: Vec<u64>,
    tries: u32,
}

static INSIDE: Measure = Measure::new("calls inside", Unit::Count);
static BUSY: Reason = Reason::new("door", "busy").judging(&INSIDE);
static NAMELESS: Reason = Reason::new("door", "Not Now!");

/// Waits, and takes its place in the queue with it when it is dropped.
struct Waiting<'d>(&'d Door, Option<u64>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Self(door, Some(number)) = self else {
            return;
        };
        let mut inner = door.inner.lock().unwrap();
        let waited = inner.waiting.len();
        if door.how != Some(Break::KeepsWhenAWaitIsDropped) {
            inner.waiting.retain(|(one, _)| one != number);
        }
        let was_served = waited == inner.waiting.len() && inner.served.contains(number);
        inner.served.retain(|one| one != number);
        if was_served && door.how != Some(Break::KeepsWhenServedAndDropped) {
            inner.inside -= 1;
            door.serve(&mut inner);
        }
    }
}

impl Door {
    pub(super) fn new(limit: i64, how: Option<Break>) -> Self {
        Self {
            how,
            inner: Mutex::new(Inner {
                limit,
                inside: 0,
                dark: false,
                next: 0,
                waiting: VecDeque::new(),
                served: Vec::new(),
                tries: 0,
            }),
            counted: AtomicU32::new(0),
        }
    }

    pub(super) fn resize(&self, limit: i64) {
        let mut inner = self.inner.lock().unwrap();
        inner.limit = limit;
        if self.how == Some(Break::ForgetsWhoIsInside) {
            inner.inside = 0;
        }
        self.serve(&mut inner);
    }

    pub(super) fn darken(&self) {
        self.inner.lock().unwrap().dark = true;
    }

    pub(super) fn counted(&self) -> u64 {
        self.counted.load(SeqCst).into()
    }

    fn serve(&self, inner: &mut Inner) {
        if self.how == Some(Break::LetsOvertake) {
            // Tells of the place instead of giving it.
            if let Some((_, waker)) = inner.waiting.front()
                && inner.inside < inner.limit
            {
                waker.wake_by_ref();
            }
            return;
        }
        while inner.inside < inner.limit && !inner.waiting.is_empty() {
            let next = match self.how {
                Some(Break::WakesTheLast) => inner.waiting.pop_back(),
                _ => inner.waiting.pop_front(),
            };
            let Some((number, waker)) = next else { return };
            inner.inside += 1;
            inner.served.push(number);
            if self.how != Some(Break::DoesNotWake) {
                waker.wake();
            }
        }
    }

    fn refuse(&self, inner: &mut Inner) -> Rejection {
        let (inside, limit) = (inner.inside as f64, inner.limit as f64);
        if self.how == Some(Break::TakesWhenItRefuses) {
            inner.inside += 1;
        }
        match self.how {
            Some(Break::SaysNoNumbers) => BUSY.reject(Name::of("front")),
            Some(Break::SaysNoName) => BUSY.reject(Name::of("")).because(inside, limit),
            Some(Break::SaysNoCode) => NAMELESS.reject(Name::of("front")),
            _ => BUSY.reject(Name::of("front")).because(inside, limit),
        }
    }

    fn take(&self, inner: &mut Inner, overtakes: bool) -> Result<(), Rejection> {
        inner.tries += 1;
        let free = inner.waiting.is_empty() || overtakes;
        if self.how != Some(Break::RefusesAll) && free && inner.inside < inner.limit {
            inner.inside += 1;
            return Ok(());
        }
        if inner.dark && self.how != Some(Break::RefusesInTheDark) {
            let count = match self.how {
                Some(Break::DoesNotCountInTheDark) => 0,
                Some(Break::CountsTwiceInTheDark) => 2,
                _ => 1,
            };
            self.counted.fetch_add(count, SeqCst);
            inner.inside += 1;
            return Ok(());
        }
        Err(self.refuse(inner))
    }
}

impl Guard for Door {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        let mut inner = self.inner.lock().unwrap();
        let overtakes = self.how == Some(Break::LetsOvertake);
        if self.how == Some(Break::LetsInOneMore)
            && inner.inside == inner.limit
            && inner.tries % 5 == 4
        {
            inner.inside += 1;
            return Ok(());
        }
        self.take(&mut inner, overtakes)
    }

    async fn enter(&self, _call: &Call) -> Result<(), Rejection> {
        match self.how {
            Some(Break::RefusesAsyncCalls) => {
                let mut inner = self.inner.lock().unwrap();
                return Err(self.refuse(&mut inner));
            }
            Some(Break::WaitsForNothing) => std::future::pending().await,
            _ => {}
        }
        let mut waiting = Waiting(self, None);
        poll_fn(|context| {
            let mut inner = self.inner.lock().unwrap();
            let Some(number) = waiting.1 else {
                let free = inner.waiting.is_empty() && inner.inside < inner.limit;
                if free || inner.dark || self.how == Some(Break::RefusesAll) {
                    return Poll::Ready(self.take(&mut inner, false));
                }
                let number = inner.next;
                inner.next += 1;
                inner.waiting.push_back((number, context.waker().clone()));
                waiting.1 = Some(number);
                return Poll::Pending;
            };
            if inner.served.contains(&number) {
                inner.served.retain(|one| *one != number);
                waiting.1 = None;
                return Poll::Ready(Ok(()));
            }
            if self.how == Some(Break::LetsOvertake) && inner.inside < inner.limit {
                inner.waiting.retain(|(one, _)| *one != number);
                waiting.1 = None;
                return Poll::Ready(self.take(&mut inner, true));
            }
            Poll::Pending
        })
        .await
    }

    fn leave(&self, (): (), ending: Ending) {
        let mut inner = self.inner.lock().unwrap();
        match self.how {
            Some(Break::KeepsAfter(how)) if how == ending => return,
            Some(Break::GivesBackTwice) => inner.inside -= 2,
            _ => inner.inside -= 1,
        }
        self.serve(&mut inner);
    }
}

/// Lets in so many calls, ever.
pub(super) struct Counter(AtomicU32);

impl Counter {
    pub(super) fn new(calls: u32) -> Self {
        Self(AtomicU32::new(calls))
    }
}

impl Guard for Counter {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        let taken = self
            .0
            .fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        taken
            .map(drop)
            .map_err(|_| BUSY.reject(Name::of("counter")).because(0.0, 0.0))
    }

    fn leave(&self, (): (), _ending: Ending) {}
}
