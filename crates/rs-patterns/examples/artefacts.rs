//! Prints what is generated from the code: `metrics`, the reference of all metrics, unless told.

use rs_patterns::{
    backends, balance, breaker, cache_migrate,
    metrics::{self, Catalogue},
    policies, workers,
};

/// The catalogue of every crate.
static CATALOGUES: &[&Catalogue] = &[
    &backends::metrics::CATALOGUE,
    &balance::metrics::CATALOGUE,
    &balance::pool::metrics::CATALOGUE,
    &breaker::metrics::CATALOGUE,
    &cache_migrate::metrics::CATALOGUE,
    &policies::metrics::CATALOGUE,
    &workers::metrics::CATALOGUE,
    &metrics::CATALOGUE,
];

const HEAD: &str = "# Metrics

Every metric that the crates export, from the catalogues in the code. Labels without values are open:
their values are the names of instances, capped for each metric.
";

fn main() -> anyhow::Result<()> {
    match std::env::args().nth(1).as_deref().unwrap_or("metrics") {
        "metrics" => {
            print!("{HEAD}");
            for catalogue in CATALOGUES {
                print!("\n{}", catalogue.reference());
            }
            Ok(())
        }
        other => anyhow::bail!("unknown artefact `{other}`; known: metrics"),
    }
}
