use rs_core::Failure;

#[derive(Debug)]
struct Bank;

struct Order;

#[rs_attributes::retry]
async fn charge(_order: Order) -> Result<(), Failure<Bank>> {
    Ok(())
}

#[rs_attributes::retry]
async fn generic<T: Send + Sync>(_order: T) -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
