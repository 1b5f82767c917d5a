use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::timeout]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::bulkhead]
async fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::fallback]
async fn list() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::cached]
async fn price() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
