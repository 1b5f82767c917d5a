//! What the shop calls, and what an order is made of.

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
    balance::Balancer,
    breaker::Breaker,
    core::{ByStatus, Call, Clock, Correlation, Failure, Policy, Rejection},
    policies::{Bulkhead, Pipeline},
    workers::WorkerContext,
};
use tokio::sync::mpsc;

use crate::{
    fleet::{Fleet, Process},
    http::{Answer, Http, HttpError, post},
    meter::{CallMeter, Called},
    prices::Prices,
    service::Kind,
    wiring,
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
    pub(crate) fn new(
        kind: Kind,
        balancer: Balancer<Arc<Process>>,
        breaker: Breaker,
        pipeline: Pipeline<Breaker, Bulkhead>,
    ) -> Self {
        Self {
            kind,
            balancer,
            breaker,
            meter: CallMeter::new(kind.name()),
            pipeline,
            http: Http::new(),
        }
    }

    /// Calls an instance, or several until one answers.
    pub(crate) async fn call(
        &self,
        call: Call,
        request: impl Fn() -> Builder + Send + Sync,
    ) -> Result<Answer, Failure<HttpError>> {
        let attempt = self.balancer.through(async |instance: Arc<Process>, call| {
            instance.count();
            self.http.send(&instance.authority, &call, request()).await
        });
        let attempt = attempt.classified(ByStatus::read_by(|answer: &Answer| answer.status));

        let begun = Clock::default().now();
        let result = self.pipeline.run(&call, &attempt).await;
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
    /// How many of those there are.
    owed: AtomicU64,
    orders: AtomicU64,
}

/// An order that is reserved and not charged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unpaid {
    /// The request it came with: a charge that comes later still belongs to it.
    pub(crate) correlation: Option<Correlation>,
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
        let service =
            |kind, millis| wiring::service(kind, fleet.of(kind), Duration::from_millis(millis));
        Ok(Self {
            inventory: service(Kind::Inventory, 500)?,
            payments: service(Kind::Payments, 1000)?,
            notifications: service(Kind::Notifications, 300)?,
            prices: Prices::new()?,
            door: wiring::door()?,
            unpaid,
            owed: AtomicU64::new(0),
            orders: AtomicU64::new(1),
        })
    }

    /// Takes an order.
    ///
    /// There is no time limit around all of it: one could drop an order after it was charged.
    pub(crate) async fn order(&self, call: Call, product: u64) -> Result<Placed, Refused> {
        let placed = self
            .door
            .call(call, async |call| self.place(&call, product).await);
        placed.await.map_err(|failure| match failure {
            Failure::Rejected(why) => Refused::Crowded(why),
            Failure::Operation { error, .. } => error,
            _ => Refused::NoInventory(None),
        })
    }

    async fn place(&self, call: &Call, product: u64) -> Result<Placed, Refused> {
        let order = self.orders.fetch_add(1, Relaxed);
        let cents = self.prices.of(call, product, &self.inventory).await?;
        let reserved = self.inventory.call(call.child("reserve"), || {
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
        let unpaid = Unpaid {
            correlation: call.correlation(),
            order,
            cents,
        };
        let is_charged = self.charge(call, unpaid).await.is_ok();
        if !is_charged {
            self.owed.fetch_add(1, Relaxed);
            if self.unpaid.try_send(unpaid).is_err() {
                self.owed.fetch_sub(1, Relaxed);
                return Err(Refused::NoPayment);
            }
        }
        // Nice to have: an order without it is degraded, and no less an order.
        let notified = self.notifications.call(call.child("notify"), || {
            post("/notify").header("order", order)
        });
        let is_notified = matches!(notified.await, Ok(answer) if answer.is_success());
        Ok(Placed {
            order,
            is_charged,
            is_notified,
        })
    }

    /// Charges an order; however often and wherever it is tried, it is charged once: the key says which it is.
    /// If not, after how long it may be worth while to try again.
    pub(crate) async fn charge(&self, call: &Call, unpaid: Unpaid) -> Result<(), Option<Duration>> {
        let Unpaid { order, cents, .. } = unpaid;
        let charged = self.payments.call(call.child("charge"), || {
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
    pub(crate) async fn charge_later(self: Arc<Self>, unpaid: Unpaid, worker: WorkerContext) {
        let mut call = Call::new("charge later");
        if let Some(correlation) = unpaid.correlation {
            call = call.with_correlation(correlation);
        }
        while let Err(after) = self.charge(&call, unpaid).await {
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
