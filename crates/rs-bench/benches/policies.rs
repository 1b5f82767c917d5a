//! The cost of policies, beside their peers.

#[path = "policies/adaptive.rs"]
mod adaptive;
#[path = "policies/attributes.rs"]
mod attributes;
#[path = "policies/hedge.rs"]
mod hedge;
#[path = "policies/peers.rs"]
mod peers;
#[path = "policies/queue.rs"]
mod queue;
#[path = "policies/rate_limit.rs"]
mod rate_limit;
#[path = "policies/traced.rs"]
mod traced;

use std::{
    error::Error,
    fmt,
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_bench::{Bench, Case, Goal};
use rs_breaker::{Breaker, BreakerConfig};
use rs_core::{Call, ConfigError, Guard, Policy};
use rs_policies::{
    Backoff, Budget, BudgetConfig, Bulkhead, BulkheadConfig, DynPipeline, Pipeline, Retry,
    RetryConfig, Stack, Surroundings, Timeout,
};

/// What everybody is told, ours and peers.
const TOTAL: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_millis(500);
const ATTEMPTS: u32 = 3;
const BACKOFF: Duration = Duration::from_millis(100);
const PLACES: u32 = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut bench = Bench::from_args("policies");
    stack(&mut bench)?;
    stack_ways(&mut bench)?;
    stack_parts(&mut bench)?;
    attributes::run(&mut bench)?;
    timeout(&mut bench)?;
    retry(&mut bench)?;
    retried(&mut bench)?;
    bulkhead(&mut bench)?;
    bulkhead_full(&mut bench)?;
    budget(&mut bench)?;
    rate_limit::run(&mut bench)?;
    adaptive::run(&mut bench)?;
    hedge::run(&mut bench)?;
    traced::run(&mut bench)?;
    let waits = queue::waits(&bench)?;
    bench.finish();
    print!("{waits}");
    Ok(())
}

/// Makes so many calls.
type Body = Box<dyn Fn(u64) + Sync>;

type Rows = Vec<(&'static str, Body)>;

type Answer = Result<u32, Failed>;

#[derive(Debug, Clone)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {}

/// What every policy is around: done at once.
fn operation(fails: bool) -> Answer {
    if fails { Err(Failed) } else { Ok(black_box(7)) }
}

/// Makes so many calls that succeed; the compiler does not know beforehand that they will.
fn succeeds<T, E>(count: u64, mut call: impl FnMut(bool) -> Result<T, E>) {
    each(count, || call(black_box(false)), Result::is_ok);
}

/// Makes so many calls that are refused.
fn refuses<T, E>(count: u64, call: impl FnMut() -> Result<T, E>) {
    each(count, call, Result::is_err);
}

/// Calls this so many times. Figures of calls that end otherwise than the case says would be worthless:
/// the last one is looked at, which costs the others nothing.
fn each<T>(count: u64, mut call: impl FnMut() -> T, is_right: impl Fn(&T) -> bool) {
    let mut left = count.max(1);
    loop {
        let result = call();
        // By reference: a result that explains itself is not moved once more for the measuring.
        black_box(&result);
        left -= 1;
        if left == 0 {
            assert!(is_right(&result), "a call ended otherwise");
            return;
        }
    }
}

/// The result of a future that never waits.
fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

fn beside<'a>(case: Case<'a>, rows: &'a Rows) -> Case<'a> {
    rows.iter()
        .fold(case, |case, (name, body)| case.peer_in_batches(name, body))
}

/// A call that succeeds at once allocates nothing, once the first ones have set up what is lazy.
fn ensure_allocates_nothing(calls: impl Fn(u64)) {
    calls(8);
    let counted = allocation_counter::measure(|| calls(1000));
    assert_eq!(counted.count_total, 0, "it allocates");
}

/// Total timeout, retry with a budget, breaker, bulkhead, attempt timeout.
fn pipeline(name: &'static str) -> Result<Pipeline<Breaker, Bulkhead>, Box<dyn Error>> {
    let pipeline = Pipeline::named(name)
        .timeout(TOTAL)
        .retry(RetryConfig::new(ATTEMPTS, Backoff::exponential(BACKOFF)))
        .budget(BudgetConfig::default())
        .guard(Breaker::new(name, BreakerConfig::default())?)
        .bulkhead(BulkheadConfig::of(PLACES))
        .attempt_timeout(ATTEMPT)
        .build()?;
    Ok(pipeline)
}

/// The way people write it: each call is made for the occasion.
fn called(policy: &impl Policy<u32, Failed>, count: u64) {
    succeeds(count, |fails| {
        polled(policy.call("charge", async |_call| operation(fails)))
    });
}

/// What a policy adds to a call that there is already, as inside a stack.
fn run(policy: &impl Policy<u32, Failed>, count: u64) {
    let call = Call::new("charge");
    succeeds(count, |fails| {
        let operation = rs_core::operation(async |_call| operation(fails));
        polled(policy.run(black_box(&call), &operation))
    });
}

fn stack(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (ours, peers) = (pipeline("stack")?, peers::stacks());
    let calls = |count| called(&ours, count);
    ensure_allocates_nothing(calls);
    let counted = ours.retry().and_then(Retry::budget).map(Budget::balance);
    assert!(counted >= Some(200.0), "its budget has not seen the calls");
    let case = bench
        .case("full stack, all succeed")
        .ours_in_batches(calls)
        .goal(Goal::at_most(80.0).on_threads(1))
        .goal(Goal::at_most(200.0).on_threads(2))
        .goal(Goal::times(0.33, peers::EXECUTION_POLICY))
        .goal(Goal::times(0.33, peers::TOWER_RESILIENCE));
    beside(case, &peers).run();
    assert_eq!(ours.limit().in_flight(), 0, "it holds places for nobody");
    Ok(())
}

fn stack_ways(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = pipeline("ways")?;
    let erased: DynPipeline = pipeline("erased")?.erased();
    let retries = RetryConfig::new(ATTEMPTS, Backoff::exponential(BACKOFF));
    let parts = || -> Result<_, ConfigError> {
        Ok((
            Timeout::total("tuple", TOTAL)?,
            Retry::new("tuple", retries.clone())?,
            Breaker::new("tuple", BreakerConfig::default())?,
            Bulkhead::new("tuple", BulkheadConfig::of(PLACES))?,
            Timeout::attempt("tuple", ATTEMPT)?,
        ))
    };
    let (tuple, stack) = (parts()?, Stack::of("stack", parts()?)?);
    bench
        .case("full stack, other ways")
        .ours_in_batches(|count| called(&ours, count))
        .peer_in_batches("run(&call, &operation)", |count| run(&ours, count))
        .peer_in_batches("DynPipeline", |count| called(&erased, count))
        .peer_in_batches("a tuple of the parts", |count| called(&tuple, count))
        .peer_in_batches("a Stack of the parts", |count| called(&stack, count))
        .run();
    Ok(())
}

fn stack_parts(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = pipeline("parts")?;
    let nothing = Pipeline::named("nothing").build()?;
    let unguarded = Pipeline::named("unguarded")
        .timeout(TOTAL)
        .retry(RetryConfig::default())
        .attempt_timeout(ATTEMPT)
        .build()?;
    let breaker = Breaker::new("alone", BreakerConfig::default())?;
    bench
        .case("full stack, what there is to pay")
        .ours_in_batches(|count| called(&ours, count))
        .peer_in_batches("the operation alone", |count| {
            succeeds(count, |fails| polled(async { operation(fails) }));
        })
        .peer_in_batches("a pipeline of nothing", |count| called(&nothing, count))
        .peer_in_batches("timeouts, retry, budget", |count| called(&unguarded, count))
        .peer_in_batches("the breaker alone", |count| called(&breaker, count))
        .peer("a call's own id and name", || {
            black_box(Call::new(black_box("charge")));
        })
        .run();
    Ok(())
}

fn timeout(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (ours, peers) = (Timeout::total("timeout", TOTAL)?, peers::timeouts());
    ensure_allocates_nothing(|count| called(&ours, count));
    let case = bench
        .case("timeout")
        .ours_in_batches(|count| run(&ours, count))
        .goal(Goal::at_most(5.0))
        .peer_in_batches("ours, with a call of its own", |count| called(&ours, count));
    beside(case, &peers).run();
    Ok(())
}

fn unbudgeted(name: &'static str, backoff: Backoff) -> Result<Retry, ConfigError> {
    let around = Surroundings::of_process();
    Retry::with_budget(&around, name, RetryConfig::new(ATTEMPTS, backoff), None)
}

fn retry(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = unbudgeted("retry", Backoff::constant(BACKOFF))?;
    let peers = peers::retries();
    ensure_allocates_nothing(|count| called(&ours, count));
    let case = bench
        .case("retry without a budget")
        .ours_in_batches(|count| run(&ours, count))
        .goal(Goal::at_most(5.0))
        .peer_in_batches("ours, with a call of its own", |count| called(&ours, count));
    beside(case, &peers).run();
    Ok(())
}

fn retried(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = unbudgeted("retried", Backoff::constant(Duration::ZERO))?;
    let peers = peers::retried();
    let case = bench
        .case("retry, the second attempt succeeds")
        .ours_in_batches(|count| {
            succeeds(count, |fails| {
                polled(ours.call("charge", async |call| {
                    operation(fails || call.attempt() == 1)
                }))
            });
        });
    beside(case, &peers).run();
    Ok(())
}

fn bulkhead(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = Bulkhead::new("bulkhead", BulkheadConfig::of(PLACES))?;
    let peers = peers::bulkheads();
    ensure_allocates_nothing(|count| called(&ours, count));
    let case = bench
        .case("bulkhead with room")
        .ours_in_batches(|count| run(&ours, count))
        .goal(Goal::at_most(25.0).on_threads(1))
        .goal(Goal::at_most(150.0).on_threads(2))
        .peer_in_batches("ours, with a call of its own", |count| called(&ours, count))
        .peer_in_batches("ours, call_blocking", |count| {
            succeeds(count, |fails| {
                ours.call_blocking("charge", &rs_core::ByResult, |_call| operation(fails))
            });
        });
    beside(case, &peers).run();
    assert_eq!(ours.in_flight(), 0, "it holds places for nobody");
    Ok(())
}

fn bulkhead_full(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = Bulkhead::new("full", BulkheadConfig::of(1))?;
    let (call, peers) = (Call::new("charge"), peers::full_bulkheads());
    let _only_place = ours.try_admit(&call)?;
    let case = bench
        .case("bulkhead, full")
        .ours_in_batches(|count| refuses(count, || ours.try_admit(black_box(&call))))
        .peer_in_batches("ours, with a call of its own", |count| {
            refuses(count, || {
                polled(ours.call("charge", async |_call| operation(false)))
            });
        });
    beside(case, &peers).run();
    Ok(())
}

fn budget(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let ours = Budget::new("budget", BudgetConfig::default())?;
    let peers = peers::budgets();
    let deposits = |count| each(count, || ours.deposit(), |()| true);
    deposits(1000);
    assert!(ours.balance() >= 200.0, "it does not count");
    let case = bench
        .case("budget, a deposit")
        .ours_in_batches(deposits)
        .goal(Goal::at_most(15.0));
    beside(case, &peers).run();
    Ok(())
}
