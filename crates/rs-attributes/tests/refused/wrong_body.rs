use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry]
async fn charge() -> Result<u32, Failure<Bank>> {
    Ok("not a number")
}

fn main() {}
