use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::circuit_breaker]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::resilient()]
async fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::circuit_breaker("")]
async fn list() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
