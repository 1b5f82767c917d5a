use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry]
#[rs_attributes::fallback(value = ())]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
