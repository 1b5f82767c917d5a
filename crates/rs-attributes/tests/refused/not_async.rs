use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::timeout("5s")]
fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::resilient("payments")]
fn refund() -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::bulkhead(8, queue = 8)]
fn list() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
