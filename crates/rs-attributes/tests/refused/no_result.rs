use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry]
async fn charge() {}

#[rs_attributes::retry]
async fn refund() -> u32 {
    5
}

fn main() {}
