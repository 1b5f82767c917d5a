//! The cost of policies, beside their peers.

#[path = "policies/rate_limit.rs"]
mod rate_limit;

use rs_bench::Bench;
use rs_core::ConfigError;

fn main() -> Result<(), ConfigError> {
    let mut bench = Bench::from_args("policies");
    rate_limit::run(&mut bench)?;
    bench.finish();
    Ok(())
}
