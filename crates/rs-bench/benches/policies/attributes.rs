//! A function with attributes, beside the same written by hand.

use std::error::Error;

use rs_attributes::resilient;
use rs_bench::{Bench, Goal};
use rs_breaker::Breaker;
use rs_core::{Failure, Policy};
use rs_policies::{Bulkhead, Pipeline};

use crate::{Failed, operation, pipeline, polled, succeeds};

struct Shop {
    payments: Pipeline<Breaker, Bulkhead>,
}

impl Shop {
    #[resilient(self.payments)]
    async fn charge(&self, fails: bool) -> Result<u32, Failure<Failed>> {
        let receipt = operation(fails)?;
        Ok(receipt)
    }

    async fn charge_by_hand(&self, fails: bool) -> Result<u32, Failure<Failed>> {
        let payments = &self.payments;
        payments
            .call("charge_by_hand", async |_call| operation(fails))
            .await
    }
}

pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let shop = Shop {
        payments: pipeline("attributes")?,
    };
    const BY_HAND: &str = "the same by hand";
    bench
        .case("full stack by an attribute")
        .ours_in_batches(|count| {
            succeeds(count, |fails| polled(shop.charge(fails)));
        })
        .peer_in_batches(BY_HAND, |count| {
            succeeds(count, |fails| polled(shop.charge_by_hand(fails)));
        })
        .goal(Goal::times(1.05, BY_HAND))
        .run();
    Ok(())
}
