//! Customers: they order when they want to, not when the shop is ready for them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use rs_patterns::core::Clock;
use tokio::{net::TcpStream, sync::Mutex as Turns, task::JoinSet};

use crate::{
    http::number,
    meter::{Ended, OrderMeter},
    prices::PRODUCTS,
};

/// So many can wait for an answer at once. When all do, further orders begin late, and the time that they
/// are late counts as waiting: that of the customer, who does not know why.
const CUSTOMERS: usize = 512;

/// An open load: orders arrive at random, so many a second, whatever becomes of those before them.
pub(crate) struct Load {
    gateway: SocketAddr,
    clock: Clock,
    pub(crate) meter: OrderMeter,
    /// A float, orders a second.
    rate: AtomicU64,
    /// When the next one is due. Whoever holds it waits for that; the others are behind it.
    next: Turns<Instant>,
    under_way: AtomicU32,
    is_audited: AtomicBool,
    idle: Mutex<Vec<Connection>>,
    accepted: Mutex<Vec<u64>>,
    /// Why orders failed, each reason once.
    reasons: Mutex<BTreeMap<String, u64>>,
}

type Connection = SendRequest<Empty<Bytes>>;

impl Load {
    pub(crate) fn new(gateway: SocketAddr) -> Arc<Self> {
        let clock = Clock::default();
        Arc::new(Self {
            gateway,
            meter: OrderMeter::new(),
            rate: AtomicU64::new(0.0_f64.to_bits()),
            next: Turns::new(clock.now()),
            under_way: AtomicU32::new(0),
            is_audited: AtomicBool::new(false),
            idle: Mutex::default(),
            accepted: Mutex::default(),
            reasons: Mutex::default(),
            clock,
        })
    }

    /// The customers come in until this is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut customers = JoinSet::new();
        for _ in 0..CUSTOMERS {
            customers.spawn(Arc::clone(&self).customer());
        }
        while customers.join_next().await.is_some() {}
    }

    pub(crate) fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Relaxed))
    }

    /// So many orders a second from now on, none if zero.
    pub(crate) fn set_rate(&self, rate: f64) {
        self.rate.store(rate.to_bits(), Relaxed);
    }

    /// No more orders; returns when all that were made are answered.
    pub(crate) async fn settle(&self) {
        self.set_rate(0.0);
        let mut quiet = 0;
        // Whoever takes the next turn sees the rate; one that was just taken shows as under way.
        while quiet < 3 {
            self.clock.sleep(Duration::from_millis(20)).await;
            quiet = if self.under_way.load(Relaxed) == 0 {
                quiet + 1
            } else {
                0
            };
        }
    }

    /// Remembers which orders are accepted from now on, for the audit.
    pub(crate) fn audit(&self) {
        self.is_audited.store(true, Relaxed);
    }

    /// The orders that were accepted since.
    pub(crate) fn accepted(&self) -> Vec<u64> {
        self.accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Why orders failed, and how often.
    pub(crate) fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, reason: &str) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        // Numbers and addresses make reasons of the same kind look different; a few are enough.
        if reasons.len() < 20 || reasons.contains_key(reason) {
            *reasons.entry(reason.to_owned()).or_default() += 1;
        }
    }

    async fn customer(self: Arc<Self>) {
        loop {
            let due = self.turn().await;
            let (ended, is_degraded) = match self.order().await {
                Ok(answered) => answered,
                Err(error) => {
                    self.note(&format!("no answer: {error}"));
                    (Ended::Failed, false)
                }
            };
            self.meter.record(
                ended,
                is_degraded,
                self.clock.now().saturating_duration_since(due),
            );
            self.under_way.fetch_sub(1, Relaxed);
        }
    }

    /// Waits for the next order to be due. When that was.
    async fn turn(&self) -> Instant {
        /// How soon a new rate is noticed.
        const GLANCE: Duration = Duration::from_millis(20);
        let mut next = self.next.lock().await;
        loop {
            let (rate, now) = (self.rate(), self.clock.now());
            if rate <= 0.0 {
                self.clock.sleep(GLANCE).await;
                *next = self.clock.now();
            } else if now < *next {
                self.clock.sleep_until((*next).min(now + GLANCE)).await;
            } else {
                let due = *next;
                // Arrivals that know nothing of each other.
                let gap = -(1.0 - fastrand::f64()).ln() / rate;
                *next = due + Duration::from_secs_f64(gap);
                self.under_way.fetch_add(1, Relaxed);
                return due;
            }
        }
    }

    async fn order(&self) -> anyhow::Result<(Ended, bool)> {
        // The one that was used last: as many stay open as are needed.
        let kept = self.idle().pop();
        let mut connection = match kept {
            Some(connection) if connection.is_ready() => connection,
            _ => self.connect().await?,
        };
        let request = Request::post("/orders")
            .header("host", "shop")
            .header("product", fastrand::u64(..PRODUCTS));
        let answer = connection.send_request(request.body(Empty::new())?).await?;
        let (head, body) = answer.into_parts();
        body.collect().await?;
        if connection.ready().await.is_ok() {
            self.idle().push(connection);
        }
        let ended = match head.status {
            StatusCode::CREATED => Ended::Charged,
            StatusCode::ACCEPTED => Ended::Queued,
            StatusCode::SERVICE_UNAVAILABLE => Ended::Refused,
            _ => Ended::Failed,
        };
        if let Some(why) = head
            .headers
            .get("because")
            .and_then(|why| why.to_str().ok())
        {
            self.note(why);
        }
        if self.is_audited.load(Relaxed)
            && matches!(ended, Ended::Charged | Ended::Queued)
            && let Some(order) = number(&head.headers, "order")
        {
            self.accepted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(order);
        }
        Ok((ended, head.headers.contains_key("degraded")))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(clippy::disallowed_methods, reason = "a program starts its own tasks")]
    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(self.gateway).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async {
            // What goes wrong here the next order hears.
            let _ = driver.await;
        });
        Ok(connection)
    }
}
