//! How long a place stays empty while calls wait for it: from when a call gives it back to when the next
//! one runs. What the queue itself implies, that those who came before go first, is not in it.
//!
//! Ten places, and a hundred calls that wait for one at any time, each for as long as ten others before it
//! sleep. Whoever is done comes again.

use std::{
    error::Error,
    fmt::{self, Write},
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use rs_bench::Bench;
use rs_core::{Call, Clock, Guard, Permit};
use rs_policies::{Bulkhead, BulkheadConfig};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, SemaphorePermit},
};

const NAME: &str = "queue, from a free place to the next call";
const PLACES: u32 = 10;
const WAITING: u32 = 100;
const WORK: Duration = Duration::from_millis(1);
const GOAL: Duration = Duration::from_millis(5);

/// Ours and the peer in turns, two seconds in all.
pub(crate) fn waits(bench: &Bench) -> Result<String, Box<dyn Error>> {
    if !bench.measures(NAME) {
        return Ok(String::new());
    }
    let round = Duration::from_millis(if bench.is_quick() { 25 } else { 250 });
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    let longest_wait = Duration::from_secs(60);
    let config = BulkheadConfig::of(PLACES).with_queue(WAITING, longest_wait);
    let ours = Arc::new(Bulkhead::new("queue", config)?);
    let peer = Arc::new(Semaphore::new(PLACES as usize));
    let (mut our_waits, mut peer_waits) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        our_waits.extend(crowd(&runtime, &ours, round));
        peer_waits.extend(crowd(&runtime, &peer, round));
    }
    let (ours, peer) = (Waits::of(our_waits), Waits::of(peer_waits));
    let mut page = String::new();
    if bench.prints_json() {
        writeln!(
            page,
            r#"{{"bench":"policies","case":"{NAME}","ours_p50_us":{:.1},"ours_p99_us":{:.1},"semaphore_p50_us":{:.1},"semaphore_p99_us":{:.1}}}"#,
            micros(ours.share(0.5)),
            micros(ours.share(0.99)),
            micros(peer.share(0.5)),
            micros(peer.share(0.99)),
        )?;
        return Ok(page);
    }
    writeln!(page, "{NAME} · {PLACES} run, {WAITING} wait · wall time")?;
    writeln!(
        page,
        "  {:<34} {:>9} {:>9} {:>9} {:>9}",
        "", "p50 µs", "p99 µs", "most µs", "calls"
    )?;
    writeln!(page, "  {:<34} {ours}", "ours")?;
    writeln!(page, "  {:<34} {peer}", "tokio Semaphore")?;
    let verdict = match ours.share(0.99) <= GOAL {
        true => "met",
        false => "MISSED",
    };
    writeln!(page, "  goal: p99 at most {GOAL:?}: {verdict}")?;
    Ok(page)
}

/// What has places.
trait Door: Send + Sync + 'static {
    type Place<'d>: Send;

    fn enter(&self) -> impl Future<Output = Self::Place<'_>> + Send;
}

impl Door for Bulkhead {
    type Place<'d> = Permit<&'d Self>;

    async fn enter(&self) -> Self::Place<'_> {
        match self.admit(&Call::new("charge")).await {
            Ok(place) => place,
            Err(why) => panic!("{why}"),
        }
    }
}

impl Door for Semaphore {
    type Place<'d> = SemaphorePermit<'d>;

    async fn enter(&self) -> Self::Place<'_> {
        match self.acquire().await {
            Ok(place) => place,
            Err(closed) => panic!("{closed}"),
        }
    }
}

/// In the order of the queue: the n-th of those who had to wait gets the n-th place that became free.
#[derive(Default)]
struct Line {
    waited: usize,
    freed: Vec<Instant>,
    waits: Vec<Duration>,
}

fn crowd<D: Door>(runtime: &Runtime, door: &Arc<D>, time: Duration) -> Vec<Duration> {
    let (line, until) = (Arc::new(Mutex::new(Line::default())), now() + time);
    let callers: Vec<_> = (0..PLACES + WAITING)
        .map(|_| runtime.spawn(come_again(Arc::clone(door), Arc::clone(&line), until)))
        .collect();
    for caller in callers {
        if let Err(error) = runtime.block_on(caller) {
            panic!("{error}");
        }
    }
    let mut line = lock(&line);
    // Whoever was in the queue at the end was served, too.
    assert_eq!(line.waits.len(), line.waited, "somebody was forgotten");
    std::mem::take(&mut line.waits)
}

async fn come_again<D: Door>(door: Arc<D>, line: Arc<Mutex<Line>>, until: Instant) {
    while now() < until {
        let mut entering = pin!(door.enter());
        // Nobody joins the queue between this one and its number.
        let (entered, number) = poll_fn(|context| {
            let mut line = lock(&line);
            let entered = entering.as_mut().poll(context);
            let number = line.waited;
            line.waited += usize::from(entered.is_pending());
            Poll::Ready((entered, number))
        })
        .await;
        let place = match entered {
            Poll::Ready(place) => place,
            Poll::Pending => {
                let place = entering.await;
                let runs = now();
                let mut line = lock(&line);
                let freed = line.freed[number];
                line.waits.push(runs.saturating_duration_since(freed));
                place
            }
        };
        work().await;
        let mut line = lock(&line);
        line.freed.push(now());
        drop(place);
    }
}

/// Takes real time: a wait is what is measured.
async fn work() {
    Clock::tokio().sleep(WORK).await;
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Waits(Vec<Duration>);

impl Waits {
    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort();
        Self(waits)
    }

    /// The longest wait of this share of them.
    fn share(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1) as f64;
        let place = (last * share).round() as usize;
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for share in [0.5, 0.99, 1.0] {
            write!(f, "{:>9.1} ", micros(self.share(share)))?;
        }
        write!(f, "{:>9}", self.0.len())
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::disallowed_methods, reason = "it is what is measured")]
fn now() -> Instant {
    Instant::now()
}
