use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry(jitter = "ful")]
async fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
