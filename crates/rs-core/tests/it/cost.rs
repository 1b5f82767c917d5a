//! What the static form costs: no allocation, and futures of a bounded size.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use allocation_counter::measure;
use rs_core::{
    AnyGuard, Call, Clock, Ending, FlightRecorder, Guard, Measure, Name, Outcome, Policy,
    PolicyList, Reason, Rejection, Severity, SignalKind, Striped, TimeScope, Unit,
};

use crate::support::{Limit, Retry, block_on};

/// A guard as patterns write them: atomics, and a ticket of one word.
#[derive(Default)]
pub(crate) struct Counted {
    inside: AtomicU64,
    full: bool,
}

static INSIDE: Measure = Measure::new("calls inside", Unit::Count);
static FULL: Reason = Reason::new("counted", "full").judging(&INSIDE);

impl Guard for Counted {
    type Ticket = u64;

    fn try_enter(&self, _call: &Call) -> Result<u64, Rejection> {
        if self.full {
            return Err(FULL.reject(Name::of("any")).because(1.0, 1.0));
        }
        Ok(self.inside.fetch_add(1, Relaxed))
    }

    fn leave(&self, _ticket: u64, _ending: Ending) {
        self.inside.fetch_sub(1, Relaxed);
    }
}

#[track_caller]
fn check_allocations(expected: u64, run: impl Fn()) {
    // The first run pays for thread locals and lazy statics.
    run();
    let found = measure(&run).count_total;
    assert_eq!(found, expected);
}

#[test]
fn the_happy_path_allocates_nothing() {
    let guards: [Counted; 4] = Default::default();
    let [a, b, c, d] = &guards;
    let text = String::from("borrowed");
    check_allocations(0, || {
        let answer = block_on(
            (a, Retry(3), b, (c, Retry(2)), d).call("x", async |call: Call| match call.attempt() {
                1 => Err("flaky"),
                _ => Ok(text.as_str()),
            }),
        );
        assert_eq!(answer, Ok("borrowed"));
    });
    // So does tokio's timer, when it is never pending.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (scope, time, clock) = (TimeScope::Total, Duration::from_secs(1), Clock::default());
    let _inside = runtime.enter();
    check_allocations(0, || {
        let answer = block_on((Limit::new(scope, time, &clock), a).call_any());
        assert_eq!(answer, Ok(1));
    });
}

trait CallAny: Policy<u32, ()> {
    fn call_any(&self) -> impl Future<Output = Result<u32, rs_core::Failure<()>>> + Send {
        self.call("x", async |_| Ok(1))
    }
}

impl<P: Policy<u32, ()>> CallAny for P {}

#[test]
fn words_allocate_nothing() {
    let clock = Clock::default();
    let open = Counted::default();
    let full = Counted {
        full: true,
        ..Counted::default()
    };
    let known = "a name from outside";
    let striped: Striped<AtomicU64> = Striped::new(AtomicU64::default);
    check_allocations(0, || {
        let call = Call::new("x")
            .within(Duration::from_secs(1), &clock)
            .with_key("customer-17")
            .with_correlation(rs_core::Correlation::fresh());
        open.try_admit(&call).unwrap().finish(Outcome::Success);
        let refused = full.try_admit(&call).unwrap_err();
        assert_eq!(refused.observed(), Some(1.0));
        let refused = block_on((&open, &full).call(call, async |_| Ok::<(), ()>(())));
        assert!(refused.is_err());
        black_box(Name::new(known));
        striped.local().fetch_add(1, Relaxed);
    });
}

static HAPPENED: SignalKind = SignalKind::new(
    "counted",
    "happened",
    Severity::Info,
    "happened, {calls inside} inside",
);

#[test]
fn recording_allocates_nothing() {
    let (call, recorder) = (Call::new("x"), FlightRecorder::new(8));
    let record = || {
        recorder.record(|| {
            let refused = FULL.reject(Name::of("any")).because(7.0, 7.0);
            HAPPENED
                .signal(Name::of("any"))
                .rejecting(&refused)
                .during(&call)
        });
    };
    check_allocations(0, record);
    let mut observer = recorder.observe();
    check_allocations(0, || {
        record();
        assert!(observer_heard(&recorder));
    });
    assert!(observer.try_next().is_some());
    drop(observer);
    recorder.switch_off();
    check_allocations(0, || {
        recorder.record(|| unreachable!("nobody wants it"));
    });
}

fn observer_heard(recorder: &FlightRecorder) -> bool {
    recorder.lost() == 0
}

/// The erased forms say that they box; this says how much.
#[test]
fn erased_forms_allocate_what_they_say() {
    struct Free;
    impl Guard for Free {
        type Ticket = ();
        fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
            Ok(())
        }
        fn leave(&self, (): (), _ending: Ending) {}
    }
    let call = Call::new("x");
    let (free, counted) = (AnyGuard::new(Free), AnyGuard::new(Counted::default()));
    check_allocations(0, || {
        free.try_admit(&call).unwrap().finish(Outcome::Success)
    });
    check_allocations(1, || {
        counted.try_admit(&call).unwrap().finish(Outcome::Success)
    });

    let mut list = PolicyList::new();
    list.push(Free);
    list.push(Free);
    let ready = || block_on(list.call("x", async |_| Ok::<u32, ()>(1)));
    ready().unwrap();
    let allocations = measure(|| drop(ready())).count_total;
    // A future for each policy and what stands before it, the operation's, and its result.
    assert!(allocations <= 8, "{allocations}");
}

#[test]
fn a_stack_of_six_parts_is_small() {
    let parts = Clock::default();
    let total = Limit::new(TimeScope::Total, Duration::from_secs(9), &parts);
    let each = Limit::new(TimeScope::Attempt, Duration::from_secs(1), &parts);
    let guard = Counted::default();
    fn operation(_call: Call) -> impl Future<Output = Result<u64, u64>> + Send {
        let kept = [7_u8; 63];
        async move {
            std::future::pending::<()>().await;
            black_box(&kept);
            Ok(0)
        }
    }
    let alone = size_of_val(&operation(Call::new("x")));
    let six = (&guard, &guard, &guard, &guard, &guard, &guard);
    let guards = six.call("x", operation);
    let real = (total, Retry(3), &guard, &guard, &guard, each);
    let mixed = real.call("x", operation);
    let (guards, mixed) = (size_of_val(&guards), size_of_val(&mixed));
    println!("operation {alone} B, six guards around it {guards} B, a real stack {mixed} B");
    assert_eq!(alone, 64);
    assert!(guards <= 576, "{guards}");
    // Each part that changes the call keeps a copy of its own.
    assert!(mixed <= 1_088, "{mixed}");
}
