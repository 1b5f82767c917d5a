//! Attributes of other crates, above and below.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use rs_attributes::retry;
use rs_core::Failure;
use tracing::{
    Event, Metadata, Subscriber, instrument,
    instrument::WithSubscriber,
    span::{Attributes, Id, Record},
};

use crate::single::BankError;

/// Counts spans.
#[derive(Clone, Default)]
struct Spans(Arc<AtomicU32>);

impl Subscriber for Spans {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(u64::from(self.0.fetch_add(1, Relaxed)) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[instrument]
#[retry(attempts = 3, constant = "0")]
async fn instrumented_above(order: &str) -> Result<(), Failure<BankError>> {
    Err(BankError("away"))
}

#[retry(attempts = 3, constant = "0")]
#[instrument]
async fn instrumented_below(order: String) -> Result<(), Failure<BankError>> {
    Err(BankError("away"))
}

#[tokio::test]
async fn what_stands_above_is_inside() {
    let above = Spans::default();
    let call = instrumented_above("a").with_subscriber(above.clone());
    assert!(call.await.is_err());
    assert_eq!(above.0.load(Relaxed), 3, "one for each attempt");
    let below = Spans::default();
    let call = instrumented_below("a".to_owned()).with_subscriber(below.clone());
    assert!(call.await.is_err());
    assert_eq!(below.0.load(Relaxed), 1, "one for the call");
}
