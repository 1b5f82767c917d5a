//! The wiring: what the shop calls, what protects it from each, and what an order is made of.
//!
//! Read this file top to bottom; everything else is there to break it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use hyper::http::request::Builder;
use rs_patterns::{
    balance::{Balancer, BalancerConfig, Endpoint, Latency, Outliers, Strategy},
    breaker::{Breaker, BreakerConfig, OpenTime, Ramp},
    core::{ByStatus, Call, Clock, Failure, Policy, Rejection, Share},
    policies::{Backoff, Bulkhead, BulkheadConfig, Pipeline, RetryConfig},
    workers::WorkerContext,
};
use tokio::sync::mpsc;

use crate::{
    fleet::{Fleet, Process},
    http::{Answer, Http, HttpError, post},
    meter::{CallMeter, Called},
    prices::Prices,
    service::Kind,
};

/// A service as its callers see it: instances, which one is next, and what stands around each call.
pub(crate) struct Service {
    pub(crate) kind: Kind,
    pub(crate) balancer: Balancer<Arc<Process>>,
    pub(crate) breaker: Breaker,
    pub(crate) meter: CallMeter,
    pipeline: Pipeline<Breaker, Bulkhead>,
    http: Http,
}

impl Service {
    /// `patience` is how long an attempt may take; a call has three, within four times that.
    fn new(kind: Kind, fleet: &Fleet, patience: Duration) -> Result<Self> {
        // An instance that fails is left alone for a while, one that is slow gets little: half of the
        // instances may be out at once.
        let outliers = Outliers::default()
            .with_at_most(Share::percent(50.0)?)
            .with_ejection(Duration::from_secs(1), Duration::from_secs(10));
        // A failure is remembered for some ten seconds even where few calls come.
        let latency = Latency::default()
            .with_decay(Duration::from_secs(2))
            .with_failure_counting_as(Duration::from_millis(300));
        let fastest = Strategy::LatencyBased(latency);
        let balance = BalancerConfig::new(fastest).with_outliers(outliers);
        let balancer = Balancer::new(kind.name(), balance)?;
        let instances = fleet.of(kind).into_iter();
        balancer.update(instances.map(|instance| Endpoint::new(instance.name.clone(), instance)));

        // If the service as a whole fails it is left alone, too, and comes back step by step.
        let seconds = Duration::from_secs;
        let breaker = BreakerConfig::default()
            .with_open_time(OpenTime::exponential(seconds(1), seconds(10)))
            .with_ramp(Ramp::over(seconds(2)));
        let breaker = Breaker::new(kind.name(), breaker)?;

        // However it is written: timeout, retry with a budget, breaker, bulkhead, attempt timeout.
        let pipeline = Pipeline::named(kind.name())
            .timeout(patience * 4)
            .retry(RetryConfig::new(
                3,
                Backoff::exponential(Duration::from_millis(5)),
            ))
            .guard(breaker.clone())
            .bulkhead(BulkheadConfig::of(256))
            .attempt_timeout(patience)
            .safe_to_repeat() // each request carries its order, and takes effect once for it
            .build()?;
        let (meter, http) = (CallMeter::new(kind.name()), Http::new());
        Ok(Self {
            kind,
            balancer,
            breaker,
            meter,
            pipeline,
            http,
        })
    }

    /// Calls an instance, or several until one answers.
    pub(crate) async fn call(
        &self,
        name: &'static str,
        request: impl Fn() -> Builder + Send + Sync,
    ) -> Result<Answer, Failure<HttpError>> {
        let attempt = self
            .balancer
            .through(async |instance: Arc<Process>, _call| {
                instance.count();
                self.http.send(&instance.authority, request()).await
            });
        let attempt = attempt.classified(ByStatus::read_by(|answer: &Answer| answer.status));

        let begun = Clock::default().now();
        let result = self.pipeline.run(&Call::new(name), &attempt).await;
        let called = match &result {
            Ok(answer) if answer.is_success() => Called::Answered,
            Err(Failure::Rejected(_)) => Called::Refused,
            _ => Called::Failed,
        };
        self.meter.record(called, Clock::default().now() - begun);
        result
    }
}

/// What takes orders.
pub(crate) struct Shop {
    pub(crate) inventory: Service,
    pub(crate) payments: Service,
    pub(crate) notifications: Service,
    pub(crate) prices: Prices,
    /// Not too many orders at once; a burst waits in line, an overload is refused at the door.
    pub(crate) door: Bulkhead,
    /// What is charged later: `workers.rs` does it.
    unpaid: mpsc::Sender<Unpaid>,
    /// How many those are.
    owed: AtomicU64,
    orders: AtomicU64,
}

/// An order that is reserved and not charged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unpaid {
    pub(crate) order: u64,
    pub(crate) cents: u64,
}

/// An order that was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub(crate) order: u64,
    pub(crate) is_charged: bool,
    pub(crate) is_notified: bool,
}

/// Why an order was not accepted.
#[derive(Debug)]
pub(crate) enum Refused {
    /// There is no place at the door.
    Crowded(Rejection),
    /// Inventory does not say yes: how it failed, if it did not say no.
    NoInventory(Option<Failure<HttpError>>),
    /// Neither could it be charged, nor is there room for one more unpaid order.
    NoPayment,
}

impl Shop {
    pub(crate) fn new(fleet: &Fleet, unpaid: mpsc::Sender<Unpaid>) -> Result<Self> {
        let service = |kind, millis| Service::new(kind, fleet, Duration::from_millis(millis));
        let line = BulkheadConfig::of(128).with_queue(2048, Duration::from_millis(500));
        Ok(Self {
            inventory: service(Kind::Inventory, 500)?,
            payments: service(Kind::Payments, 1000)?,
            notifications: service(Kind::Notifications, 300)?,
            prices: Prices::new()?,
            door: Bulkhead::new("orders", line)?,
            unpaid,
            owed: AtomicU64::new(0),
            orders: AtomicU64::new(1),
        })
    }

    /// Takes an order.
    ///
    /// There is no time limit around all of it: one could drop an order after it was charged.
    pub(crate) async fn order(&self, product: u64) -> Result<Placed, Refused> {
        let placed = self
            .door
            .call("order", async |_call| self.place(product).await);
        placed.await.map_err(|failure| match failure {
            Failure::Rejected(why) => Refused::Crowded(why),
            Failure::Operation { error, .. } => error,
            _ => Refused::NoInventory(None),
        })
    }

    async fn place(&self, product: u64) -> Result<Placed, Refused> {
        let order = self.orders.fetch_add(1, Relaxed);
        let cents = self.prices.of(product, &self.inventory).await?;
        let reserved = self.inventory.call("reserve", || {
            post("/reserve")
                .header("order", order)
                .header("product", product)
        });
        let reserved = reserved
            .await
            .map_err(|failure| Refused::NoInventory(Some(failure)))?;
        if !reserved.is_success() {
            return Err(Refused::NoInventory(None));
        }
        // Payments are away, or nobody knows whether they heard of it: the order is good all the same.
        let unpaid = Unpaid { order, cents };
        let is_charged = self.charge(unpaid).await.is_ok();
        if !is_charged {
            self.owed.fetch_add(1, Relaxed);
            if self.unpaid.try_send(unpaid).is_err() {
                self.owed.fetch_sub(1, Relaxed);
                return Err(Refused::NoPayment);
            }
        }
        // Nice to have: an order without it is degraded, and no less an order.
        let notified = self
            .notifications
            .call("notify", || post("/notify").header("order", order));
        let is_notified = matches!(notified.await, Ok(answer) if answer.is_success());
        Ok(Placed {
            order,
            is_charged,
            is_notified,
        })
    }

    /// Charges an order; however often and wherever it is tried, it is charged once: the key says which it is.
    /// If not, after how long it may be worth while to try again.
    pub(crate) async fn charge(&self, unpaid: Unpaid) -> Result<(), Option<Duration>> {
        let Unpaid { order, cents } = unpaid;
        let charged = self.payments.call("charge", || {
            let charge = post("/charge")
                .header("order", order)
                .header("cents", cents);
            charge.header("idempotency-key", order)
        });
        match charged.await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(_) => Err(None),
            Err(failure) => Err(failure.retry_after(Clock::default().now())),
        }
    }

    /// Charges an order that was accepted unpaid, until it is charged or the shop closes.
    pub(crate) async fn charge_later(&self, unpaid: Unpaid, worker: &WorkerContext) {
        while let Err(after) = self.charge(unpaid).await {
            // The breaker says when it lets the next probe through.
            let wait = after
                .unwrap_or_default()
                .clamp(Duration::from_millis(50), Duration::from_secs(2));
            if !worker.sleep(wait).await || worker.is_draining() {
                return;
            }
        }
        self.owed.fetch_sub(1, Relaxed);
    }

    /// How many orders are accepted and not charged yet.
    pub(crate) fn owed(&self) -> u64 {
        self.owed.load(Relaxed)
    }

    pub(crate) const fn services(&self) -> [&Service; 3] {
        [&self.inventory, &self.payments, &self.notifications]
    }
}
