//! What a function takes: copied for each attempt only where there may be several.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use rs_attributes::{bulkhead, circuit_breaker, fallback, retry, timeout};
use rs_core::{Call, Failure, Name};

use crate::single::BankError;

/// Counts its clones.
struct Counted(Arc<AtomicU32>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, Relaxed);
        Self(Arc::clone(&self.0))
    }
}

struct NotClone(u8);

#[timeout("1s")]
#[circuit_breaker("params")]
#[bulkhead(8)]
async fn once(counted: Counted, not: NotClone) -> Result<u8, Failure<BankError>> {
    drop(counted);
    Ok(not.0)
}

#[retry(attempts = 3, constant = "0")]
async fn thrice(counted: Counted) -> Result<(), Failure<BankError>> {
    drop(counted);
    Err(BankError("again"))
}

#[tokio::test]
async fn values_are_cloned_for_attempts_only() {
    let clones = Arc::new(AtomicU32::new(0));
    assert_eq!(once(Counted(Arc::clone(&clones)), NotClone(3)).await, Ok(3));
    assert_eq!(clones.load(Relaxed), 0);
    thrice(Counted(Arc::clone(&clones))).await.unwrap_err();
    assert_eq!(clones.load(Relaxed), 3);
}

#[timeout("1s")]
async fn mutates(
    list: &mut Vec<u8>,
    more: &mut (impl Iterator<Item = u8> + Send),
) -> Result<usize, Failure<BankError>> {
    list.extend(more);
    Ok(list.len())
}

#[fallback(|_| Ok(0))]
async fn mutates_and_falls_back(list: &mut Vec<u8>) -> Result<usize, Failure<BankError>> {
    list.push(1);
    Err(BankError("bad"))
}

struct Meter(u32);

impl Meter {
    #[timeout("1s")]
    async fn count(&mut self) -> Result<u32, Failure<BankError>> {
        self.0 += 1;
        Ok(self.0)
    }

    #[timeout("1s")]
    async fn used_up(mut self) -> Result<u32, Failure<BankError>> {
        self.0 += 1;
        Ok(self.0)
    }

    #[circuit_breaker("params")]
    async fn shared(self: Arc<Self>) -> Result<u32, Failure<BankError>> {
        Ok(self.0)
    }
}

#[tokio::test]
async fn what_is_tried_once_may_mutate() {
    let mut list = vec![];
    assert_eq!(mutates_and_falls_back(&mut list).await, Ok(0));
    assert_eq!(list, [1]);
    let mut meter = Meter(0);
    assert_eq!(meter.count().await, Ok(1));
    assert_eq!(meter.used_up().await, Ok(2));
    assert_eq!(Arc::new(Meter(4)).shared().await, Ok(4));
    let mut list = vec![];
    assert_eq!(mutates(&mut list, &mut std::iter::once(1)).await, Ok(1));
}

#[retry(attempts = 2, constant = "0")]
async fn knows_its_call(call: Call) -> Result<(Name, u32), Failure<BankError>> {
    match call.attempt() {
        1 => Err(BankError("first")),
        attempt => Ok((call.name(), attempt)),
    }
}

#[retry(attempts = 2, constant = "0")]
async fn by_reference(call: &Call) -> Result<(Name, u32), Failure<BankError>> {
    match call.attempt() {
        1 => Err(BankError("first")),
        attempt => Ok((call.name(), attempt)),
    }
}

#[tokio::test]
async fn a_parameter_may_be_the_call() {
    let call = Call::new("given");
    assert_eq!(knows_its_call(call).await, Ok((Name::of("given"), 2)));
    assert_eq!(by_reference(&call).await, Ok((Name::of("given"), 2)));
}
