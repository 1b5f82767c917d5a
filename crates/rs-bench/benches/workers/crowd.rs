//! Ten thousand workers: how long they take to start and to stop, and what memory they take.

use std::{
    error::Error,
    fmt::Write,
    future::pending,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use rs_bench::Bench;
use rs_core::{Directory, Name};
use rs_metrics::Registry;
use rs_workers::{ManagerConfig, Surroundings, WorkerContext, WorkerManager, worker};
use tokio::runtime::{Builder, Runtime};

const NAME: &str = "ten thousand workers";
const MANY: u32 = 10_000;
const TIME: Duration = Duration::from_secs(1);
const BYTES: f64 = 4096.0;

struct Crowd {
    start: Duration,
    stop: Duration,
    bytes: f64,
}

pub(crate) fn run(bench: &Bench) -> Result<String, Box<dyn Error>> {
    if !bench.measures(NAME) {
        return Ok(String::new());
    }
    // Names stay for the life of the process: they are no worker's.
    let names: Vec<Name> = (0..MANY)
        .map(|number| Name::new(&format!("worker-{number}")))
        .collect();
    let bare = bare_tasks()?;
    let listed = Surroundings::apart().with_directory(Directory::new());
    let exported = listed.clone().with_metrics(Registry::new());
    let rows = [
        ("in a directory", crowd(&listed, &names)?),
        (
            "exported, too: the first thousand",
            crowd(&exported, &names)?,
        ),
    ];
    let mut page = String::new();
    if bench.prints_json() {
        for (what, crowd) in rows {
            writeln!(
                page,
                r#"{{"bench":"workers","case":"{NAME}, {what}","start_ms":{:.1},"stop_ms":{:.1},"bytes_each":{:.0},"bytes_each_bare_task":{bare:.0}}}"#,
                millis(crowd.start),
                millis(crowd.stop),
                crowd.bytes,
            )?;
        }
        return Ok(page);
    }
    writeln!(page, "{NAME} · one thread · wall time")?;
    writeln!(
        page,
        "  {:<34} {:>10} {:>10} {:>12}",
        "", "start ms", "stop ms", "bytes each"
    )?;
    writeln!(
        page,
        "  {:<34} {:>10} {:>10} {bare:>12.0}",
        "a tokio task that waits", "", ""
    )?;
    for (what, crowd) in rows {
        let (start, stop) = (millis(crowd.start), millis(crowd.stop));
        writeln!(
            page,
            "  {what:<34} {start:>10.1} {stop:>10.1} {:>12.0}",
            crowd.bytes
        )?;
        let met = crowd.start <= TIME && crowd.stop <= TIME && crowd.bytes - bare <= BYTES;
        let verdict = if met { "met" } else { "MISSED" };
        writeln!(
            page,
            "    goal: {TIME:?}, {TIME:?}, {BYTES} beyond the task: {verdict}"
        )?;
    }
    Ok(page)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_time().build()
}

/// What a task takes that only waits.
fn bare_tasks() -> std::io::Result<f64> {
    let runtime = runtime()?;
    let mut tasks = Vec::with_capacity(MANY as usize);
    let used = measure(|| {
        tasks.extend((0..MANY).map(|_| runtime.spawn(pending::<()>())));
    });
    Ok(used.bytes_current as f64 / f64::from(MANY))
}

#[expect(clippy::disallowed_methods, reason = "time passes for real here")]
fn crowd(around: &Surroundings, names: &[Name]) -> Result<Crowd, Box<dyn Error>> {
    let runtime = runtime()?;
    let workers = WorkerManager::within(around, "crowd", ManagerConfig::default())?;
    let mut start = Duration::ZERO;
    let used = measure(|| {
        for name in names {
            let waits = worker(
                *name,
                |ctx: WorkerContext| async move { ctx.stopped().await },
            );
            workers.register(waits).expect("its name is its own");
        }
        let began = Instant::now();
        runtime
            .block_on(workers.start_all())
            .expect("nothing hinders them");
        // Until each has been polled.
        runtime.block_on(async {
            for _ in 0..MANY {
                tokio::task::yield_now().await;
            }
        });
        start = began.elapsed();
    });
    let began = Instant::now();
    let report = runtime.block_on(workers.stop_all());
    let stop = began.elapsed();
    if !report.is_clean() || report.workers.len() != names.len() {
        return Err(report.to_string().into());
    }
    Ok(Crowd {
        start,
        stop,
        bytes: used.bytes_current as f64 / f64::from(MANY),
    })
}
