//! Limits on silence: what counts as a sign of life, when what has gone silent ends, and what it costs.

mod model;
#[cfg(feature = "streams")]
mod streams;

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, atomic::AtomicUsize},
    task::{Context, Poll},
    time::Duration,
};

use crate::support::{Alive, Bell, Bench, MS, SECOND, at_once, percent, poll, poll_and_drop};
use rs_core::{
    Call, Clock, Deadline, Enforcement, Failure, Fault, FaultKind, Operation, Policy, TimeScope,
    TimedOut,
};
use rs_policies::{
    IdleTimeout, Pipeline, Pulse, RetryConfig, Surroundings, Timeout, TimeoutConfig, metrics,
};

type Answer = Result<u32, Failure<&'static str>>;

fn idle(bench: &Bench, config: impl Into<TimeoutConfig>) -> IdleTimeout {
    IdleTimeout::within(&bench.around, "feed", config).unwrap()
}

fn silent_for(limit: Duration) -> Answer {
    Err(TimedOut::new(TimeScope::Idle, limit).into())
}

/// Waits for each of these times, with a beat after each, then for as long as it takes.
fn beating(
    bench: &Bench,
    waits: &[Duration],
) -> impl Fn(Call, Pulse) -> Beating + Send + Sync + use<> {
    let (clock, waits) = (bench.clock.clone(), waits.to_vec());
    move |_, pulse| {
        let (clock, waits) = (clock.clone(), waits.clone());
        Box::pin(async move {
            for wait in waits {
                clock.sleep(wait).await;
                pulse.beat();
            }
            pending().await
        })
    }
}

type Beating = Pin<Box<dyn Future<Output = Result<u32, &'static str>> + Send>>;

#[track_caller]
fn check_counted(bench: &Bench, idle: &IdleTimeout, ended: u64, dark: u64) {
    assert_eq!(
        (idle.timed_out(), idle.would_have_timed_out()),
        (ended, dark)
    );
    let read = |metric: &rs_metrics::Metric<rs_metrics::Counter, metrics::Limits, 1>| {
        metric.read(&bench.registry, idle.name(), metrics::Limits::Idle)
    };
    assert_eq!(read(&metrics::TIMEOUTS), Some(ended));
    assert_eq!(read(&metrics::TIMEOUT_DARK), Some(dark));
}

#[test]
fn it_may_take_as_long_as_it_likes_as_long_as_it_lives() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let lively = async |_: Call, pulse: Pulse| {
        for _ in 0..100 {
            bench.clock.sleep(900 * MS).await;
            pulse.beat();
        }
        Ok::<_, &'static str>(7)
    };
    let (answer, took) = bench.run(idle.call("read", lively));
    assert_eq!((answer, took), (Ok(7), 90 * SECOND));
    check_counted(&bench, &idle, 0, 0);
}

#[test]
fn silence_ends_it_at_the_limit_after_the_last_sign_of_life() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let check = |waits: &[Duration], expected: Duration| {
        let (answer, took) = bench.run(idle.call("read", beating(&bench, waits)));
        assert_eq!((answer, took), (silent_for(SECOND), expected), "{waits:?}");
    };
    check(&[], SECOND);
    check(&[300 * MS], 1300 * MS);
    check(&[300 * MS, 999 * MS, MS], 2300 * MS);
    check(&[SECOND - MS; 5], 6 * SECOND - 5 * MS);
    check(&[SECOND + MS], SECOND);
    check_counted(&bench, &idle, 5, 0);
}

#[test]
fn it_counts_from_when_it_first_has_to_wait() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let busy = async |_: Call, pulse: Pulse| {
        bench.wait(3600 * SECOND);
        pulse.beat();
        bench.wait(3600 * SECOND);
        bench.clock.sleep(900 * MS).await;
        Ok::<_, &'static str>(7)
    };
    let (answer, _) = bench.run(idle.call("read", busy));
    assert_eq!(answer, Ok(7));
}

/// Tokio's own timers panic where there is no runtime.
#[test]
fn what_is_ready_sets_no_timer() {
    let around = Surroundings::apart();
    let idle = IdleTimeout::within(&around, "feed", SECOND).unwrap();
    let ready = async |_: Call, pulse: Pulse| {
        pulse.beat();
        Ok::<u32, &'static str>(7)
    };
    assert_eq!(at_once(idle.call("read", ready)), Ok(7));
}

#[test]
fn a_result_that_is_there_at_the_last_moment_counts() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let slow = async |_: Call, _: Pulse| {
        bench.clock.sleep(SECOND).await;
        Ok::<_, &'static str>(7)
    };
    assert_eq!(bench.run(idle.call("read", slow)).0, Ok(7));
    check_counted(&bench, &idle, 0, 0);
}

#[test]
fn signs_of_life_come_from_anywhere() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let given: Mutex<Option<Pulse>> = Mutex::new(None);
    let elsewhere = async |_: Call, pulse: Pulse| {
        *given.lock().unwrap() = Some(pulse);
        pending::<Result<u32, &'static str>>().await
    };
    let mut call = pin!(idle.call("read", elsewhere));
    for _ in 0..20 {
        assert!(poll(call.as_mut()).is_pending());
        let pulse = given.lock().unwrap().clone().unwrap();
        bench.wait(600 * MS);
        std::thread::spawn(move || pulse.beat()).join().unwrap();
    }
    bench.wait(SECOND - MS);
    assert!(
        poll(call.as_mut()).is_pending(),
        "the last beat was heard when it came"
    );
    bench.wait(MS);
    assert_eq!(poll(call.as_mut()), Poll::Ready(silent_for(SECOND)));
    // It may be given when nobody listens any more.
    given.lock().unwrap().clone().unwrap().beat();
}

#[test]
fn the_deadline_clips_it() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let waits = [500 * MS; 100];
    for call in [
        Call::new("read").by(Deadline::after(bench.now(), 3 * SECOND)),
        Call::new("read").limited_to(3 * SECOND),
    ] {
        let (answer, took) = bench.run(idle.call(call, beating(&bench, &waits)));
        let what = TimedOut::new(TimeScope::Deadline, 3 * SECOND);
        assert_eq!((answer, took), (Err(what.into()), 3 * SECOND));
    }
    check_counted(&bench, &idle, 0, 0);
}

#[test]
fn the_limit_around_it_says_that_it_was_the_one() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let total = Timeout::within(&bench.around, "all", TimeScope::Total, 3 * SECOND).unwrap();
    let waits = [500 * MS; 100];
    let watched = idle.watching(beating(&bench, &waits));
    let call = Call::new("read");
    let (answer, took) = bench.run(total.run(&call, &watched));
    let what = TimedOut::new(TimeScope::Total, 3 * SECOND);
    assert_eq!((answer, took), (Err(what.into()), 3 * SECOND));
    assert_eq!(total.timed_out(), 1);
    check_counted(&bench, &idle, 0, 0);
}

#[test]
fn in_the_dark_it_is_counted_once_and_the_deadline_holds() {
    let bench = Bench::new();
    let dark = TimeoutConfig::of(SECOND).with_enforcement(Enforcement::Dark);
    let idle = idle(&bench, dark);
    let call = Call::new("read").limited_to(10 * SECOND);
    let (answer, took) = bench.run(idle.call(call, beating(&bench, &[5 * SECOND])));
    let what = TimedOut::new(TimeScope::Deadline, 10 * SECOND);
    assert_eq!((answer, took), (Err(what.into()), 10 * SECOND));
    check_counted(&bench, &idle, 0, 1);

    let mut forever = pin!(idle.call("read", beating(&bench, &[])));
    for _ in 0..10 {
        assert!(poll(forever.as_mut()).is_pending());
        bench.wait(SECOND);
    }
    check_counted(&bench, &idle, 0, 2);
}

#[test]
fn a_share_of_the_calls() {
    let bench = Bench::new();
    let half = TimeoutConfig::of(SECOND).with_enforcement(Enforcement::Partial(percent(50)));
    let idle = idle(&bench, half);
    for _ in 0..400 {
        let mut call = pin!(idle.call("read", beating(&bench, &[])));
        assert!(poll(call.as_mut()).is_pending());
        bench.wait(SECOND);
        let _ended = poll(call.as_mut());
    }
    let (ended, dark) = (idle.timed_out(), idle.would_have_timed_out());
    assert_eq!(ended + dark, 400);
    assert!((150..=250).contains(&ended), "{ended}");
}

#[test]
fn another_limit_holds_from_the_next_wait_on() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let waits = [900 * MS; 3];
    let mut call = pin!(idle.call("read", beating(&bench, &waits)));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(idle.reconfigure(5 * SECOND).unwrap(), 2);
    assert!(idle.reconfigure(Duration::ZERO).is_err());
    let (answer, took) = bench.run(call);
    assert_eq!((answer, took), (silent_for(5 * SECOND), 7700 * MS));
}

#[test]
fn a_retry_makes_up_for_silence() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let feed = Pipeline::named("feed")
        .within(&bench.around)
        .retry(RetryConfig::default())
        .safe_to_repeat()
        .build()
        .unwrap();
    let read = idle.watching(async |call: Call, pulse: Pulse| {
        bench.clock.sleep(900 * MS).await;
        pulse.beat();
        match call.attempt() {
            1 => pending().await,
            attempt => Ok::<_, &'static str>(attempt),
        }
    });
    let call = Call::new("read");
    assert_eq!(bench.run(feed.run(&call, &read)).0, Ok(2));
    check_counted(&bench, &idle, 1, 0);
    let silent = read.classify(&call, &silent_for(SECOND));
    assert_eq!(
        silent.fault().map(|it| it.kind()),
        Some(FaultKind::TimedOut)
    );
    let judged = read.classified(|_: Result<&u32, &&'static str>| Fault::throttled().into());
    assert_eq!(judged.classify(&call, &Ok(1)), Fault::throttled().into());
}

#[test]
fn dropped_anywhere_nothing_is_left_and_nothing_is_counted() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let alive = Arc::new(AtomicUsize::new(0));
    for polls in 0..5 {
        let held = async |_: Call, pulse: Pulse| {
            let _alive = Alive::new(&alive);
            bench.clock.sleep(700 * MS).await;
            pulse.beat();
            pending::<Result<u32, &'static str>>().await
        };
        // 0, 700 ms, 1400 ms: the third finds nothing but a beat that is 0 to 700 ms old.
        let done = poll_and_drop(&bench, idle.call("read", held), polls, 350 * MS);
        assert!(!done);
        assert_eq!(
            alive.load(std::sync::atomic::Ordering::SeqCst),
            0,
            "{polls}"
        );
    }
    check_counted(&bench, &idle, 0, 0);
}

/// What has gone silent is dropped before the failure is returned.
#[test]
fn what_has_gone_silent_is_dropped_first() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let alive = Arc::new(AtomicUsize::new(0));
    let held = async |_: Call, _: Pulse| {
        let _alive = Alive::new(&alive);
        pending::<Result<u32, &'static str>>().await
    };
    let mut call = Box::pin(idle.call("read", held));
    assert!(poll(call.as_mut()).is_pending());
    bench.wait(SECOND);
    assert_eq!(poll(call.as_mut()), Poll::Ready(silent_for(SECOND)));
    assert_eq!(alive.load(std::sync::atomic::Ordering::SeqCst), 0);
}

/// The one who waits now is woken, not the one who waited first.
#[test]
fn whoever_waits_now_is_woken() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let mut call = pin!(idle.call("read", beating(&bench, &[])));
    assert!(poll(call.as_mut()).is_pending());
    let (bell, waker) = Bell::new();
    let asked = call.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(asked.is_pending());
    bench.wait(SECOND);
    assert_eq!(bell.rung(), 1);
}

#[tokio::test(start_paused = true)]
async fn on_tokios_clock() {
    let idle = IdleTimeout::within(&Surroundings::apart(), "feed", SECOND).unwrap();
    let clock = Clock::default();
    let begin = clock.now();
    let read = async |_: Call, pulse: Pulse| {
        for _ in 0..10 {
            clock.sleep(999 * MS).await;
            pulse.beat();
        }
        poll_fn(|_| Poll::<Result<u32, &'static str>>::Pending).await
    };
    assert_eq!(idle.call("read", read).await, silent_for(SECOND));
    let took = clock.now() - begin;
    let expected = 10 * 999 * MS + SECOND;
    assert!(took >= expected && took <= expected + 2 * MS, "{took:?}");
}

#[test]
fn it_is_seen_where_the_others_are() {
    let bench = Bench::new();
    let idle = idle(&bench, SECOND);
    let snapshot = bench
        .directory
        .snapshots()
        .into_iter()
        .find(|it| it.name == idle.name());
    let limits = snapshot.unwrap().state.get("limits").cloned();
    assert_eq!(limits, Some("idle".into()));
    assert_eq!(
        format!("{idle:?}"),
        r#"IdleTimeout { name: "feed", limit: 1s, .. }"#
    );
}
