//! Attributes through the umbrella.

use rs_patterns::{
    attributes::{cached, circuit_breaker, fallback, resilient, retry, timeout},
    breaker::Breaker,
    core::{Failure, Mandate},
};

#[fallback(value = 0)]
#[cached("1m")]
#[timeout("2s", crate = rs_patterns)]
#[retry(attempts = 2)]
#[circuit_breaker("bank of the umbrella")]
async fn charge(order: &str) -> Result<usize, Failure<std::io::Error>> {
    Ok(order.len())
}

#[resilient("nobody has made it", crate = rs_patterns)]
async fn refund() -> Result<(), Failure<std::io::Error>> {
    Ok(())
}

#[tokio::test]
async fn attributes_through_the_umbrella() {
    assert_eq!(charge("order 17").await.unwrap(), 8);
    let breaker = Breaker::named("bank of the umbrella");
    assert_eq!(breaker.snapshot().successes, 1);
    breaker.force_open(Mandate::new("a test", "to see what is kept"));
    assert_eq!(charge("order 17").await.unwrap(), 8);
    assert_eq!(charge("another").await.unwrap(), 0);
    assert!(refund().await.unwrap_err().is_rejected());
}
