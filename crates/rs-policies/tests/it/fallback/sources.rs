//! What answers.

use super::{Ends, MS, bad, now, poll, refused};
use allocation_counter::measure;
use rs_core::{Call, Failure, FlightRecorder, Policy, operation};
use rs_metrics::Registry;
use rs_policies::{
    Because, Fallback, FallbackConfig, FromFn, Instead, OrElse, OrValue, Surroundings, Timeout,
    TryFromFn, Unanswered,
};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

type Failed = Failure<&'static str>;

fn make<S>(source: S) -> Fallback<S> {
    let around = Surroundings::apart();
    Fallback::within(&around, "prices", FallbackConfig::default(), source).unwrap()
}

fn run<S: Instead<u32, &'static str>>(
    fallback: &Fallback<S>,
    answer: super::Answer,
) -> super::Answer {
    now(fallback.run(&Call::new("price").at_attempt(2), &Ends(answer)))
}

#[test]
fn a_function_answers_what_it_knows() {
    let fallback = make(FromFn(|failure: &Failed| failure.rejection().map(|_| 7)));
    assert_eq!(run(&fallback, refused()), Ok(7));
    assert_eq!(run(&fallback, bad("down")), bad("down"));
    assert_eq!(
        run(&fallback, Ok(503)),
        Ok(503),
        "there is no failure to show"
    );
    assert_eq!(fallback.answered(), 1);
    assert_eq!(fallback.unanswered(Unanswered::Nothing), 2);
}

#[test]
fn a_function_may_hand_back_another_error() {
    let fallback = make(TryFromFn(
        |result: &Result<u32, Failed>, why: Because| match (result, why) {
            (Ok(503), Because::Failed(_)) => Some(Ok(7)),
            (Err(_), Because::Rejected(_)) => Some(Err("closed today")),
            _ => None,
        },
    ));
    assert_eq!(run(&fallback, Ok(503)), Ok(7));
    let (error, attempts) = ("closed today", 2);
    let own = Failure::Operation { error, attempts };
    assert_eq!(run(&fallback, refused()), Err(own));
    assert_eq!(run(&fallback, bad("down")), bad("down"));
    assert_eq!(fallback.answered(), 1);
    assert_eq!(fallback.unanswered(Unanswered::Failed), 1);
    assert_eq!(fallback.unanswered(Unanswered::Nothing), 1);
}

#[test]
fn something_else_is_asked_and_its_error_counts() {
    let fallback = make(OrElse(async |call: Call, why| match why {
        Because::Rejected(_) => Ok(call.attempt()),
        _ => Err("away as well"),
    }));
    assert_eq!(run(&fallback, Ok(1)), Ok(1));
    assert_eq!(run(&fallback, refused()), Ok(2));
    let (error, attempts) = ("away as well", 2);
    let own = Failure::Operation { error, attempts };
    assert_eq!(run(&fallback, bad("down")), Err(own));
    assert_eq!(fallback.answered(), 1);
    assert_eq!(fallback.unanswered(Unanswered::Failed), 1);
}

#[test]
fn what_is_asked_is_dropped_with_the_call() {
    let asked = Arc::new(());
    let fallback = make(OrElse(|_call, _why| {
        let asked = Arc::clone(&asked);
        async move {
            std::future::pending::<()>().await;
            drop(asked);
            Ok(7)
        }
    }));
    {
        let (call, down) = (Call::new("price"), Ends(bad("down")));
        let mut running = pin!(fallback.run(&call, &down));
        assert!(poll(running.as_mut()).is_pending());
        assert!(poll(running.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&asked), 2);
    }
    assert_eq!(Arc::strong_count(&asked), 1);
    assert_eq!(fallback.answered(), 0);
}

/// A value that cannot be copied.
struct Fragile;

impl Clone for Fragile {
    fn clone(&self) -> Self {
        panic!("it breaks")
    }
}

#[test]
fn a_panic_is_contained_and_counted_and_the_failure_stays() {
    let recorder = FlightRecorder::new(8);
    let around = Surroundings::apart().with_recorder(recorder.clone());
    let config = FallbackConfig::default();
    let function = FromFn(|_failure: &Failed| -> Option<u32> { panic!("a bug") });
    let function = Fallback::within(&around, "prices", config, function).unwrap();
    assert_eq!(run(&function, bad("down")), bad("down"));
    assert_eq!(function.unanswered(Unanswered::Panicked), 1);
    let signals = recorder.recent(8);
    let said = signals.iter().map(|recorded| recorded.signal.to_string());
    assert_eq!(
        said.collect::<Vec<_>>(),
        ["fallback prices: panicked; the call ends as it would have without it"]
    );

    let at_once = make(OrElse(
        |_call, _why| -> std::future::Ready<Result<u32, &str>> { panic!("a bug") },
    ));
    assert_eq!(run(&at_once, bad("down")), bad("down"));
    assert_eq!(at_once.unanswered(Unanswered::Panicked), 1);

    let polls = AtomicU32::new(0);
    let later = make(OrElse(
        async |_call: Call, _why| -> Result<u32, &'static str> {
            std::future::poll_fn(|_| match polls.fetch_add(1, SeqCst) {
                0 => std::task::Poll::Pending,
                _ => panic!("a bug"),
            })
            .await
        },
    ));
    let (call, down) = (Call::new("price"), Ends(bad("down")));
    let mut running = pin!(later.run(&call, &down));
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(poll(running), std::task::Poll::Ready(bad("down")));
    assert_eq!(later.unanswered(Unanswered::Panicked), 1);

    let value = make(OrValue(Fragile));
    let away = operation(async |_call| Err::<Fragile, _>("down"));
    assert!(now(value.run(&Call::new("price"), &away)).is_err());
    assert_eq!(value.unanswered(Unanswered::Panicked), 1);
}

#[test]
fn a_call_that_succeeds_takes_nothing_from_the_heap_nor_does_a_value() {
    let fallback = make(OrValue(7));
    for answer in [Ok(1), refused()] {
        let (call, ends) = (Call::new("price"), Ends(answer));
        let run = || assert!(now(fallback.run(&call, &ends)).is_ok());
        run();
        let found = measure(|| (0..100).for_each(|_| run()));
        assert_eq!(found.count_total, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn it_says_where_an_answer_under_other_policies_is_from() {
    let around = Surroundings::apart();
    let limit = rs_core::TimeScope::Total;
    let patience = Timeout::within(&around, "prices", limit, MS * 50).unwrap();
    let fallback = make(OrValue(7));
    let hangs = operation(async |_call| std::future::pending::<Result<u32, &str>>().await);
    let call = Call::new("price");
    let served = fallback.serve_operation(&call, &patience, &hangs).await;
    let why = served.unwrap().why().unwrap().to_string();
    assert_eq!(why, "not done within 50ms");
    let stack = (fallback, patience);
    assert_eq!(stack.run(&call, &hangs).await, Ok(7));
}

#[test]
fn what_it_does_is_exported() {
    let registry = Registry::new();
    let around = Surroundings::apart().with_metrics(registry.clone());
    let config = FallbackConfig::default();
    let fallback = Fallback::within(&around, "prices", config, OrValue(7)).unwrap();
    let _ = run(&fallback, refused());
    let gathered = registry.gather();
    let found = gathered
        .iter()
        .find(|metric| metric.description.name == "fallback_calls_total");
    let series = format!("{:?}", found.unwrap().series);
    assert!(series.contains("(\"source\", \"value\")"), "{series}");
}

#[test]
fn constructors_know_their_types() {
    let value = Fallback::value("a", 7).unwrap();
    let function = Fallback::from_fn("b", |failure: &Failed| failure.rejection().map(|_| 7));
    let trying = Fallback::try_from_fn("c", |_: &Result<u32, Failed>, _| Some(Ok(7)));
    let asking = Fallback::or_else("d", async |_call, _why| Ok::<u32, &'static str>(7));
    assert_eq!(run(&value, refused()), Ok(7));
    assert_eq!(run(&function.unwrap(), refused()), Ok(7));
    assert_eq!(run(&trying.unwrap(), refused()), Ok(7));
    assert_eq!(run(&asking.unwrap(), refused()), Ok(7));
}
