//! Streams and bodies.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use super::{check_counted, idle};
use crate::support::{Bench, MS, SECOND, at_once, poll};
use http_body::{Body, Frame};
use rs_core::{Call, Clock, Enforcement, Failure, TimeScope, TimedOut};
use rs_policies::{IdleTimeout, Surroundings, TimeoutConfig};
use tokio_stream::{Stream, StreamExt};

/// Gives items when their time has come, counted from when it is asked for each.
struct Slow<T> {
    clock: Clock,
    items: VecDeque<(Duration, T)>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<T> Slow<T> {
    fn of(bench: &Bench, items: impl IntoIterator<Item = (Duration, T)>) -> Self {
        Self {
            clock: bench.clock.clone(),
            items: items.into_iter().collect(),
            waiting: None,
        }
    }
}

impl<T: Unpin> Stream for Slow<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let Some((time, _)) = self.items.front() else {
            return Poll::Ready(None);
        };
        let time = *time;
        let clock = self.clock.clone();
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(async move { clock.sleep(time).await }));
        std::task::ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(self.items.pop_front().map(|(_, item)| item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.items.len(), Some(self.items.len()))
    }
}

impl<T: Unpin> Body for Slow<T>
where
    T: bytes::Buf,
{
    type Data = T;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<T>, Infallible>>> {
        self.poll_next(context)
            .map(|item| item.map(|item| Ok(Frame::data(item))))
    }
}

const SILENT: TimedOut = TimedOut::new(TimeScope::Idle, SECOND);

#[test]
fn every_item_is_a_sign_of_life_and_silence_is_the_end() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let items = [
        (900 * MS, 1),
        (MS, 2),
        (900 * MS, 3),
        (1500 * MS, 4),
        (MS, 5),
    ];
    let stream = idle.stream("read", Slow::of(&bench, items));
    assert_eq!(stream.size_hint(), (0, Some(6)));
    let (items, took) = bench.run(stream.collect::<Vec<_>>());
    assert_eq!(items, [Ok(1), Ok(2), Ok(3), Err(SILENT)]);
    assert_eq!(took, 2801 * MS);
    check_counted(&bench, &idle, 1, 0);

    let stream = idle.stream("read", Slow::of(&bench, [(900 * MS, 1); 10]));
    let (items, took) = bench.run(stream.collect::<Vec<_>>());
    assert_eq!((items, took), (vec![Ok(1); 10], 9 * SECOND));
    check_counted(&bench, &idle, 1, 0);
}

/// Tokio's own timers panic where there is no runtime.
#[test]
fn what_is_ready_sets_no_timer() {
    let idle = IdleTimeout::within(&Surroundings::apart(), "feed", SECOND).unwrap();
    let mut numbers = 0..1000;
    let stream = idle.stream("read", polled(move |_| Poll::Ready(numbers.next())));
    assert_eq!(at_once(stream.collect::<Vec<_>>()).len(), 1000);
}

#[test]
fn whoever_is_slow_to_take_items_is_not_the_streams_fault() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let mut stream = idle.stream("read", Slow::of(&bench, [(900 * MS, 1); 5]));
    for _ in 0..3 {
        assert_eq!(bench.run(stream.next()).0, Some(Ok(1)));
        bench.wait(3600 * SECOND);
    }
    // Nor is it to leave it alone while it waits.
    assert!(poll(pin!(stream.next())).is_pending());
    bench.wait(3600 * SECOND);
    assert_eq!(at_once(stream.next()), Some(Ok(1)));
    check_counted(&bench, &idle, 0, 0);
}

#[test]
fn once_it_has_ended_it_stays_so() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let mut stream = idle.stream("read", tokio_stream::pending::<u32>());
    assert_eq!(bench.run(stream.next()), (Some(Err(SILENT)), SECOND));
    assert_eq!(at_once(stream.next()), None);
    assert_eq!(stream.size_hint(), (0, Some(0)));
    let mut stream = idle.stream("read", tokio_stream::once(1));
    assert_eq!(at_once(stream.next()), Some(Ok(1)));
    assert_eq!(
        (at_once(stream.next()), at_once(stream.next())),
        (None, None)
    );
}

#[test]
fn errors_are_items_and_keep_what_they_are() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let items = [
        (MS, Ok(1)),
        (MS, Err("reset")),
        (MS, Ok(2)),
        (2 * SECOND, Ok(3)),
    ];
    let call = Call::new("read").at_attempt(2);
    let stream = idle.try_stream(call, Slow::of(&bench, items));
    let (items, _) = bench.run(stream.collect::<Vec<_>>());
    let failed = Failure::Operation {
        error: "reset",
        attempts: 2,
    };
    assert_eq!(items, [Ok(1), Err(failed), Ok(2), Err(SILENT.into())]);
}

#[test]
fn a_body_is_a_body_again() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let parts = [
        (900 * MS, &b"one"[..]),
        (900 * MS, b"two"),
        (1100 * MS, b"three"),
    ];
    let mut body = pin!(idle.try_stream("read", Slow::of(&bench, parts)));
    assert!(!body.is_end_stream());
    let mut next = || {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context));
        bench
            .run(frame)
            .0
            .map(|frame| frame.map(|frame| frame.into_data().unwrap()))
    };
    assert_eq!(next(), Some(Ok(&b"one"[..])));
    assert_eq!(next(), Some(Ok(&b"two"[..])));
    assert_eq!(next(), Some(Err(Failure::TimedOut(SILENT))));
    assert_eq!(next(), None);
    assert!(body.is_end_stream());
    assert_eq!(Body::size_hint(&*body).exact(), Some(0));
}

#[test]
fn the_deadline_of_the_call_holds_for_all_of_it() {
    let bench = Bench::new();
    let dark = TimeoutConfig::of(SECOND).with_enforcement(Enforcement::Dark);
    for config in [TimeoutConfig::of(SECOND), dark] {
        let idle = idle(&bench, config);
        let call = Call::new("read").limited_to(3 * SECOND);
        let stream = idle.stream(call, Slow::of(&bench, [(800 * MS, 1); 9]));
        let (items, took) = bench.run(stream.collect::<Vec<_>>());
        let late = TimedOut::new(TimeScope::Deadline, 3 * SECOND);
        assert_eq!(
            (items, took),
            (vec![Ok(1), Ok(1), Ok(1), Err(late)], 3 * SECOND)
        );
        assert_eq!((idle.timed_out(), idle.would_have_timed_out()), (0, 0));
    }
}

#[test]
fn in_the_dark_items_come_however_late() {
    let bench = Bench::new();
    let dark = TimeoutConfig::of(SECOND).with_enforcement(Enforcement::Dark);
    let idle = idle(&bench, dark);
    let stream = idle.stream("read", Slow::of(&bench, [(3 * SECOND, 1); 3]));
    let (items, took) = bench.run(stream.collect::<Vec<_>>());
    assert_eq!((items, took), (vec![Ok(1); 3], 9 * SECOND));
    check_counted(&bench, &idle, 0, 1);
}

#[tokio::test(start_paused = true)]
async fn on_tokios_clock_and_in_a_task_of_its_own() {
    let idle = IdleTimeout::within(&Surroundings::apart(), "feed", SECOND).unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let clock = Clock::default();
    let silent = idle.clone();
    #[expect(clippy::disallowed_methods, reason = "a test's own task")]
    let reading = tokio::spawn(async move {
        let mut receiver = receiver;
        let parts = polled(move |context| receiver.poll_recv(context));
        silent.stream("read", parts).collect::<Vec<_>>().await
    });
    for number in 0..5 {
        clock.sleep(990 * MS).await;
        sender.send(number).await.unwrap();
    }
    let items = reading.await.unwrap();
    let expected: Vec<_> = (0..5).map(Ok).chain([Err(SILENT)]).collect();
    assert_eq!(items, expected);
    assert!(sender.is_closed(), "what went silent was dropped");
}

/// A stream of a function.
fn polled<T>(
    poll: impl FnMut(&mut Context<'_>) -> Poll<Option<T>> + Unpin,
) -> impl Stream<Item = T> + Unpin {
    struct Polled<F>(F);
    impl<T, F: FnMut(&mut Context<'_>) -> Poll<Option<T>> + Unpin> Stream for Polled<F> {
        type Item = T;
        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
            (self.0)(context)
        }
    }
    Polled(poll)
}
