//! The peers of the policies.
//!
//! Each is called the cheapest way that it offers. *Sync* takes a closure or no call at all. *Polled* is a
//! future that never waits, so that one poll with an idle waker is all of it. *Async* may wait: for its
//! lock, which is polled until it is ready, because parking the thread costs twice as much; or asleep,
//! which takes a runtime. Whoever makes a timer of tokio's for every call needs a runtime at hand, too:
//! each thread has one of its own, so that they do not meet at its reference count, as the workers of one
//! runtime do.
//!
//! A service of tower's is cloned once a thread and asked whether it is ready before each call; what
//! clones share, they share.

use std::{
    future::{Ready, ready},
    hint::spin_loop,
    iter::repeat_n,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use backon::Retryable;
use execution_policy::{ConcurrencyLimit, ExecutionPolicyBuilder, RetryBudget};
use layered::Layer as _;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::Clock;
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
};
use tower::{
    Service, ServiceExt,
    limit::ConcurrencyLimit as TowerLimit,
    retry::{
        Policy, Retry as TowerRetry,
        budget::{Budget, TpsBudget},
    },
    timeout::Timeout as TowerTimeout,
};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_retry::{RetryBudgetBuilder, RetryLayer};
use tower_resilience_timelimiter::TimeLimiterLayer;

use super::{
    ATTEMPT, ATTEMPTS, Answer, BACKOFF, Body, Failed, PLACES, Rows, TOTAL, each, operation, polled,
    refuses, succeeds,
};

pub(crate) const EXECUTION_POLICY: &str = "execution-policy, all 6 (polled)";
pub(crate) const TOWER_RESILIENCE: &str = "tower-resilience, all 6 (async)";

const RETRIES: usize = ATTEMPTS as usize - 1;

/// Six parts are total timeout, retry, its budget, breaker, bulkhead and attempt timeout. Two peers have
/// all of them. Of the others tower has no breaker, and seatbelt neither bulkhead nor budget.
pub(crate) fn stacks() -> Rows {
    let (precise, coarse) = (tick_clock(), tick_clock().with_fast_instant(true));
    vec![
        (EXECUTION_POLICY, execution_policy()),
        (TOWER_RESILIENCE, tower_resilience()),
        ("tower-resilience, 4 of 6 (async)", tower_resilience_four()),
        ("tower, 4 of 6 (polled)", tower()),
        ("seatbelt, 3 of 6 (polled)", seatbelt(&precise)),
        ("seatbelt coarse, 3 of 6 (polled)", seatbelt(&coarse)),
    ]
}

pub(crate) fn timeouts() -> Rows {
    let context = ResilienceContext::new(tick_clock());
    let seatbelt = seatbelt::timeout::Timeout::layer("bench", &context)
        .timeout(TOTAL)
        .timeout_error(|_| Failed)
        .layer(Operation);
    let limiter = TimeLimiterLayer::builder().timeout_duration(TOTAL).build();
    let shared = runtime();
    vec![
        (
            "tokio (polled)",
            Box::new(|count| inside(&runtime(), || timed_out(count))),
        ),
        (
            "tokio, one runtime (polled)",
            Box::new(move |count| inside(&shared, || timed_out(count))),
        ),
        (
            "tower (polled)",
            serviced(TowerTimeout::new(Operation, TOTAL)),
        ),
        (
            "tower-resilience (async)",
            serviced(tower::Layer::layer(&limiter, Operation)),
        ),
        ("seatbelt (polled)", executed(seatbelt)),
    ]
}

#[expect(clippy::disallowed_methods, reason = "it is what is compared")]
fn timed_out(count: u64) {
    succeeds(count, |fails| {
        match polled(tokio::time::timeout(TOTAL, async { operation(fails) })) {
            Ok(answer) => answer,
            Err(_) => Err(Failed),
        }
    });
}

/// None has a budget.
pub(crate) fn retries() -> Rows {
    let context = ResilienceContext::new(tick_clock());
    let tower_resilience = RetryLayer::builder()
        .max_attempts(ATTEMPTS as usize)
        .fixed_backoff(BACKOFF)
        .build();
    vec![
        (
            "backon (polled)",
            Box::new(|count| {
                succeeds(count, |fails| {
                    let attempt = || ready(operation(fails));
                    polled(attempt.retry(repeat_n(BACKOFF, RETRIES)))
                });
            }),
        ),
        (
            "tokio-retry (polled)",
            Box::new(|count| {
                succeeds(count, |fails| {
                    let attempt = || ready(operation(fails));
                    let waits = repeat_n(BACKOFF, RETRIES);
                    polled(tokio_retry::Retry::start(waits, attempt))
                });
            }),
        ),
        (
            "tower (polled)",
            serviced(TowerRetry::new(Again::new(None), Operation)),
        ),
        (
            "tower-resilience (async)",
            serviced(tower::Layer::layer(&tower_resilience, Operation)),
        ),
        ("seatbelt (polled)", executed(again(&context, Operation))),
    ]
}

/// The first attempt fails and the second, with no wait between them, succeeds. The sleep of tokio that
/// backon and tokio-retry take for a wait of nothing lasts until the next millisecond; with backon it can
/// be left out.
pub(crate) fn retried() -> Rows {
    let second = |fails: bool| {
        let mut attempt = 0;
        move || {
            attempt += 1;
            ready(operation(fails || attempt == 1))
        }
    };
    let waits = || repeat_n(Duration::ZERO, RETRIES);
    vec![
        (
            "backon, no sleep (polled)",
            Box::new(move |count| {
                succeeds(count, |fails| {
                    polled(second(fails).retry(waits()).sleep(|_| ready(())))
                });
            }),
        ),
        (
            "backon (async)",
            Box::new(move |count| {
                asleep(|runtime| {
                    succeeds(count, |fails| {
                        runtime.block_on(second(fails).retry(waits()))
                    });
                });
            }),
        ),
        (
            "tokio-retry (async)",
            Box::new(move |count| {
                asleep(|runtime| {
                    succeeds(count, |fails| {
                        runtime.block_on(tokio_retry::Retry::start(waits(), second(fails)))
                    });
                });
            }),
        ),
        (
            "tower (polled)",
            Box::new(|count| {
                let mut service = TowerRetry::new(Again::new(None), SecondSucceeds);
                succeeds(count, |fails| spun(call(&mut service, (1, fails))));
            }),
        ),
    ]
}

pub(crate) fn bulkheads() -> Rows {
    let semaphore = Semaphore::new(PLACES as usize);
    vec![
        (
            "tokio Semaphore (sync)",
            Box::new(move |count| {
                succeeds(count, |fails| {
                    let _permit = semaphore.try_acquire().map_err(|_| Failed)?;
                    operation(fails)
                });
            }),
        ),
        (
            "tower (polled)",
            serviced(TowerLimit::new(Operation, PLACES as usize)),
        ),
        (
            "tower-resilience (async)",
            serviced(tower::Layer::layer(&bulkhead(), Operation)),
        ),
    ]
}

pub(crate) fn full_bulkheads() -> Rows {
    let semaphore = Semaphore::new(0);
    vec![(
        "tokio Semaphore (sync)",
        Box::new(move |count| refuses(count, || semaphore.try_acquire())),
    )]
}

pub(crate) fn budgets() -> Rows {
    let (tower, tower_resilience) = (TpsBudget::default(), token_bucket());
    vec![
        (
            "tower (sync)",
            Box::new(move |count| each(count, || tower.deposit(), |()| true)),
        ),
        (
            "tower-resilience (sync)",
            Box::new(move |count| each(count, || tower_resilience.deposit(), |()| true)),
        ),
    ]
}

/// It has its limit and its breaker where it wants; ours are where they see every attempt, and so is its
/// limit here.
fn execution_policy() -> Body {
    let breaker = execution_policy::CircuitBreaker::failure_ratio()
        .ratio(0.5)
        .minimum_throughput(100)
        .sampling_window(Duration::from_secs(60))
        .open_for(Duration::from_secs(10));
    let policy = ExecutionPolicyBuilder::new()
        .total_timeout(TOTAL)
        .retry(
            execution_policy::Retry::exponential()
                .max_attempts(ATTEMPTS)
                .base_delay(BACKOFF)
                .budget(RetryBudget::standard()),
        )
        .circuit_breaker(breaker)
        .concurrency_limit(ConcurrencyLimit::attempts(PLACES as usize))
        .attempt_timeout(ATTEMPT)
        .build();
    Box::new(move |count| {
        succeeds(count, |fails| polled(policy.run(async || operation(fails))));
    })
}

/// In our order.
fn tower_resilience() -> Body {
    use tower::Layer;

    let attempt = TimeLimiterLayer::builder()
        .timeout_duration(ATTEMPT)
        .build();
    let retry = RetryLayer::builder()
        .max_attempts(ATTEMPTS as usize)
        .exponential_backoff(BACKOFF)
        .budget(token_bucket())
        .build();
    let total = TimeLimiterLayer::builder().timeout_duration(TOTAL).build();
    let attempt = bulkhead().layer(attempt.layer(Operation));
    serviced(total.layer(retry.layer(breaker().layer(attempt))))
}

/// Neither budget nor attempt timeout.
fn tower_resilience_four() -> Body {
    use tower::Layer;

    let retry = RetryLayer::builder()
        .max_attempts(ATTEMPTS as usize)
        .exponential_backoff(BACKOFF)
        .build();
    let total = TimeLimiterLayer::builder().timeout_duration(TOTAL).build();
    serviced(total.layer(retry.layer(breaker().layer(bulkhead().layer(Operation)))))
}

fn breaker() -> CircuitBreakerLayer {
    let config = CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_size(100);
    match config.build() {
        Ok(layer) => layer,
        Err(error) => panic!("{error}"),
    }
}

/// Whoever finds it full waits without end: a longest wait, and be it none, costs it a timer a call.
fn bulkhead() -> BulkheadLayer {
    let config = BulkheadLayer::builder().max_concurrent_calls(PLACES as usize);
    match config.build() {
        Ok(layer) => layer,
        Err(error) => panic!("{error}"),
    }
}

fn token_bucket() -> Arc<dyn tower_resilience_retry::RetryBudget> {
    match RetryBudgetBuilder::new().token_bucket().build() {
        Ok(budget) => budget,
        Err(error) => panic!("{error}"),
    }
}

/// Total timeout, retry, budget, limit: neither breaker nor attempt timeout.
fn tower() -> Body {
    // Not counted by reference: there is one for the life of the process.
    let budget: &'static TpsBudget = Box::leak(Box::default());
    let limited = TowerLimit::new(Operation, PLACES as usize);
    let retried = TowerRetry::new(Again::new(Some(budget)), limited);
    serviced(TowerTimeout::new(retried, TOTAL))
}

/// Retry, breaker, timeout of the attempt.
fn seatbelt(clock: &Clock) -> Body {
    let context = ResilienceContext::new(clock);
    let timed = seatbelt::timeout::Timeout::layer("timeout", &context)
        .timeout(ATTEMPT)
        .timeout_error(|_| Failed)
        .layer(Operation);
    let guarded = seatbelt::breaker::Breaker::layer("breaker", &context)
        .recovery_with(|answer, _| recovery(answer))
        .rejected_input_error(|_, _| Failed)
        .failure_threshold(0.5)
        .min_throughput(100)
        .sampling_duration(Duration::from_secs(60))
        .layer(timed);
    executed(again(&context, guarded))
}

fn again<S>(
    context: &ResilienceContext<bool, Answer>,
    service: S,
) -> seatbelt::retry::Retry<bool, Answer, S> {
    seatbelt::retry::Retry::layer("retry", context)
        .clone_input()
        .recovery_with(|answer, _| recovery(answer))
        .max_retry_attempts(ATTEMPTS - 1)
        .base_delay(BACKOFF)
        .layer(service)
}

const fn recovery(answer: &Answer) -> RecoveryInfo {
    match answer {
        Ok(_) => RecoveryInfo::never(),
        Err(_) => RecoveryInfo::retry(),
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

/// The operation as one that fails at the first attempt.
#[derive(Clone)]
struct SecondSucceeds;

impl Service<(u32, bool)> for SecondSucceeds {
    type Response = u32;
    type Error = Failed;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (attempt, fails): (u32, bool)) -> Ready<Answer> {
        ready(operation(fails || attempt == 1))
    }
}

/// What tower leaves to its user: whether to try again.
#[derive(Clone)]
struct Again {
    left: u32,
    budget: Option<&'static TpsBudget>,
}

impl Again {
    const fn new(budget: Option<&'static TpsBudget>) -> Self {
        Self {
            left: ATTEMPTS - 1,
            budget,
        }
    }

    fn goes_on<T, E>(&mut self, result: &Result<T, E>) -> Option<Ready<()>> {
        match (result, self.budget) {
            (Ok(_), Some(budget)) => {
                budget.deposit();
                None
            }
            (Ok(_), None) => None,
            (Err(_), budget) => {
                self.left = self.left.checked_sub(1)?;
                budget.is_none_or(Budget::withdraw).then(|| ready(()))
            }
        }
    }
}

impl<E> Policy<bool, u32, E> for Again {
    type Future = Ready<()>;

    fn retry(&mut self, _request: &mut bool, result: &mut Result<u32, E>) -> Option<Ready<()>> {
        self.goes_on(result)
    }

    fn clone_request(&mut self, request: &bool) -> Option<bool> {
        Some(*request)
    }
}

impl<E> Policy<(u32, bool), u32, E> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        (attempt, _fails): &mut (u32, bool),
        result: &mut Result<u32, E>,
    ) -> Option<Ready<()>> {
        *attempt += 1;
        self.goes_on(result)
    }

    fn clone_request(&mut self, request: &(u32, bool)) -> Option<(u32, bool)> {
        Some(*request)
    }
}

/// A service of tower's; no more than one poll but for those that have a lock to wait for.
fn serviced<S>(service: S) -> Body
where
    S: Service<bool, Response = u32> + Clone + Send + Sync + 'static,
{
    Box::new(move |count| {
        let mut service = service.clone();
        inside(&runtime(), || {
            succeeds(count, |fails| spun(call(&mut service, fails)));
        });
    })
}

async fn call<S: Service<R>, R>(service: &mut S, request: R) -> Result<S::Response, S::Error> {
    service.ready().await?.call(request).await
}

fn executed<S>(service: S) -> Body
where
    S: layered::Service<bool, Out = Answer> + 'static,
{
    Box::new(move |count| succeeds(count, |fails| polled(service.execute(fails))))
}

fn tick_clock() -> Clock {
    runtime().block_on(async { Clock::new_tokio() })
}

pub(crate) fn runtime() -> Runtime {
    match Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => panic!("{error}"),
    }
}

/// Where timers can be made, though nobody waits for them.
fn inside(runtime: &Runtime, calls: impl FnOnce()) {
    let _entered = runtime.enter();
    calls();
}

/// Where timers are waited for.
fn asleep(calls: impl FnOnce(&Runtime)) {
    thread_local! {
        static RUNTIME: Runtime = runtime();
    }
    RUNTIME.with(calls);
}

/// Polls a future until it is ready.
fn spun<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut idle = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut idle) {
            return result;
        }
        spin_loop();
    }
}
