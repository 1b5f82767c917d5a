//! The table of `docs/cache-migration.md`.

use rs_cache_migrate::GatesConfig;
use rs_core::ConfigError;

use crate::lab::{Cache, Lab, READS, Ran, WELL, WINDOW};

/// An hour of windows.
const HOUR: usize = 360;

/// So many runs are repeated by a test.
pub(crate) const REPEATED: usize = 2;

pub(crate) fn table(runs: usize) -> Result<String, ConfigError> {
    let mut table = format!(
        "{runs} runs of an hour each; windows of {} s with {READS} reads of each cache.\n\n",
        WINDOW.as_secs()
    );
    table.push_str("| the new cache | rolled back | median | worst | advanced first |\n|---|---|---|---|---|\n");
    for (what, new) in [
        (
            "latency +10 %",
            Cache {
                slower: 1.1,
                ..WELL
            },
        ),
        (
            "latency +50 %",
            Cache {
                slower: 1.5,
                ..WELL
            },
        ),
        (
            "errors 0.05 %",
            Cache {
                errors: 0.0005,
                ..WELL
            },
        ),
        (
            "errors 0.2 %",
            Cache {
                errors: 0.002,
                ..WELL
            },
        ),
        (
            "errors 2 %",
            Cache {
                errors: 0.02,
                ..WELL
            },
        ),
        (
            "leaks 1 % of its memory a minute",
            Cache {
                leaks: 1.0 / 600.0,
                ..WELL
            },
        ),
        (
            "hit ratio 10 points lower",
            Cache {
                hit_ratio: 0.8,
                ..WELL
            },
        ),
        (
            "no traffic",
            Cache {
                silent: true,
                ..WELL
            },
        ),
    ] {
        let mut dice = fastrand::Rng::with_seed(7);
        let lab = Lab::new(new, &mut dice);
        let ran: Result<Vec<Ran>, _> = (0..runs)
            .map(|_| lab.run(&GatesConfig::default(), HOUR, &mut dice))
            .collect();
        table.push_str(&row(what, &ran?));
        table.push('\n');
    }
    let mut dice = fastrand::Rng::with_seed(11);
    let clean = Lab::new(
        Cache {
            errors: 0.0003,
            ..WELL
        },
        &mut dice,
    );
    let mut wrong = 0;
    for _ in 0..runs {
        let ran = clean.run(&GatesConfig::default(), 4 * HOUR, &mut dice)?;
        wrong += usize::from(ran.rolled_back.is_some());
    }
    table.push_str(&format!(
        "\nFalse rollbacks: {wrong} of {runs} clean rollouts of four hours (errors 0.03 %).\n"
    ));
    Ok(table)
}

fn row(what: &str, ran: &[Ran]) -> String {
    let mut found: Vec<usize> = ran.iter().filter_map(|ran| ran.rolled_back).collect();
    found.sort_unstable();
    let time = |windows: Option<&usize>| {
        windows.map_or("–".to_owned(), |windows| {
            let seconds = *windows as u64 * WINDOW.as_secs();
            rs_core::humane::write_duration(std::time::Duration::from_secs(seconds)).to_string()
        })
    };
    let first = ran.iter().filter(|ran| ran.advanced.is_some()).count();
    format!(
        "| {what} | {} of {} | {} | {} | {first} |",
        found.len(),
        ran.len(),
        time(found.get(found.len() / 2)),
        time(found.last())
    )
}
