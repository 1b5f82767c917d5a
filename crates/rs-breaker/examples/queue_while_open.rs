//! While payments are away, orders are queued and not lost; when they are back, each is charged once.
//!
//! `cargo run -p rs-breaker --example queue_while_open`

use std::{
    error::Error,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_breaker::{Breaker, BreakerConfig, OpenTime, Probing, Trip};
use rs_core::{Call, Clock, Policy, Rejection};
use tokio::sync::mpsc;

/// What became of an order.
#[derive(Debug, PartialEq)]
enum Order {
    Charged,
    Queued,
}

/// The bank: away for a while, and it remembers whom it charged.
#[derive(Default)]
struct Bank {
    away: AtomicBool,
    charged: Mutex<Vec<u64>>,
}

impl Bank {
    async fn charge(&self, order: u64) -> io::Result<Order> {
        if self.away.load(Relaxed) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.charged
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(order);
        Ok(Order::Charged)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let bank = Arc::new(Bank::default());
    let breaker = Breaker::new(
        "bank",
        BreakerConfig::default()
            .with_trip([Trip::consecutive_failures(3)])
            .with_open_time(OpenTime::fixed(Duration::from_millis(200)))
            .with_probing(Probing::needing(1))
            .with_ramp(None),
    )?;
    let (queue, mut waiting) = mpsc::channel(1000);
    let current = Arc::new(AtomicU64::new(0));
    let order_now = Arc::clone(&current);
    let charging = breaker.or_else(move |_call: Call, _why: Rejection| {
        let queued = queue
            .try_send(order_now.load(Relaxed))
            .map_err(io::Error::other);
        async move { queued.map(|()| Order::Queued) }
    });

    bank.away.store(true, Relaxed);
    let (mut failed, mut queued) = (Vec::new(), 0);
    for order in 0..20 {
        current.store(order, Relaxed);
        match charging.call("charge", |_call| bank.charge(order)).await {
            Ok(Order::Queued) => queued += 1,
            Ok(Order::Charged) => {}
            // The caller knows, and may order again.
            Err(_) => failed.push(order),
        }
    }
    println!(
        "the bank is away: {} orders failed until it opened, {queued} were queued",
        failed.len()
    );

    bank.away.store(false, Relaxed);
    while let Ok(order) = waiting.try_recv() {
        while breaker
            .call("charge", |_call| bank.charge(order))
            .await
            .is_err()
        {
            Clock::default().sleep(Duration::from_millis(20)).await;
        }
    }
    let charged = bank.charged.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "the bank is back: {} charged, each once, in order: {charged:?}",
        charged.len()
    );
    Ok(())
}
