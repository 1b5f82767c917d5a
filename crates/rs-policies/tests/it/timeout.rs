//! Timeouts: what ends, when, what is reported, and what it costs.

mod nested;

use std::{
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    task::Poll,
    time::Duration,
};

use crate::support::{
    Act, Alive, Answer, Bad, Bell, Bench, FAIL, MS, SECOND, Script, at_once, percent, poll,
    poll_and_drop,
};
use rs_core::{Call, Clock, Enforcement, Failure, Outcome, Policy, TimeScope, TimedOut, operation};
use rs_policies::{Surroundings, Timeout, TimeoutConfig, metrics};

const GOOD: Answer = Ok(Outcome::Success);

fn timeout(bench: &Bench, scope: TimeScope, config: impl Into<TimeoutConfig>) -> Timeout {
    Timeout::within(&bench.around, "patience", scope, config).unwrap()
}

fn total(bench: &Bench, limit: Duration) -> Timeout {
    timeout(bench, TimeScope::Total, limit)
}

fn ended(scope: TimeScope, limit: Duration) -> Answer {
    Err(TimedOut::new(scope, limit).into())
}

/// An operation that takes this long and succeeds.
fn takes(bench: &Bench, time: Duration) -> Script {
    Script::slow(bench, [(time, Act::Succeed)])
}

#[track_caller]
fn check_counted(bench: &Bench, timeout: &Timeout, ended: u64, dark: u64) {
    assert_eq!(
        (timeout.timed_out(), timeout.would_have_timed_out()),
        (ended, dark)
    );
    let label = match timeout.scope() {
        TimeScope::Total => metrics::Limits::Total,
        TimeScope::Attempt => metrics::Limits::Attempt,
        _ => metrics::Limits::Other,
    };
    let read = |metric: &rs_metrics::Metric<rs_metrics::Counter, metrics::Limits, 1>| {
        metric.read(&bench.registry, timeout.name(), label)
    };
    assert_eq!(read(&metrics::TIMEOUTS), Some(ended));
    assert_eq!(read(&metrics::TIMEOUT_DARK), Some(dark));
}

#[test]
fn what_is_in_time_goes_through() {
    let bench = Bench::new();
    for scope in [TimeScope::Total, TimeScope::Attempt] {
        let timeout = timeout(&bench, scope, SECOND);
        for time in [Duration::ZERO, MS, 999 * MS] {
            let script = takes(&bench, time);
            assert_eq!(
                bench.run(timeout.run(&Call::new("x"), &script)),
                (GOOD, time)
            );
        }
        let script = Script::slow(&bench, [(5 * MS, FAIL)]);
        let (answer, _) = bench.run(timeout.run(&Call::new("x"), &script));
        assert!(matches!(
            answer,
            Err(Failure::Operation { error: Bad(_), .. })
        ));
        check_counted(&bench, &timeout, 0, 0);
    }
}

#[test]
fn what_takes_longer_is_ended_when_the_time_is_over() {
    let bench = Bench::new();
    for scope in [
        TimeScope::Total,
        TimeScope::Attempt,
        TimeScope::Connect,
        TimeScope::Idle,
    ] {
        let timeout = timeout(&bench, scope, SECOND);
        let script = takes(&bench, 1001 * MS);
        let (answer, took) = bench.run(timeout.run(&Call::new("x"), &script));
        assert_eq!((answer, took), (ended(scope, SECOND), SECOND));
        assert_eq!(timeout.timed_out(), 1);
    }
}

/// What is done when the time is over is done.
#[test]
fn done_is_done() {
    let bench = Bench::new();
    let timeout = total(&bench, SECOND);
    let script = takes(&bench, SECOND);
    let call = Call::new("x");
    let mut running = pin!(timeout.run(&call, &script));
    assert!(poll(running.as_mut()).is_pending());
    bench.wait(3600 * SECOND);
    assert_eq!(poll(running.as_mut()), Poll::Ready(GOOD));
    check_counted(&bench, &timeout, 0, 0);
}

/// The time counts from when it first had to wait, not from when the future was made.
#[test]
fn it_begins_when_it_is_polled() {
    let bench = Bench::new();
    let timeout = total(&bench, SECOND);
    let script = takes(&bench, 2 * SECOND);
    let call = Call::new("x");
    let running = timeout.run(&call, &script);
    bench.wait(10 * SECOND);
    assert_eq!(
        bench.run(running),
        (ended(TimeScope::Total, SECOND), SECOND)
    );
}

/// Without a runtime tokio's timers cannot even be made.
#[test]
fn what_is_done_at_once_sets_no_timer() {
    let timeout = Timeout::within(&Surroundings::apart(), "t", TimeScope::Total, SECOND).unwrap();
    let done = timeout.call("x", async |_| Ok::<_, ()>(5));
    assert_eq!(at_once(done), Ok(5));
    // It would: this is how the test knows.
    let waits = || {
        at_once(timeout.call("x", async |_| {
            std::future::pending::<Result<(), ()>>().await
        }))
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(waits)).unwrap_err();
}

/// A waiting call is woken by the time alone.
#[test]
fn the_end_of_the_time_wakes_the_task() {
    let bench = Bench::new();
    let timeout = total(&bench, SECOND);
    let (bell, waker) = Bell::new();
    let call = Call::new("x");
    let script = Script::new(&bench, [Act::Hang]);
    let mut running = pin!(timeout.run(&call, &script));
    let mut context = std::task::Context::from_waker(&waker);
    assert!(running.as_mut().poll(&mut context).is_pending());
    assert_eq!(bell.rung(), 0);
    bench.wait(SECOND);
    assert_eq!(bell.rung(), 1);
    let over = running.as_mut().poll(&mut context);
    assert_eq!(over, Poll::Ready(ended(TimeScope::Total, SECOND)));
}

/// The failure is not returned while what failed still holds a connection.
#[test]
fn the_operation_is_dropped_before_the_failure_is_returned() {
    let bench = Bench::new();
    let timeout = total(&bench, SECOND);
    let script = Script::new(&bench, [Act::Hang]);
    let call = Call::new("x");
    let mut running = pin!(timeout.run(&call, &script));
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(script.alive(), 1);
    bench.wait(SECOND);
    assert!(poll(running.as_mut()).is_ready());
    assert_eq!(
        script.alive(),
        0,
        "though the future of the call still lives"
    );
}

#[test]
fn the_call_is_told() {
    let bench = Bench::new();
    let told = |scope, config: TimeoutConfig| {
        let timeout = timeout(&bench, scope, config);
        let script = takes(&bench, Duration::ZERO);
        at_once(timeout.run(&Call::new("x"), &script)).unwrap();
        let (_, call) = script.calls()[0];
        (
            call.limits().call(),
            call.limits().attempt(),
            call.deadline(),
        )
    };
    let second = TimeoutConfig::of(SECOND);
    assert_eq!(told(TimeScope::Total, second), (Some(SECOND), None, None));
    assert_eq!(told(TimeScope::Attempt, second), (None, Some(SECOND), None));
    assert_eq!(told(TimeScope::Connect, second), (None, None, None));
    // What is not enforced is not said either: the other side would act on it.
    let dark = second.with_enforcement(Enforcement::Dark);
    assert_eq!(told(TimeScope::Total, dark), (None, None, None));
    assert_eq!(told(TimeScope::Attempt, dark), (None, None, None));
}

#[test]
fn a_deadline_that_comes_first_is_reported_as_one() {
    let bench = Bench::new();
    for (deadline, expected, counted) in [
        (999, ended(TimeScope::Deadline, 999 * MS), 0),
        (1000, ended(TimeScope::Total, SECOND), 1),
        (1001, ended(TimeScope::Total, SECOND), 1),
        (0, ended(TimeScope::Deadline, Duration::ZERO), 0),
    ] {
        let timeout = total(&bench, SECOND);
        let script = takes(&bench, 5 * SECOND);
        let call = Call::new("x").within(deadline * MS, &bench.clock);
        let (answer, took) = bench.run(timeout.run(&call, &script));
        assert_eq!(answer, expected, "{deadline}");
        assert_eq!(took, (deadline * MS).min(SECOND));
        check_counted(&bench, &timeout, counted, 0);
    }
}

/// Somebody who says `limited_to` means it, whatever the rules would allow.
#[test]
fn a_limit_in_the_call_that_is_shorter_counts() {
    let bench = Bench::new();
    for scope in [TimeScope::Total, TimeScope::Attempt] {
        let timeout = timeout(&bench, scope, 5 * SECOND);
        let script = takes(&bench, 10 * SECOND);
        let call = Call::new("x").limited_to(SECOND);
        let (answer, took) = bench.run(timeout.run(&call, &script));
        assert_eq!((answer, took), (ended(TimeScope::Deadline, SECOND), SECOND));
        check_counted(&bench, &timeout, 0, 0);
    }
}

#[test]
fn dark_mode_counts_and_lets_go_on() {
    let bench = Bench::new();
    let dark = TimeoutConfig::of(SECOND).with_enforcement(Enforcement::Dark);
    let timeout = timeout(&bench, TimeScope::Total, dark);
    let script = takes(&bench, 3 * SECOND);
    let run = |call: Call| bench.run(timeout.run(&call, &script));
    assert_eq!(run(Call::new("x")), (GOOD, 3 * SECOND));
    check_counted(&bench, &timeout, 0, 1);
    // The deadline is not this timeout's to be lenient with.
    let late = run(Call::new("x").within(2 * SECOND, &bench.clock));
    assert_eq!(late, (ended(TimeScope::Deadline, 2 * SECOND), 2 * SECOND));
    check_counted(&bench, &timeout, 0, 2);
    let early = run(Call::new("x").within(SECOND / 2, &bench.clock));
    assert_eq!(early, (ended(TimeScope::Deadline, SECOND / 2), SECOND / 2));
    check_counted(&bench, &timeout, 0, 2);
    // Nor is a limit in the call.
    let limited = run(Call::new("x").limited_to(2 * SECOND));
    assert_eq!(
        limited,
        (ended(TimeScope::Deadline, 2 * SECOND), 2 * SECOND)
    );
    check_counted(&bench, &timeout, 0, 3);
}

/// In the dark a call is counted once, however long it takes.
#[test]
fn dark_mode_counts_a_call_once() {
    let bench = Bench::new();
    let dark = TimeoutConfig::of(10 * MS).with_enforcement(Enforcement::Dark);
    let timeout = timeout(&bench, TimeScope::Attempt, dark);
    let script = takes(&bench, SECOND);
    assert_eq!(
        bench.run(timeout.run(&Call::new("x"), &script)),
        (GOOD, SECOND)
    );
    check_counted(&bench, &timeout, 0, 1);
}

#[test]
fn a_share_of_the_calls_is_ended() {
    let bench = Bench::new();
    let some = TimeoutConfig::of(SECOND).with_enforcement(Enforcement::Partial(percent(25)));
    let timeout = timeout(&bench, TimeScope::Total, some);
    let mut counts = (0, 0);
    for _ in 0..2000 {
        let call = Call::new("x");
        let script = Script::slow(&bench, [(2 * SECOND, Act::Succeed)]);
        let mut running = pin!(timeout.run(&call, &script));
        assert!(poll(running.as_mut()).is_pending());
        // Whoever will be ended is told, and nobody else.
        let (_, told) = script.calls()[0];
        bench.wait(SECOND);
        match poll(running.as_mut()) {
            Poll::Ready(answer) => {
                assert_eq!(answer, ended(TimeScope::Total, SECOND));
                assert_eq!(told.limits().call(), Some(SECOND));
                counts.0 += 1;
            }
            Poll::Pending => {
                assert_eq!(told.limits().call(), None);
                counts.1 += 1;
            }
        }
    }
    assert!((400..600).contains(&counts.0), "{counts:?}");
    check_counted(&bench, &timeout, counts.0, counts.1);
}

#[test]
fn new_rules_hold_for_the_next_call() {
    let bench = Bench::new();
    let timeout = total(&bench, SECOND);
    let script = takes(&bench, 10 * SECOND);
    let call = Call::new("x");
    let mut before = pin!(timeout.run(&call, &script));
    assert!(poll(before.as_mut()).is_pending());
    assert_eq!(timeout.reconfigure(2 * SECOND), Ok(2));
    let after = bench.run(timeout.run(&call, &script));
    assert_eq!(after, (ended(TimeScope::Total, 2 * SECOND), 2 * SECOND));
    assert_eq!(
        poll(before.as_mut()),
        Poll::Ready(ended(TimeScope::Total, SECOND))
    );
    let error = timeout.reconfigure(Duration::ZERO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "limit: 0s is out of range; allowed: 1ms to 1d"
    );
    assert_eq!(timeout.config().limit(), 2 * SECOND);
}

#[test]
fn a_call_dropped_anywhere_leaves_nothing_behind() {
    for polls in 0..25 {
        let bench = Bench::new();
        let timeout = total(&bench, 20 * MS);
        let script = takes(&bench, SECOND);
        let call = Call::new("x");
        let done = poll_and_drop(&bench, timeout.run(&call, &script), polls, MS);
        assert_eq!(done, polls > 20);
        assert_eq!(script.alive(), 0);
        check_counted(&bench, &timeout, done.into(), 0);
    }
}

/// The same with a real runtime, its time paused.
#[tokio::test(start_paused = true)]
async fn with_tokio() {
    let clock = Clock::tokio();
    let timeout = Timeout::within(&Surroundings::apart(), "t", TimeScope::Total, SECOND).unwrap();
    let alive = Arc::new(AtomicUsize::new(0));
    let begin = clock.now();
    let slow = timeout.call("x", async |_| {
        let _alive = Alive::new(&alive);
        clock.sleep(2 * SECOND).await;
        Ok::<_, ()>(())
    });
    let why = TimedOut::new(TimeScope::Total, SECOND);
    assert_eq!(slow.await, Err(why.into()));
    let took = clock.now() - begin;
    assert!(took >= SECOND && took <= SECOND + 2 * MS, "{took:?}");
    assert_eq!(Arc::strong_count(&alive), 1);
    let fast = timeout.call("x", async |_| {
        clock.sleep(SECOND / 2).await;
        Ok::<_, ()>(7)
    });
    assert_eq!(fast.await, Ok(7));
}

#[test]
fn futures_are_small() {
    let bench = Bench::new();
    let patience = total(&bench, SECOND);
    let call = Call::new("x");
    let plain = operation(async |_: Call| Ok::<(), ()>(()));
    let bare = size_of_val(&rs_core::Operation::attempt(&plain, &call));
    let limited = size_of_val(&patience.run(&call, &plain));
    let twice = size_of_val(&(patience.clone(),).run(&call, &plain));
    println!(
        "a call takes {} bytes, an attempt {bare}, one with a limit {limited}, in a tuple {twice}",
        size_of::<Call>()
    );
    // The call is kept once more, for it is told of the limit.
    assert!(limited <= bare + 2 * size_of::<Call>() + 160, "{limited}");
}
