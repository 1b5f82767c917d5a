use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::circuit_breaker(5)]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::retry("payments")]
async fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::circuit_breaker(breaker)]
async fn list(breaker: &str) -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
