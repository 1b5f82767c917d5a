use rs_core::Failure;

#[derive(Debug)]
struct Bank;

async fn instead(_why: Failure<Bank>) -> Result<String, Failure<Bank>> {
    Ok(String::new())
}

#[rs_attributes::fallback(instead)]
async fn charge() -> Result<u32, Failure<Bank>> {
    Ok(5)
}

#[rs_attributes::fallback(5)]
async fn refund() -> Result<u32, Failure<Bank>> {
    Ok(5)
}

fn main() {}
