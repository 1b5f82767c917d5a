//! What the gates find in simulated caches, how soon, and how often they are wrong; as the table of
//! `docs/cache-migration.md`, and the few runs that a test repeats. Seeded: it prints the same each time.
//!
//! ```sh
//! cargo run --release -p rs-cache-migrate --example degradations -- 200
//! ```

mod lab;
mod table;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let runs = std::env::args().nth(1).map_or(Ok(2), |runs| runs.parse())?;
    println!("{}", table::table(runs)?);
    if runs != table::REPEATED {
        let few = table::table(table::REPEATED)?;
        println!("<!-- Repeated by a test:\n\n{few}-->");
    }
    Ok(())
}
