use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry]
struct Client;

#[rs_attributes::retry]
impl Client {}

trait Charges {
    #[rs_attributes::retry]
    fn charge(&self) -> Result<(), Failure<Bank>>;
}

#[rs_attributes::retry]
const fn charge() -> Result<(), Failure<Bank>> {
    Ok(())
}

fn main() {}
