//! The demo from its start to its end.

use anyhow::{Result, anyhow, bail};
use rs_patterns::{
    core::{Clock, FlightRecorder},
    metrics::{Exported, Exporter},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};

use crate::{
    args::{self, Options},
    demo::Demo,
    meter::OrderWindow,
    say::say,
    screen, story, view,
};

/// Whether everything that was promised held.
pub(crate) fn run(options: Options) -> Result<bool> {
    if options.help {
        say!("{}", args::HELP.trim_end());
        return Ok(true);
    }
    if options.list_scenarios {
        say!("{}", story::list().trim_end());
        return Ok(true);
    }
    let stories = options.scenario.as_deref().map(story::named).transpose()?;
    FlightRecorder::global().dump_on_panic();
    // One: the services are processes of their own, and on two cores a second thread here did no more orders.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut told = Told::listen()?;
        // Once for the whole process: stories follow each other, and their counts go on.
        let metrics = format!("127.0.0.1:{}", options.metrics_port);
        let metrics = Exporter::new().serve_on(metrics).install();
        let metrics = metrics.map_err(|error| anyhow!("--metrics-port: {error}"))?;
        match stories {
            Some(stories) => story::play(&stories, &options, &metrics, &mut told).await,
            None => show(&options, &metrics, &mut told).await,
        }
    })
}

/// The demo without a story: orders come, and somebody at the keys or in another terminal breaks things.
async fn show(options: &Options, metrics: &Exported, told: &mut Told) -> Result<bool> {
    let mut tasks = JoinSet::new();
    let demo = Demo::start(options, metrics, &mut tasks).await?;
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
    match options.json {
        true => say!("{}", json(&window)),
        false => say!("{}", view::total(&window)),
    }
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
