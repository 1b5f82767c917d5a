use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry(atempts = 3)]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::retry(safe_to_repeet)]
async fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::bulkhead(8, jitter = "full")]
async fn list() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
