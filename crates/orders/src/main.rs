//! An order system that stays up while what it depends on does not: `cargo xtask demo`.
//!
//! ```text
//!  load ──▶ gateway ──▶ shop ──▶ inventory × 3 ─┐
//!                        │ ├───▶ payments × 2 ──┤ processes of this program,
//!                        │ └───▶ notifications ─┘ each a real HTTP server
//!                        └─ workers: unpaid orders, price refresh, summary
//! ```
//!
//! What a user of the crates would write is in `shop.rs` (what the shop calls, and what protects it from
//! each) and `workers.rs`. The rest starts processes, breaks them, and measures.

mod args;
mod control;
mod demo;
mod fleet;
mod gateway;
mod http;
mod load;
mod meter;
mod prices;
mod screen;
mod service;
mod shop;
mod story;
mod view;
mod workers;

use std::{io::Write, process::ExitCode};

use anyhow::{Result, bail};
use rs_patterns::core::{Clock, FlightRecorder};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use crate::{args::Options, demo::Demo, meter::OrderWindow};

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let first = args.first().cloned().unwrap_or_default();
    let mut rest = || args.split_off(1);
    let done = match first.as_str() {
        // This program is all the processes of the demo.
        "serve" => service::serve(rest()).map(|()| true),
        "keep" => fleet::keeper::keep(&rest()).map(|()| true),
        "do" => control::tell(&rest()).map(|()| true),
        _ => Options::parse(args).and_then(run),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything that was promised held.
fn run(options: Options) -> Result<bool> {
    if options.help {
        print!("{}", args::HELP);
        return Ok(true);
    }
    if options.list_scenarios {
        print!("{}", story::list());
        return Ok(true);
    }
    let stories = options.scenario.as_deref().map(story::named).transpose()?;
    FlightRecorder::global().dump_on_panic();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut told = Told::listen()?;
        match stories {
            Some(stories) => story::play(&stories, &options, &mut told).await,
            None => show(&options, &mut told).await,
        }
    })
}

/// The demo without a story: orders come, and somebody at the keys or in another terminal breaks things.
async fn show(options: &Options, told: &mut Told) -> Result<bool> {
    let mut tasks = JoinSet::new();
    let demo = Demo::start(options, &mut tasks).await?;
    let first = demo.load.meter.reading();
    demo.load.set_rate(options.rate.unwrap_or(200.0));
    let ended = tokio::select! {
        () = told.ended() => Ended::Told,
        () = length(options) => Ended::Time,
        shown = screen::show(&demo, options) => { shown?; Ended::Key }
        // All parts go on until they are told to end.
        part = tasks.join_next() => bail!("a part of the demo ended: {part:?}"),
    };
    demo.stop(&mut tasks).await;
    if ended == Ended::Told {
        eprintln!("\n{}", FlightRecorder::global().log(20));
    }
    let window = demo.load.meter.reading().since(&first);
    println!(
        "{}",
        if options.json {
            json(&window)
        } else {
            view::total(&window)
        }
    );
    std::io::stdout().flush()?;
    Ok(true)
}

#[derive(PartialEq)]
enum Ended {
    Told,
    Time,
    Key,
}

async fn length(options: &Options) {
    match options.length {
        Some(length) => Clock::default().sleep(length).await,
        None => std::future::pending().await,
    }
}

/// The run in one line for programs.
fn json(window: &OrderWindow) -> String {
    let millis = |share| window.quantile(share).as_secs_f64() * 1e3;
    let counts = &window.counts;
    format!(
        r#"{{"requests": {}, "failed": {}, "refused": {}, "degraded": {}, "queued": {}, "p50_ms": {:.3}, "p99_ms": {:.3}, "orders_per_second": {:.1}}}"#,
        window.all(),
        counts.failed + counts.refused,
        counts.refused,
        counts.degraded,
        counts.queued,
        millis(0.5),
        millis(0.99),
        window.rate(),
    )
}

/// Ctrl-C, or SIGTERM.
pub(crate) struct Told {
    int: Signal,
    term: Signal,
}

impl Told {
    fn listen() -> Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn ended(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}
