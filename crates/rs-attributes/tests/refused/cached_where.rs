use rs_core::Failure;

#[derive(Debug)]
struct Bank;

struct Client;

impl Client {
    #[rs_attributes::cached("300s")]
    async fn price(&self, sku: &str) -> Result<u32, Failure<Bank>> {
        Ok(sku.len() as u32)
    }
}

#[rs_attributes::cached("300s")]
async fn generic<T: Clone + Send + Sync>(value: T) -> Result<T, Failure<Bank>> {
    Ok(value)
}

fn main() {}
