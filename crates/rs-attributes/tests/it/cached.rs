//! Results that are kept.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use rs_attributes::{cached, circuit_breaker};
use rs_core::{Call, Failure, Mandate, Outcome};
use rs_metrics::Surroundings;
use rs_policies::{Cache, CacheConfig, Lookup};

use crate::single::{BankError, breaker_of, pause};

static ASKED: AtomicU32 = AtomicU32::new(0);

#[cached("300s", limit = 10)]
async fn price(sku: &str, currency: String) -> Result<String, Failure<BankError>> {
    match sku {
        "bad" => Err(BankError("bad")),
        _ => Ok(format!(
            "{} {currency} for {sku}",
            ASKED.fetch_add(1, Relaxed)
        )),
    }
}

#[tokio::test(start_paused = true)]
async fn good_results_are_kept_for_a_time() {
    let price = |sku| price(sku, "EUR".to_owned());
    assert_eq!(price("a").await.unwrap(), "0 EUR for a");
    assert_eq!(price("a").await.unwrap(), "0 EUR for a");
    assert_eq!(price("b").await.unwrap(), "1 EUR for b");
    price("bad").await.unwrap_err();
    price("bad").await.unwrap_err();
    pause(299_000).await;
    assert_eq!(price("a").await.unwrap(), "0 EUR for a");
    pause(1_000).await;
    assert_eq!(price("a").await.unwrap(), "2 EUR for a");
}

struct Prices {
    kept: Cache<(u8, String), u32>,
    asked: AtomicU32,
    breaker: rs_breaker::Breaker,
}

impl Prices {
    #[cached(self.kept, key = (call.attempt() as u8, sku.to_lowercase()), classify = |result: Result<&u32, &BankError>| match result {
        Ok(0) | Err(_) => Outcome::TRANSIENT,
        Ok(_) => Outcome::Success,
    })]
    #[circuit_breaker(self.breaker)]
    async fn of(&self, call: Call, sku: &str) -> Result<u32, Failure<BankError>> {
        Ok(self.asked.fetch_add(1, Relaxed))
    }
}

#[tokio::test]
async fn a_cache_may_stand_elsewhere() {
    let config = CacheConfig::of(Duration::from_secs(300));
    let prices = Prices {
        kept: Cache::within(&Surroundings::apart(), "prices", config).unwrap(),
        asked: AtomicU32::new(0),
        breaker: breaker_of(9),
    };
    let call = Call::new("price");
    assert_eq!(
        prices.of(call, "a").await,
        Ok(0),
        "an `Ok` may be bad news, and is not kept"
    );
    assert_eq!(prices.of(call, "a").await, Ok(1));
    assert_eq!(prices.of(call, "A").await, Ok(1));
    assert_eq!(prices.kept.lookups(Lookup::Hit), 1);
    prices
        .breaker
        .force_open(Mandate::new("a test", "to see what is kept"));
    assert_eq!(prices.of(call, "a").await, Ok(1));
    assert!(prices.of(call, "b").await.unwrap_err().is_rejected());
}
