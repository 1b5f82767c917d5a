use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry(attempts = 3, attempts = 4)]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::retry(constant = "1s", linear = "1s")]
async fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn judge(_: Result<&(), &Bank>) -> rs_core::Outcome {
    rs_core::Outcome::Ignored
}

#[rs_attributes::retry(classify = judge)]
#[rs_attributes::circuit_breaker("bank", classify = judge)]
async fn list() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
