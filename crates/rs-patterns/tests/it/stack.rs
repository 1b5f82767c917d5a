//! Three guards and two policies, none of which the crates know.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use rs_patterns::core::{
    Call, Clock, Deadline, Ending, Failure, Guard, Measure, Name, Operation, Outcome, Policy,
    Reason, Rejection, TimeScope, TimedOut, Unit, operation,
};

static SPENT: Measure = Measure::new("calls", Unit::Count);
static USED_UP: Reason = Reason::new("quota", "used_up").judging(&SPENT);

/// Admits so many calls in all, and remembers how they ended.
pub(crate) struct Quota {
    name: Name,
    limit: u32,
    spent: AtomicU32,
    pub(crate) inside: AtomicU32,
    pub(crate) succeeded: AtomicU32,
    pub(crate) failed: AtomicU32,
    pub(crate) cancelled: AtomicU32,
}

impl Quota {
    pub(crate) fn new(name: &'static str, limit: u32) -> Self {
        Self {
            name: Name::of(name),
            limit,
            spent: AtomicU32::new(0),
            inside: AtomicU32::new(0),
            succeeded: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            cancelled: AtomicU32::new(0),
        }
    }
}

impl Guard for Quota {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        let spent = self.spent.fetch_add(1, Relaxed);
        if spent >= self.limit {
            let reason = USED_UP.reject(self.name);
            return Err(reason.because(self.limit.into(), self.limit.into()));
        }
        self.inside.fetch_add(1, Relaxed);
        Ok(())
    }

    fn leave(&self, (): (), ending: Ending) {
        self.inside.fetch_sub(1, Relaxed);
        let counted = match ending.outcome() {
            Some(Outcome::Success) => &self.succeeded,
            Some(Outcome::Failure(_)) => &self.failed,
            Some(Outcome::Ignored) => return,
            None => &self.cancelled,
        };
        counted.fetch_add(1, Relaxed);
    }
}

/// Tries so many times, as long as the failure may pass.
pub(crate) struct Again(pub(crate) u32);

impl<T: Send, E: Send> Policy<T, E> for Again {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let mut attempt = 1;
        loop {
            let result = operation.attempt(&call.at_attempt(attempt)).await;
            let fault = operation.classify(call, &result).fault();
            if attempt == self.0 || !fault.is_some_and(|fault| fault.is_transient()) {
                return result;
            }
            attempt += 1;
        }
    }
}

/// Gives each attempt so much time, and tells it.
pub(crate) struct Within(pub(crate) Duration);

impl<T: Send, E: Send> Policy<T, E> for Within {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let clock = Clock::default();
        let deadline = Deadline::after(clock.now(), self.0);
        let call = call.by(deadline);
        tokio::select! {
            biased;
            result = operation.attempt(&call) => result,
            () = clock.sleep_until(deadline.moment()) => {
                Err(TimedOut::new(TimeScope::Attempt, self.0).into())
            }
        }
    }
}

pub(crate) type Five = (Quota, Again, Quota, Quota, Within);

pub(crate) fn five(inner_limit: u32) -> Five {
    (
        Quota::new("outer", 100),
        Again(3),
        Quota::new("breaker", 100),
        Quota::new("bulkhead", inner_limit),
        Within(Duration::from_secs(1)),
    )
}

#[tokio::test(start_paused = true)]
async fn each_part_sees_what_its_place_lets_it_see() {
    let stack = five(100);
    let flaky = operation(async |call: Call| match call.attempt() {
        1 => Err("reset"),
        2 => std::future::pending().await,
        attempt => Ok(attempt),
    });

    assert_eq!(stack.run(&Call::new("charge"), &flaky).await, Ok(3));

    let (outer, _, breaker, bulkhead, _) = &stack;
    assert_eq!(
        outer.succeeded.load(Relaxed),
        1,
        "outside the retry: one call"
    );
    assert_eq!(outer.failed.load(Relaxed), 0);
    for inner in [breaker, bulkhead] {
        assert_eq!(inner.succeeded.load(Relaxed), 1);
        assert_eq!(inner.failed.load(Relaxed), 2, "an error and a hang");
        assert_eq!(inner.inside.load(Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_by_the_inner_guard_comes_up_as_it_is() {
    let stack = five(0);
    let charged = stack.call("charge", async |_call| Ok::<_, &str>(()));

    let why = charged.await.unwrap_err();

    assert_eq!(
        why.to_string(),
        "quota `bulkhead` refused the call: used_up (calls 0, limit 0)"
    );
    let (outer, _, breaker, ..) = &stack;
    for guard in [outer, breaker] {
        assert_eq!(guard.inside.load(Relaxed), 0);
        assert_eq!(
            guard.failed.load(Relaxed),
            0,
            "says nothing of the dependency"
        );
        assert_eq!(guard.cancelled.load(Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_gives_everything_back() {
    let stack = five(100);
    {
        let hung = stack.call("charge", async |_call| {
            std::future::pending::<Result<(), &str>>().await
        });
        let clock = Clock::default();
        tokio::select! {
            _ = hung => unreachable!("it hangs"),
            () = clock.sleep(Duration::from_millis(10)) => {}
        }
    }
    let (outer, _, breaker, bulkhead, _) = &stack;
    for guard in [outer, breaker, bulkhead] {
        assert_eq!(guard.inside.load(Relaxed), 0);
        assert_eq!(guard.cancelled.load(Relaxed), 1);
    }
}
