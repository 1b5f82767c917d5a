#[derive(Debug)]
struct Bank;

#[rs_attributes::retry]
async fn charge() -> Result<(), Bank> {
    Ok(())
}

fn main() {}
