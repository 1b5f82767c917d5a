use rs_core::Failure;

#[derive(Debug)]
struct Bank;

#[rs_attributes::retry]
async fn charge(_orders: &mut Vec<u8>) -> Result<(), Failure<Bank>> {
    Ok(())
}

struct Client;

impl Client {
    #[rs_attributes::retry]
    async fn charge(&mut self) -> Result<(), Failure<Bank>> {
        Ok(())
    }

    #[rs_attributes::resilient("payments")]
    async fn refund(self) -> Result<(), Failure<Bank>> {
        Ok(())
    }
}

fn main() {}
