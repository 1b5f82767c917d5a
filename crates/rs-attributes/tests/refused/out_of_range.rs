use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry(attempts = 0)]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::bulkhead(2_000_000)]
async fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::timeout("2d")]
async fn list() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
