//! A small shop that stays up while its supplier does not.
//!
//! The supplier is a real HTTP server on loopback that turns slow and then fails. The shop calls it
//! through a stack that is written here in full, with nothing but the words of `rs-core`: a guard that
//! admits so many calls at once, a guard that stops calling after failures in a row, and a policy that
//! gives up after a while.
//!
//! `cargo xtask demo -- --for 10s`

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    Request, Response, StatusCode, Uri, body::Bytes, server::conn::http1, service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use rs_patterns::{
    core::{
        Call, Clock, Ending, Failure, FlightRecorder, Guard, Measure, Name, Operation, Outcome,
        Policy, Reason, Rejection, Severity, SignalKind, TimeScope, TimedOut, Unit, humane,
        label_set, operation,
    },
    metrics::{Counter, Exporter, Family, Metric},
};
use tokio::{net::TcpListener, task::JoinSet};

// ---- the stack ------------------------------------------------------------------------------

static IN_FLIGHT: Measure = Measure::new("calls in flight", Unit::Count);
static FAILED: Measure = Measure::new("failed in a row", Unit::Count);
static PAUSE: Measure = Measure::new("pause", Unit::Seconds);
static FULL: Reason = Reason::new("seats", "full").judging(&IN_FLIGHT);
static RESTING: Reason = Reason::new("rest", "resting").judging(&FAILED);
static RESTED: SignalKind = SignalKind::new(
    "rest",
    "rested",
    Severity::Warning,
    "{failed in a row} calls failed in a row, none for {pause}",
);
static RESUMED: SignalKind = SignalKind::new(
    "rest",
    "resumed",
    Severity::Info,
    "the supplier answers again",
);

const SUPPLIER: Name = Name::of("supplier");

/// Admits so many calls at once.
struct Seats {
    taken: AtomicU32,
    all: u32,
}

impl Guard for Seats {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        let seat = |taken: u32| (taken < self.all).then_some(taken + 1);
        match self.taken.try_update(Relaxed, Relaxed, seat) {
            Ok(_) => Ok(()),
            Err(taken) => Err(FULL.reject(SUPPLIER).because(taken.into(), self.all.into())),
        }
    }

    fn leave(&self, (): (), _ending: Ending) {
        self.taken.fetch_sub(1, Relaxed);
    }
}

/// Lets the supplier rest for a while after so many failures in a row; then one call may try.
struct Rest {
    clock: Clock,
    limit: u32,
    pause: Duration,
    state: Mutex<Resting>,
}

#[derive(Default)]
struct Resting {
    /// Counts the changes of state: a result from before a change no longer decides anything.
    generation: u64,
    failed: u32,
    until: Option<Instant>,
}

impl Rest {
    fn state(&self) -> MutexGuard<'_, Resting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rest(&self, state: &mut Resting) {
        state.until = Some(self.clock.now() + self.pause);
        state.generation += 1;
        let failed = FAILED.at(state.failed.into());
        let pause = PAUSE.at(self.pause.as_secs_f64());
        FlightRecorder::global().record(|| RESTED.signal(SUPPLIER).with(failed).with(pause));
    }

    fn resume(&self, state: &mut Resting) {
        let generation = state.generation + 1;
        *state = Resting {
            generation,
            ..Resting::default()
        };
        FlightRecorder::global().record(|| RESUMED.signal(SUPPLIER));
    }
}

impl Guard for Rest {
    type Ticket = u64;

    fn try_enter(&self, _call: &Call) -> Result<u64, Rejection> {
        let mut state = self.state();
        if let Some(until) = state.until {
            let now = self.clock.now();
            if now < until {
                return Err(RESTING
                    .reject(SUPPLIER)
                    .because(state.failed.into(), self.limit.into())
                    .in_generation(state.generation)
                    .try_at(until));
            }
            // This call tries; should it never come back, another may after the next pause.
            state.until = Some(now + self.pause);
        }
        Ok(state.generation)
    }

    fn leave(&self, generation: u64, ending: Ending) {
        let mut state = self.state();
        if generation != state.generation {
            return;
        }
        match ending.outcome() {
            Some(Outcome::Success) if state.until.is_some() => self.resume(&mut state),
            Some(Outcome::Success) => state.failed = 0,
            Some(Outcome::Failure(_)) => {
                state.failed += 1;
                if state.failed >= self.limit {
                    self.rest(&mut state);
                }
            }
            Some(Outcome::Ignored) | None => {}
        }
    }
}

/// Gives up after a while.
struct Patience {
    clock: Clock,
    limit: Duration,
}

impl<T: Send, E: Send> Policy<T, E> for Patience {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        tokio::select! {
            biased;
            result = operation.attempt(call) => result,
            () = self.clock.sleep(self.limit) => {
                Err(TimedOut::new(TimeScope::Attempt, self.limit).into())
            }
        }
    }
}

// ---- the supplier ---------------------------------------------------------------------------

const WELL: u8 = 0;
const SLOW: u8 = 1;
const DOWN: u8 = 2;

async fn supply(listener: TcpListener, mood: Arc<AtomicU8>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let mood = Arc::clone(&mood);
        connections.spawn(async move {
            let answer = service_fn(|_request| answer(mood.load(Relaxed)));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // A client that goes away is the client's affair.
            let _ = served.await;
        });
    }
}

async fn answer(mood: u8) -> Result<Response<Full<Bytes>>, Infallible> {
    if mood == SLOW {
        let slow = Duration::from_millis(fastrand::u64(20..200));
        Clock::default().sleep(slow).await;
    }
    let mut response = Response::new(Full::from("three boxes of tea"));
    if mood == DOWN {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

// ---- the shop -------------------------------------------------------------------------------

label_set! {
    /// How an order went.
    enum Order: "result" {
        /// Supplied.
        Supplied = "supplied",
        /// The supplier failed.
        Failed = "failed",
        /// The supplier took too long.
        TimedOut = "timed_out",
        /// A guard refused the call.
        Rejected = "rejected",
    }
}

static ORDERS: Metric<Counter, Order> =
    Metric::counter("demo_orders_total", "Orders, by how they went.");

type Http = Client<HttpConnector, Empty<Bytes>>;

async fn order(client: &Http, supplier: SocketAddr) -> anyhow::Result<Bytes> {
    let uri: Uri = format!("http://{supplier}/tea").parse()?;
    let response = client
        .request(Request::get(uri).body(Empty::new())?)
        .await?;
    anyhow::ensure!(response.status().is_success(), "{}", response.status());
    Ok(response.into_body().collect().await?.to_bytes())
}

async fn trade<P>(
    stack: &P,
    orders: &Family<Counter, Order>,
    client: &Http,
    supplier: SocketAddr,
    last_why: &Mutex<Option<Rejection>>,
) where
    P: Policy<Bytes, anyhow::Error>,
{
    let attempt = operation(|_call| order(client, supplier));
    let result = stack.run(&Call::new("order tea"), &attempt).await;
    orders[match result {
        Ok(_) => Order::Supplied,
        Err(Failure::Rejected(why)) => {
            *last_why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
            Order::Rejected
        }
        Err(Failure::TimedOut(_)) => Order::TimedOut,
        Err(_) => Order::Failed,
    }]
    .increment();
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let length = length_from(std::env::args().skip(1))?;
    let exported = Exporter::new().serve_on("127.0.0.1:0").install()?;
    let metrics = exported.address().context("metrics are not served")?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let supplier = listener.local_addr()?;
    let mood = Arc::new(AtomicU8::new(WELL));

    let clock = Clock::default();
    let stack = Arc::new((
        Rest {
            clock: clock.clone(),
            limit: 5,
            pause: Duration::from_millis(300),
            state: Mutex::default(),
        },
        Seats {
            taken: AtomicU32::new(0),
            all: 8,
        },
        Patience {
            clock: clock.clone(),
            limit: Duration::from_millis(150),
        },
    ));
    let orders = ORDERS.bind(());
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let last_why = Arc::new(Mutex::new(None));

    println!(
        "a shop and its supplier, for {}",
        humane::show_duration(length)
    );
    println!("metrics: http://{metrics}/metrics\n");
    println!("  time  supplier  supplied   failed  timed out  rejected");

    let mut tasks = JoinSet::new();
    tasks.spawn(supply(listener, Arc::clone(&mood)));
    for _ in 0..12 {
        let (stack, orders, client, clock, last_why) = (
            Arc::clone(&stack),
            orders.clone(),
            client.clone(),
            clock.clone(),
            Arc::clone(&last_why),
        );
        tasks.spawn(async move {
            loop {
                trade(&*stack, &orders, &client, supplier, &last_why).await;
                clock.sleep(Duration::from_millis(2)).await;
            }
        });
    }

    let mut observer = FlightRecorder::global().observe();
    let mut before = [0; 4];
    let start = clock.now();
    let moods = [
        (WELL, "well"),
        (SLOW, "slow"),
        (DOWN, "down"),
        (WELL, "well"),
    ];
    for quarter in 0..8 {
        let (now, name) = moods[quarter / 2];
        mood.store(now, Relaxed);
        tokio::select! {
            () = clock.sleep(length / 8) => {}
            stopped = tokio::signal::ctrl_c() => { stopped?; break }
        }
        let counts = Order::counts(&orders);
        let [supplied, failed, timed_out, rejected] =
            std::array::from_fn(|place| counts[place] - before[place]);
        let time = humane::show_duration(clock.now() - start).to_string();
        println!("{time:>6}  {name:<8}  {supplied:>8} {failed:>8} {timed_out:>10} {rejected:>9}");
        before = counts;
        while let Some(recorded) = observer.try_next() {
            println!("        {}", recorded.signal);
        }
    }
    tasks.shutdown().await;

    if let Some(why) = last_why
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
    {
        println!("\nthe last rejection explained itself:\n  {why}");
    }
    println!("\n{}", FlightRecorder::global().log(6));
    Ok(())
}

impl Order {
    fn counts(orders: &Family<Counter, Self>) -> [u64; 4] {
        [Self::Supplied, Self::Failed, Self::TimedOut, Self::Rejected]
            .map(|order| orders[order].value())
    }
}

fn length_from(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<Duration> {
    match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => Ok(Duration::from_secs(8)),
        (Some("--for"), Some(time)) => Ok(humane::parse_duration(&time)?),
        _ => anyhow::bail!("usage: demo [--for 10s]"),
    }
}

#[expect(dead_code, reason = "shows that a handler's future is `Send`")]
fn handler_is_send<'a>(
    stack: &'a (Rest, Seats, Patience),
    orders: &'a Family<Counter, Order>,
    client: &'a Http,
    last_why: &'a Mutex<Option<Rejection>>,
) -> impl Future<Output = ()> + Send + 'a {
    trade(stack, orders, client, ([127, 0, 0, 1], 80).into(), last_why)
}
