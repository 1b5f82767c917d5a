use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::timeout("5 lightyears")]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
