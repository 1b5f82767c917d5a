use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::timeout("1s")]
#[rs_attributes::retry]
#[rs_attributes::timeout("2s")]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
