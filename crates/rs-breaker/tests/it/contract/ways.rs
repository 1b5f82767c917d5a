//! The ways to call through a breaker, each so that a test holds a call while it is in flight.

use rs_breaker::Breaker;
use rs_core::{
    AnyGuard, Call, Classify, Contained, Ending, Failure, Guard, Outcome, Permit, Policy,
    PolicyList, Rejection, Shared, operation,
};
use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Waker},
    thread::JoinHandle,
};

/// How an operation ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    Well,
    Badly,
    /// The error is the caller's own fault.
    OwnFault,
    /// The value says that the dependency failed.
    BadNews,
    /// The operation panics.
    Panic,
    /// The classifier panics.
    Confusing,
}

type Answer = Result<u32, &'static str>;

impl End {
    fn come_true(self) -> Answer {
        match self {
            Self::Well => Ok(200),
            Self::BadNews => Ok(503),
            Self::Badly => Err("down"),
            Self::OwnFault => Err("not found"),
            Self::Confusing => Err("confusing"),
            Self::Panic => panic!("the operation panics"),
        }
    }
}

#[derive(Clone, Copy)]
struct Judge;

impl<'a> Classify<u32, &'a str> for Judge {
    fn classify(&self, result: Result<&u32, &&'a str>) -> Outcome {
        match result {
            Ok(503) => Outcome::TRANSIENT,
            Ok(_) => Outcome::Success,
            Err(&"not found") => Outcome::Ignored,
            Err(&"confusing") => panic!("the classifier panics"),
            Err(_) => Outcome::TRANSIENT,
        }
    }
}

/// What the caller gets.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Value(u32),
    Error(&'static str),
    Panic,
    Refused(Rejection),
}

impl From<Result<u32, Failure<&'static str>>> for Seen {
    fn from(result: Result<u32, Failure<&'static str>>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(Failure::Operation { error, attempts }) => {
                assert_eq!(attempts, 1);
                Self::Error(error)
            }
            Err(Failure::Rejected(why)) => Self::Refused(why),
            Err(other) => panic!("nobody set a time limit: {other}"),
        }
    }
}

/// A call whose operation runs. Dropped, it is cancelled.
pub(crate) trait InFlight {
    fn end(self: Box<Self>, end: End) -> Seen;
}

pub(crate) type Begun<'b> = Result<Box<dyn InFlight + 'b>, Rejection>;

/// A way to call.
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// Whether the operation has a classifier.
    pub(crate) judges: bool,
    begin: Begin,
}

enum Begin {
    Future(for<'b> fn(&'b Breaker, Fate) -> Running<'b>),
    Other(for<'b> fn(&'b Breaker) -> Begun<'b>),
}

impl Way {
    pub(crate) fn begin<'b>(&self, breaker: &'b Breaker) -> Begun<'b> {
        match self.begin {
            Begin::Future(begin) => {
                let fate = Fate::default();
                Polled::begin(begin(breaker, fate.clone()), fate)
            }
            Begin::Other(begin) => begin(breaker),
        }
    }

    /// The future of a call that nobody has polled, where there is one.
    pub(crate) fn unpolled<'b>(&self, breaker: &'b Breaker) -> Option<Running<'b>> {
        match self.begin {
            Begin::Future(begin) => Some(begin(breaker, Fate::default())),
            Begin::Other(_) => None,
        }
    }
}

pub(crate) fn ways() -> Vec<Way> {
    let future = |name, begin| Way {
        name,
        judges: true,
        begin: Begin::Future(begin),
    };
    let other = |name, begin| Way {
        name,
        judges: true,
        begin: Begin::Other(begin),
    };
    vec![
        Way {
            judges: false,
            ..future("Policy::call", |breaker, fate| {
                Box::pin(async move {
                    breaker
                        .call("charge", async |_call| fate.meet().await)
                        .await
                })
            })
        },
        future("Policy::run", |breaker, fate| run(breaker, fate)),
        future("a clone", |breaker, fate| run(breaker.clone(), fate)),
        future("an Arc", |breaker, fate| {
            run(Arc::new(breaker.clone()), fate)
        }),
        future("Shared", |breaker, fate| {
            run(Shared::new(breaker.clone()), fate)
        }),
        future("outermost of a stack", |breaker, fate| {
            run((breaker, Door::default()), fate)
        }),
        future("innermost of a stack", |breaker, fate| {
            run((Door::default(), breaker), fate)
        }),
        future("a stack within a stack", |breaker, fate| {
            run(
                (Door::default(), (Door::default(), breaker), Door::default()),
                fate,
            )
        }),
        future("AnyGuard", |breaker, fate| {
            run(AnyGuard::new(breaker.clone()), fate)
        }),
        future("PolicyList", |breaker, fate| {
            let mut list = PolicyList::new();
            list.push(Door::default());
            list.push(breaker.clone());
            list.push(Door::default());
            run(list, fate)
        }),
        #[cfg(feature = "cache")]
        future("LastGood", |breaker, fate| {
            run(rs_breaker::LastGood::new(breaker, 1), fate)
        }),
        #[cfg(feature = "tower")]
        future("BreakerService", |breaker, fate| {
            use tower::{ServiceBuilder, ServiceExt, service_fn};
            let layer = rs_breaker::BreakerLayer::new(breaker).classified(Judge);
            Box::pin(async move {
                let service = service_fn(async |()| fate.meet().await);
                ServiceBuilder::new()
                    .layer(layer)
                    .service(service)
                    .oneshot(())
                    .await
            })
        }),
        other("call_blocking", Blocking::begin),
        other("try_admit", |breaker| {
            let permit = breaker.try_admit(&Call::new("charge"))?;
            Ok(Box::new(ByHand(permit)))
        }),
        other("try_admit_owned", |breaker| {
            let permit = breaker.try_admit_owned(&Call::new("charge"))?;
            Ok(Box::new(ByHand(permit)))
        }),
        other("admit", |breaker| {
            let call = Call::new("charge");
            match poll_once(pin!(breaker.admit(&call))) {
                Poll::Ready(admitted) => Ok(Box::new(ByHand(admitted?))),
                Poll::Pending => panic!("a breaker has no queue"),
            }
        }),
    ]
}

fn run<'b, P>(policy: P, fate: Fate) -> Running<'b>
where
    P: Policy<u32, &'static str> + 'b,
{
    Box::pin(async move {
        let charge = operation(async |_call: Call| fate.meet().await).classified(Judge);
        policy.run(&Call::new("charge"), &charge).await
    })
}

/// What becomes of an operation, as soon as it is decided.
#[derive(Clone, Default)]
pub(crate) struct Fate {
    decided: Arc<Mutex<Option<End>>>,
    ran: Arc<AtomicI64>,
}

impl Fate {
    async fn meet(&self) -> Answer {
        self.ran.fetch_add(1, Ordering::SeqCst);
        let decided = |_: &mut Context<'_>| match *self.decided.lock().unwrap() {
            Some(end) => Poll::Ready(end),
            None => Poll::Pending,
        };
        poll_fn(decided).await.come_true()
    }
}

pub(crate) type Running<'b> =
    Pin<Box<dyn Future<Output = Result<u32, Failure<&'static str>>> + Send + 'b>>;

struct Polled<'b> {
    future: Running<'b>,
    fate: Fate,
}

impl<'b> Polled<'b> {
    fn begin(mut future: Running<'b>, fate: Fate) -> Begun<'b> {
        match poll_once(future.as_mut()) {
            Poll::Pending => {
                assert_eq!(fate.ran.load(Ordering::SeqCst), 1);
                Ok(Box::new(Self { future, fate }))
            }
            Poll::Ready(Err(Failure::Rejected(why))) => {
                assert_eq!(
                    fate.ran.load(Ordering::SeqCst),
                    0,
                    "it ran though it was refused"
                );
                Err(why)
            }
            Poll::Ready(other) => panic!("ended before it was told how: {other:?}"),
        }
    }
}

impl InFlight for Polled<'_> {
    fn end(mut self: Box<Self>, end: End) -> Seen {
        *self.fate.decided.lock().unwrap() = Some(end);
        match catch_unwind(AssertUnwindSafe(|| poll_once(self.future.as_mut()))) {
            Ok(Poll::Ready(result)) => result.into(),
            Ok(Poll::Pending) => panic!("does not end"),
            Err(_) => Seen::Panic,
        }
    }
}

struct ByHand<G: Guard>(Permit<G>);

impl<G: Guard> InFlight for ByHand<G> {
    fn end(self: Box<Self>, end: End) -> Seen {
        let permit = self.0;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let result = end.come_true();
            permit.finish(Contained::new(Judge).classify(result.as_ref()));
            result
        }));
        match ended {
            Ok(Ok(value)) => Seen::Value(value),
            Ok(Err(error)) => Seen::Error(error),
            Err(_) => Seen::Panic,
        }
    }
}

/// A call in a thread of its own, which dies when the call is dropped.
struct Blocking {
    thread: Option<JoinHandle<Result<u32, Failure<&'static str>>>>,
    fate: Option<Sender<End>>,
}

impl Blocking {
    fn begin(breaker: &Breaker) -> Begun<'_> {
        let (fate, decided) = channel();
        let (begins, begun) = channel();
        let of_thread = breaker.clone();
        let thread = std::thread::spawn(move || Self::run(&of_thread, &begins, &decided));
        if begun.recv().is_ok() {
            return Ok(Box::new(Self {
                thread: Some(thread),
                fate: Some(fate),
            }));
        }
        match thread.join().map(Seen::from) {
            Ok(Seen::Refused(why)) => Err(why),
            other => panic!("ended before it was told how: {other:?}"),
        }
    }

    fn run(
        breaker: &Breaker,
        begins: &Sender<()>,
        decided: &Receiver<End>,
    ) -> Result<u32, Failure<&'static str>> {
        breaker.call_blocking("charge", &Judge, |_call| {
            begins.send(()).unwrap();
            let end = decided.recv();
            end.unwrap_or_else(|_| panic!("the caller goes away"))
                .come_true()
        })
    }
}

impl InFlight for Blocking {
    fn end(mut self: Box<Self>, end: End) -> Seen {
        self.fate.take().unwrap().send(end).unwrap();
        self.thread
            .take()
            .unwrap()
            .join()
            .map_or(Seen::Panic, Seen::from)
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        self.fate = None;
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_err(), "the thread died");
        }
    }
}

/// Another guard of the stack. Whoever goes in comes out.
#[derive(Default)]
struct Door(AtomicI64);

impl Guard for Door {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn leave(&self, (): (), _ending: Ending) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let inside = *self.0.get_mut();
        assert!(
            std::thread::panicking() || inside == 0,
            "{inside} still inside"
        );
    }
}

pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
