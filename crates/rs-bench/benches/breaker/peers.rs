//! The peers of a breaker, all to open at half of a hundred calls, for an hour.
//!
//! Each is called the cheapest way that it offers. *Sync* takes a closure. *Polled* is a future that
//! never waits, so that one poll with an idle waker is all of it. *Async* may wait: for its lock, which
//! is polled until it is ready, because parking the thread costs twice as much; or asleep, which takes
//! a runtime.

use std::{
    future::{Ready, ready},
    hint::{black_box, spin_loop},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use circuitbreaker_rs::{CircuitBreaker, DefaultPolicy, State};
use execution_policy::{ExecutionPolicy, ExecutionPolicyBuilder, core::DefaultCore};
use failsafe::{CircuitBreaker as _, FailurePolicy, StateMachine, backoff, failure_policy};
use layered::{Layer as _, Service as _};
use recloser::Recloser;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::Clock;
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceExt};
use tower_resilience_circuitbreaker::{
    CircuitBreaker as TowerBreaker, CircuitBreakerConfigBuilder, CircuitBreakerHandle,
    CircuitBreakerLayer, DefaultClassifier, SlidingWindowType,
};

use super::{
    Answer, Failed, HOUR, MINUTE, Measured, Rows, SECOND, Traffic, each, operation, polled,
};

pub(crate) const RECLOSER: &str = "recloser (sync)";

/// Those that guard any call.
pub(crate) fn all() -> Rows {
    let (precise, coarse) = (tick_clock(), tick_clock().with_fast_instant(true));
    vec![
        (RECLOSER, Box::new(recloser())),
        ("failsafe (sync)", Box::new(failsafe_in_a_row())),
        ("circuitbreaker-rs (sync)", Box::new(circuitbreaker())),
        ("tower-resilience (async)", Box::new(Tower::new(tower()))),
        ("seatbelt (polled)", Box::new(seatbelt(&precise))),
        (
            "seatbelt, coarse clock (polled)",
            Box::new(seatbelt(&coarse)),
        ),
        ("execution-policy (polled)", Box::new(execution_policy())),
    ]
}

/// Those whose window is one of time. Only one of them looks for slow calls: tower-resilience.
pub(crate) fn timed() -> Rows {
    let (precise, coarse) = (tick_clock(), tick_clock().with_fast_instant(true));
    vec![
        (
            "tower-resilience, 50 µs (async)",
            Box::new(Tower::new(tower_timed())),
        ),
        ("failsafe, average (sync)", Box::new(failsafe_in_time())),
        ("seatbelt (polled)", Box::new(seatbelt(&precise))),
        (
            "seatbelt, coarse clock (polled)",
            Box::new(seatbelt(&coarse)),
        ),
        ("execution-policy (polled)", Box::new(execution_policy())),
    ]
}

/// Half of the last hundred: the one peer with the same rule.
fn recloser() -> Recloser {
    Recloser::custom()
        .error_rate(0.5)
        .closed_len(100)
        .open_wait(HOUR)
        .build()
}

impl Measured for Recloser {
    fn calls(&self, count: u64, traffic: Traffic) {
        each(count, traffic, |fails| self.call(|| operation(fails)));
    }

    fn admits(&self) -> bool {
        self.call(|| operation(false)).is_ok()
    }
}

/// The cheapest of its policies; it has no window that counts.
fn failsafe_in_a_row() -> StateMachine<impl FailurePolicy + Send, ()> {
    let policy = failure_policy::consecutive_failures(50, backoff::constant(HOUR));
    failsafe::Config::new().failure_policy(policy).build()
}

/// An average that fades over a minute.
fn failsafe_in_time() -> StateMachine<impl FailurePolicy + Send, ()> {
    let hour = backoff::constant(HOUR);
    let policy = failure_policy::success_rate_over_time_window(0.5, 100, MINUTE, hour);
    failsafe::Config::new().failure_policy(policy).build()
}

impl<P: FailurePolicy + Send> Measured for StateMachine<P, ()> {
    fn calls(&self, count: u64, traffic: Traffic) {
        each(count, traffic, |fails| self.call(|| operation(fails)));
    }

    fn admits(&self) -> bool {
        self.is_call_permitted()
    }
}

/// It looks at all calls since it was made: its windows are not connected to anything.
fn circuitbreaker() -> CircuitBreaker<DefaultPolicy, Failed> {
    CircuitBreaker::<DefaultPolicy, Failed>::builder()
        .failure_threshold(0.5)
        .min_throughput(100)
        .consecutive_failures(50)
        .cooldown(HOUR)
        .build()
}

impl Measured for CircuitBreaker<DefaultPolicy, Failed> {
    fn calls(&self, count: u64, traffic: Traffic) {
        each(count, traffic, |fails| self.call(|| operation(fails)));
    }

    fn admits(&self) -> bool {
        self.current_state() == State::Closed
    }
}

/// The operation as a service; costs nothing to clone.
#[derive(Clone)]
struct Operation;

impl Service<bool> for Operation {
    type Response = u32;
    type Error = Failed;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, fails: bool) -> Ready<Answer> {
        ready(operation(fails))
    }
}

impl layered::Service<bool> for Operation {
    type Out = Answer;

    async fn execute(&self, fails: bool) -> Answer {
        operation(fails)
    }
}

type TowerConfig = CircuitBreakerConfigBuilder<DefaultClassifier>;

/// A hundred calls, though not the last hundred: the window does not slide.
fn tower() -> TowerConfig {
    CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100)
        .wait_duration_in_open(HOUR)
}

/// It looks at every call in the window whenever a call ends, and a minute of these would be millions:
/// 50 µs hold about a hundred.
fn tower_timed() -> TowerConfig {
    tower()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_micros(50))
        .minimum_number_of_calls(100)
        .slow_call_duration_threshold(SECOND)
        .slow_call_rate_threshold(0.5)
}

struct Tower {
    service: TowerBreaker<Operation, DefaultClassifier>,
    handle: CircuitBreakerHandle,
}

impl Tower {
    fn new(config: TowerConfig) -> Self {
        match config.build_with_handle() {
            Ok((layer, handle)) => Self {
                service: layer.layer(Operation),
                handle,
            },
            Err(error) => panic!("{error}"),
        }
    }
}

impl Measured for Tower {
    fn calls(&self, count: u64, traffic: Traffic) {
        let mut service = self.service.clone();
        let calls = async {
            for number in 0..count {
                if let Ok(service) = service.ready().await {
                    let fails = black_box(traffic.fails(number));
                    black_box(&service.call(fails).await);
                }
            }
        };
        // Only open does it sleep.
        if self.handle.is_open() {
            in_runtime(calls);
        } else {
            spun(calls);
        }
    }

    fn admits(&self) -> bool {
        !self.handle.is_open()
    }
}

/// A minute in ten slices; it has no window that counts.
fn seatbelt(clock: &Clock) -> Seatbelt {
    let context = ResilienceContext::new(clock);
    seatbelt::breaker::Breaker::layer("bench", &context)
        .recovery_with(|answer: &Answer, _| match answer {
            Ok(_) => RecoveryInfo::never(),
            Err(_) => RecoveryInfo::retry(),
        })
        .rejected_input_error(|_, _| Failed)
        .failure_threshold(0.5)
        .min_throughput(100)
        .sampling_duration(MINUTE)
        .break_duration(HOUR)
        .layer(Operation)
}

type Seatbelt = seatbelt::breaker::Breaker<bool, Answer, Operation>;

impl Measured for Seatbelt {
    fn calls(&self, count: u64, traffic: Traffic) {
        each(count, traffic, |fails| polled(self.execute(fails)));
    }

    fn admits(&self) -> bool {
        polled(self.execute(false)).is_ok()
    }
}

fn tick_clock() -> Clock {
    runtime().block_on(async { Clock::new_tokio() })
}

/// A minute in ten slices; it has no window that counts.
fn execution_policy() -> ExecutionPolicy<DefaultCore, u32, Failed> {
    let breaker = execution_policy::CircuitBreaker::failure_ratio()
        .ratio(0.5)
        .minimum_throughput(100)
        .sampling_window(MINUTE)
        .open_for(HOUR);
    ExecutionPolicyBuilder::new()
        .circuit_breaker(breaker)
        .build()
}

impl Measured for ExecutionPolicy<DefaultCore, u32, Failed> {
    fn calls(&self, count: u64, traffic: Traffic) {
        each(count, traffic, |fails| {
            polled(self.run(async || operation(fails)))
        });
    }

    fn admits(&self) -> bool {
        polled(self.run(async || operation(false))).is_ok()
    }
}

pub(crate) fn runtime() -> Runtime {
    match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("{error}"),
    }
}

/// Drives the loop as a worker of a runtime would, but without switching it off now and then.
fn in_runtime(future: impl Future<Output = ()>) {
    runtime().block_on(tokio::task::unconstrained(future));
}

/// Polls a future until it is ready.
fn spun(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    let mut idle = Context::from_waker(Waker::noop());
    while future.as_mut().poll(&mut idle).is_pending() {
        spin_loop();
    }
}
