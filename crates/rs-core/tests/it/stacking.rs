//! Guards and policies stack, in every form that a user may hold them in.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_core::{
    AnyGuard, Call, Clock, Ending, Failure, Fault, Guard, Operation, Outcome, Policy, PolicyList,
    TimeScope, operation,
};

use crate::support::{Closed, Diary, Hedge, Limit, Retry, Seats, block_on, pause};

const MINUTE: Duration = Duration::from_secs(60);

/// What the futures of an axum handler must be.
fn handler<F: Future + Send + 'static>(future: F) -> F {
    future
}

fn limit(time: Duration) -> Limit {
    Limit::new(TimeScope::Total, time, &Clock::default())
}

/// Fails until it is called this often.
fn succeeds_at(attempt: u32) -> impl Fn(Call) -> std::future::Ready<Result<u32, String>> + Sync {
    move |call| {
        std::future::ready(match call.attempt() {
            at if at >= attempt => Ok(at),
            at => Err(format!("no. {at}")),
        })
    }
}

#[tokio::test]
async fn three_guards_and_two_policies_run_in_the_order_they_are_written() {
    let diary = Diary::default();
    let [a, b, c] = ["a", "b", "c"].map(|name| Seats::new(name, 1).writing(&diary));
    let stack = (limit(MINUTE), &a, Retry(3), &b, &c);

    let answer = stack
        .call("order", async |call| {
            diary.write(format_args!("op{}", call.attempt()));
            succeeds_at(2)(call).await
        })
        .await;

    assert_eq!(answer, Ok(2));
    assert_eq!(diary.read(), "+a +b +c op1 -c -b +b +c op2 -c -b -a");
    assert_eq!(a.endings(), [Ending::finished(Outcome::Success)]);
    let twice = [
        Ending::finished(Outcome::TRANSIENT),
        Ending::finished(Outcome::Success),
    ];
    assert_eq!(b.endings(), twice);
    assert_eq!(c.endings(), twice);
}

#[tokio::test]
async fn the_first_refusal_ends_the_call_and_gives_back_what_was_held() {
    let (outer, inner) = (Seats::new("outer", 1), Seats::new("inner", 1));
    let answer: Result<u32, Failure<String>> = (&outer, Closed, Retry(9), &inner)
        .call("order", succeeds_at(1))
        .await;

    let why = *answer.unwrap_err().rejection().unwrap();
    assert_eq!(
        why.to_string(),
        "door `front` refused the call: closed; try again in 3s"
    );
    assert_eq!((why.generation(), why.observed()), (7, None));
    assert_eq!(outer.endings(), [Ending::finished(Outcome::Ignored)]);
    assert_eq!(inner.issued(), 0);
}

/// A refusal further in is no fault of the dependency, so a retry further out leaves it alone.
#[tokio::test]
async fn a_retry_outside_a_guard_does_not_hammer_it() {
    let tries = AtomicU32::new(0);
    struct Counting<'a>(&'a AtomicU32);
    impl Guard for Counting<'_> {
        type Ticket = ();
        fn try_enter(&self, call: &Call) -> Result<(), rs_core::Rejection> {
            self.0.fetch_add(1, Relaxed);
            Closed.try_enter(call)
        }
        fn leave(&self, (): (), _: Ending) {}
    }
    let answer: Result<u32, Failure<String>> = (Retry(5), Counting(&tries))
        .call("order", succeeds_at(1))
        .await;
    assert!(answer.unwrap_err().is_rejected());
    assert_eq!(tries.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cut_off_and_tried_again() {
    let (outer, inner) = (Seats::new("outer", 1), Seats::new("inner", 1));
    let each = Limit::new(
        TimeScope::Attempt,
        Duration::from_secs(1),
        &Clock::default(),
    );
    let stack = (limit(MINUTE), &outer, Retry(3), &inner, each);

    let answer = stack.call("order", async |call: Call| {
        if call.attempt() < 3 {
            std::future::pending::<()>().await;
        }
        Ok::<_, String>(call.attempt())
    });
    assert_eq!(answer.await, Ok(3));
    assert_eq!(
        inner.endings(),
        [
            Ending::finished(Fault::timed_out().into()),
            Ending::finished(Fault::timed_out().into()),
            Ending::finished(Outcome::Success),
        ]
    );

    let hopeless: Result<(), _> = (limit(Duration::from_secs(2)), &outer, &inner)
        .call("order", async |_| {
            std::future::pending::<Result<(), String>>().await
        })
        .await;
    let why = hopeless.unwrap_err();
    assert!(why.is_timed_out());
    assert_eq!(why.to_string(), "not done within 2s");
    // The limit dropped them: they hear of a call that went away.
    assert_eq!(outer.endings().last(), Some(&Ending::Cancelled));
    assert_eq!(inner.endings().last(), Some(&Ending::Cancelled));
    outer.assert_settled();
    inner.assert_settled();
}

#[tokio::test]
async fn operations_own_or_borrow_what_they_need() {
    let seats = Seats::new("any", 8);
    let stack = (limit(MINUTE), Retry(2), &seats, &seats, &seats);
    let local = String::from("a local");

    // An async closure that borrows, its result borrowed as well.
    let borrowed: Result<&str, Failure<String>> =
        stack.call("one", async |_| Ok(local.as_str())).await;
    assert_eq!(borrowed, Ok("a local"));

    // A closure that owns and hands each attempt its own.
    let owned = Arc::new(String::from("owned"));
    let length: Result<usize, Failure<String>> = stack
        .call("two", move |_| {
            let owned = Arc::clone(&owned);
            async move {
                pause(2).await;
                Ok(owned.len())
            }
        })
        .await;
    assert_eq!(length, Ok(5));

    // A function.
    async fn fetch(call: Call) -> Result<u32, String> {
        Err(format!("{} at {}", call.name(), call.attempt()))
    }
    let failed = stack.call("three", fetch).await.unwrap_err();
    assert_eq!(failed.to_string(), "three at 2 (attempt 2)");
    assert_eq!(failed.into_inner(), Ok("three at 2".to_owned()));

    // Its own error, borrowed from a local.
    let error: Result<(), Failure<&str>> = stack.call("four", async |_| Err(local.as_str())).await;
    assert_eq!(error.unwrap_err().operation(), Some(&"a local"));

    // An operation with a classifier that borrows.
    let tolerated = [404_u16];
    let judged = operation(async |_| Err::<(), u16>(404)).classified(
        |result: Result<&(), &u16>| match result {
            Err(code) if tolerated.contains(code) => Outcome::Ignored,
            _ => Outcome::Success,
        },
    );
    let before = seats.issued();
    let answer = stack.run(&Call::new("five"), &judged).await;
    assert_eq!(answer.unwrap_err().into_inner(), Ok(404));
    assert_eq!(
        seats.issued() - before,
        3,
        "an ignored error is not retried"
    );
    seats.assert_settled();
}

/// A user's own operation, neither closure nor tuple.
#[tokio::test]
async fn an_operation_may_be_a_type_of_its_own() {
    struct Query<'a>(&'a str);
    impl<'a> Operation for Query<'a> {
        type Output = &'a str;
        type Error = io::Error;

        async fn attempt(&self, call: &Call) -> Result<&'a str, Failure<io::Error>> {
            if call.attempt() == 1 {
                return Err(Closed.try_enter(call).unwrap_err().into());
            }
            Ok(self.0)
        }

        fn classify(&self, _call: &Call, result: &Result<&'a str, Failure<io::Error>>) -> Outcome {
            match result {
                Ok(_) => Outcome::Success,
                Err(_) => Fault::throttled().into(),
            }
        }
    }
    let text = String::from("select 1");
    let seats = Seats::new("db", 1);
    let answer = (Retry(2), &seats)
        .run(&Call::new("query"), &Query(&text))
        .await;
    assert_eq!(answer.unwrap(), "select 1");
    assert_eq!(
        seats.endings().first(),
        Some(&Ending::finished(Fault::throttled().into()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "spawning is what is tested")]
async fn stacks_run_on_other_threads() {
    type Shared = (Limit, Arc<Seats>, Retry, Arc<Seats>, Arc<Seats>);
    let seats = ["a", "b", "c"].map(|name| Arc::new(Seats::new(name, 3).with_steps(1)));
    let [a, b, c] = seats.clone();
    let stack: Arc<Shared> = Arc::new((limit(MINUTE), a, Retry(3), b, c));

    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let stack = Arc::clone(&stack);
            tokio::spawn(handler(async move {
                let text = format!("order {number}");
                stack
                    .call("order", async |call: Call| {
                        tokio::task::yield_now().await;
                        match call.attempt() {
                            1 => Err(io::Error::other("flaky")),
                            _ => Ok(text.len()),
                        }
                    })
                    .await
            }))
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Ok(7 | 8)));
    }
    for guard in seats {
        guard.assert_settled();
    }
}

#[test]
fn nesting_changes_nothing() {
    fn diary_of(run: impl Fn(&[Seats; 3], &Diary) -> Result<u32, Failure<String>>) -> String {
        let diary = Diary::default();
        let seats = ["a", "b", "c"].map(|name| Seats::new(name, 1).writing(&diary));
        assert_eq!(run(&seats, &diary), Ok(2));
        diary.read()
    }
    let flat = diary_of(|[a, b, c], _| block_on((a, Retry(2), b, c).call("x", succeeds_at(2))));
    assert_eq!(flat, "+a +b +c -c -b +b +c -c -b -a");

    #[track_caller]
    fn check(expected: &str, actual: &str) {
        assert_eq!(actual, expected);
    }
    check(
        &flat,
        &diary_of(|[a, b, c], _| block_on(((a, Retry(2)), (b, c)).call("x", succeeds_at(2)))),
    );
    check(
        &flat,
        &diary_of(|[a, b, c], _| {
            block_on((((a,),), ((Retry(2), (b,)), ((c,),))).call("x", succeeds_at(2)))
        }),
    );
}

#[test]
fn tuples_of_every_length_keep_their_order() {
    #[track_caller]
    fn check(expected: &str, stack: impl Policy<u32, String>, diary: &Diary) {
        assert_eq!(block_on(stack.call("x", succeeds_at(1))), Ok(1));
        assert_eq!(diary.read(), expected);
    }
    macro_rules! check {
        ($expected:literal: $($guard:ident)*) => {{
            let diary = Diary::default();
            $(let $guard = Seats::new(stringify!($guard), 1).writing(&diary);)*
            check($expected, ($($guard,)*), &diary);
        }};
    }
    check!("+a -a": a);
    check!("+a +b -b -a": a b);
    check!("+a +b +c -c -b -a": a b c);
    check!("+a +b +c +d -d -c -b -a": a b c d);
    check!("+a +b +c +d +e -e -d -c -b -a": a b c d e);
    check!("+a +b +c +d +e +f -f -e -d -c -b -a": a b c d e f);
    check!("+a +b +c +d +e +f +g -g -f -e -d -c -b -a": a b c d e f g);
    check!("+a +b +c +d +e +f +g +h -h -g -f -e -d -c -b -a": a b c d e f g h);
}

/// The same policies, as a tuple and as a list, over the same operation.
#[test]
fn a_list_does_what_the_tuple_does() {
    #[track_caller]
    fn check(first_success: u32, classify: fn(Result<&u32, &String>) -> Outcome) {
        fn seats(diary: &Diary) -> [Seats; 3] {
            ["a", "b", "c"].map(|name| Seats::new(name, 2).with_steps(1).writing(diary))
        }
        let op = operation(succeeds_at(first_success)).classified(classify);

        let as_tuple = Diary::default();
        let [a, b, c] = seats(&as_tuple);
        let expected = block_on((a, Retry(3), b, Hedge, c).run(&Call::new("x"), &op));

        let as_list = Diary::default();
        let [a, b, c] = seats(&as_list);
        let mut list = PolicyList::new();
        list.push(a);
        list.push(Retry(3));
        list.push(AnyGuard::new(b));
        list.push(Hedge);
        list.push(Arc::new(c));
        assert_eq!(list.len(), 5);
        let actual = block_on(list.run(&Call::new("x"), &op));

        assert_eq!(actual, expected);
        assert_eq!(as_list.read(), as_tuple.read());

        let as_nested = Diary::default();
        let [a, b, c] = seats(&as_nested);
        let mut inner = PolicyList::new();
        inner.push(Hedge);
        inner.push(c);
        let mut outer = PolicyList::new();
        outer.push((a, Retry(3)));
        outer.push((b, inner));
        let actual = block_on(outer.clone().run(&Call::new("x"), &op));
        assert_eq!(actual, expected);
        assert_eq!(as_nested.read(), as_tuple.read());
    }
    fn transient(result: Result<&u32, &String>) -> Outcome {
        result.map_or(Outcome::TRANSIENT, |_| Outcome::Success)
    }
    check(1, transient);
    check(2, transient);
    check(3, transient);
    check(99, transient);
    check(99, |_| Outcome::PERMANENT);
    check(1, |_| Outcome::TRANSIENT);
    check(2, |_| Outcome::Ignored);
    check(2, |_| {
        Fault::throttled().after(Duration::from_secs(1)).into()
    });
}

#[test]
fn a_list_carries_results_of_any_lifetime_and_asks_the_classifier() {
    struct NotClone<'a>(&'a str);
    let local = String::from("kept");
    let asked = AtomicU32::new(0);

    let mut list = PolicyList::new();
    list.push(Retry(4));
    list.push(Seats::new("any", 1));
    let judged = operation(async |call: Call| match call.attempt() {
        1 | 2 => Err(NotClone(&local)),
        _ => Ok(NotClone(&local)),
    })
    .classified(|result: Result<&NotClone<'_>, &NotClone<'_>>| {
        asked.fetch_add(1, Relaxed);
        match result {
            // Even a success can be one that is worth another try.
            Ok(kept) if asked.load(Relaxed) < 7 => {
                assert_eq!(kept.0, "kept");
                Outcome::TRANSIENT
            }
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::TRANSIENT,
        }
    });
    let answer = block_on(list.run(&Call::new("x"), &judged));
    assert_eq!(answer.map(|kept| kept.0).map_err(|_| ()), Ok("kept"));
    // Four attempts, each judged by the guard and by the retry.
    assert_eq!(asked.load(Relaxed), 8);

    let empty = PolicyList::new();
    assert!(empty.is_empty());
    let answer: Result<&str, Failure<()>> = block_on(empty.call("x", async |_| Ok(&*local)));
    assert_eq!(answer, Ok("kept"));
}

/// A policy counts in its own way; the list must not undo it.
#[test]
fn a_list_keeps_the_attempts_that_a_policy_counted() {
    struct Recount;
    impl<T: Send, E: Send> Policy<T, E> for Recount {
        async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
        where
            O: Operation<Output = T, Error = E>,
        {
            match operation.attempt(call).await {
                Err(Failure::Operation { error, .. }) => Err(Failure::Operation {
                    error,
                    attempts: 42,
                }),
                other => other,
            }
        }
    }
    let expected = Err(Failure::Operation {
        error: "no. 1".to_owned(),
        attempts: 42,
    });
    assert_eq!(block_on((Recount,).call("x", succeeds_at(9))), expected);
    let mut list = PolicyList::new();
    list.push(Recount);
    assert_eq!(block_on(list.call("x", succeeds_at(9))), expected);
}

#[test]
fn a_list_passes_refusals_and_limits_on() {
    let mut list = PolicyList::new();
    list.push(Retry(3));
    list.push(Closed);
    let refused: Result<u32, Failure<String>> = block_on(list.call("x", succeeds_at(1)));
    assert!(refused.unwrap_err().is_rejected());

    let (clock, hand) = Clock::manual();
    let mut list = PolicyList::new();
    list.push(Limit::new(TimeScope::Queue, MINUTE, &clock));
    let mut hanging = std::pin::pin!(list.call("x", async |_| {
        std::future::pending::<Result<(), String>>().await
    }));
    assert!(crate::support::poll_once(hanging.as_mut()).is_pending());
    hand.advance(MINUTE);
    let timed_out = block_on(hanging).unwrap_err();
    assert_eq!(timed_out.to_string(), "no permit within 1m");
}

/// A fallback makes up a result of its own, so it is a policy for that result alone.
#[test]
fn a_policy_for_one_type_stands_outermost() {
    struct Apology;
    impl Policy<String, io::Error> for Apology {
        async fn run<O>(&self, call: &Call, operation: &O) -> Result<String, Failure<io::Error>>
        where
            O: Operation<Output = String, Error = io::Error>,
        {
            match operation.attempt(call).await {
                Err(Failure::Rejected(why)) => Ok(format!("sorry: {}", why.reason().code())),
                other => other,
            }
        }
    }
    let mut list = PolicyList::new();
    list.push(Closed);
    let stack = (Apology, Retry(2), list);
    let answer = block_on(stack.call("greet", async |_| Ok::<_, io::Error>(String::from("hello"))));
    assert_eq!(answer.unwrap(), "sorry: closed");
}

#[tokio::test]
async fn many_kinds_of_holder_stand_in_one_stack() {
    let seats = Arc::new(Seats::new("shared", 9));
    let erased: AnyGuard = AnyGuard::new(Arc::clone(&seats));
    let by_reference = (&*seats, &seats, &&erased);
    assert_eq!(by_reference.call("x", succeeds_at(1)).await, Ok(1));

    let owning = (
        Arc::clone(&seats),
        Box::new(Arc::clone(&seats)),
        erased.clone(),
        Arc::new(erased.clone()),
        Box::new(Seats::new("boxed", 1)),
    );
    let answer = handler(async move { owning.call("x", succeeds_at(1)).await });
    assert_eq!(answer.await, Ok(1));
    assert_eq!(seats.issued(), 7);
    seats.assert_settled();
}

/// The call goes down by value: what a policy changes, its outer neighbours do not see.
#[tokio::test]
async fn a_call_reaches_the_operation_whole() {
    let clock = Clock::default();
    let call = Call::new("order")
        .within(MINUTE, &clock)
        .with_key(17)
        .with_correlation("abc".parse().unwrap())
        .safe_to_repeat();
    let seats = Seats::new("any", 3);
    let mut list = PolicyList::new();
    list.push(Retry(2));
    let heard: Result<Call, Failure<String>> = (&seats, list, &seats)
        .call(call, async |call| Ok(call))
        .await;
    assert_eq!(heard, Ok(call));
}
