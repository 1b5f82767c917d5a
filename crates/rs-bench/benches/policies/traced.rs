//! The cost of spans: of none, of spans that nobody hears, and of spans that somebody does.

use std::error::Error;

use rs_bench::Bench;
use tracing_subscriber::{Registry, filter::LevelFilter, layer::SubscriberExt};

use super::{called, ensure_allocates_nothing, pipeline};

pub(super) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (plain, unheard) = (pipeline("plain")?, pipeline("unheard")?.traced());
    ensure_allocates_nothing(|count| called(&unheard, count));
    bench
        .case("full stack, spans that nobody hears")
        .ours_in_batches(|count| called(&unheard, count))
        .peer_in_batches("not traced", |count| called(&plain, count))
        .run();
    // As soon as somebody has listened anywhere, every span is asked for: not before.
    let heard = pipeline("heard")?.traced();
    bench
        .case("full stack, spans that are heard")
        .ours_in_batches(|count| {
            let subscriber = Registry::default().with(LevelFilter::INFO);
            tracing::subscriber::with_default(subscriber, || called(&heard, count));
        })
        .peer_in_batches("not traced", |count| called(&plain, count))
        .run();
    Ok(())
}
