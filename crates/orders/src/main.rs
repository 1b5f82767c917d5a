//! An order system that stays up while what it depends on does not: `cargo xtask demo`.
//!
//! ```text
//!  load ──▶ gateway ──▶ shop ──▶ inventory × 3 ─┐
//!                        │ ├───▶ payments × 2 ──┤ processes of this program,
//!                        │ └───▶ notifications ─┘ each a real HTTP server
//!                        └─ workers: unpaid orders, price refresh, summary
//! ```
//!
//! Read `wiring.rs` next: it is what a user of the crates writes. `shop.rs` has what an order is made of.
//! All the rest starts processes, breaks them, measures, and shows.

mod args;
mod control;
mod demo;
mod fleet;
mod gateway;
mod http;
mod load;
mod meter;
mod prices;
mod run;
mod say;
mod screen;
mod service;
mod shop;
mod story;
mod view;
mod wiring;
mod workers;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let first = args.first().cloned().unwrap_or_default();
    let mut rest = || args.split_off(1);
    let done = match first.as_str() {
        // This program is all the processes of the demo.
        "serve" => service::serve(rest()).map(|()| true),
        "keep" => fleet::keeper::keep(&rest()).map(|()| true),
        "do" => control::tell(&rest()).map(|()| true),
        _ => args::Options::parse(args).and_then(run::run),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        // A story's promise was broken.
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
