//! The cost of spans: of none, of spans that nobody hears, and of spans that somebody does.

use std::error::Error;

use rs_bench::Bench;
use tracing_subscriber::{Registry, filter::LevelFilter, layer::SubscriberExt};

use super::{called, ensure_allocates_nothing, pipeline};

pub(super) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let (plain, unheard) = (pipeline("plain")?, pipeline("unheard")?.traced());
    let heard = pipeline("heard")?.traced();
    ensure_allocates_nothing(|count| called(&unheard, count));
    // Set for the calls only: as soon as somebody listens anywhere, every span is asked for.
    let listened = |count| {
        let subscriber = Registry::default().with(LevelFilter::INFO);
        tracing::subscriber::with_default(subscriber, || called(&heard, count));
    };
    bench
        .case("full stack, spans")
        .ours_in_batches(|count| called(&plain, count))
        .peer_in_batches("traced, nobody listens", |count| called(&unheard, count))
        .peer_in_batches("traced, into a registry", listened)
        .run();
    Ok(())
}
