//! The gates against simulated caches: what they find, how soon, and how often they are wrong.

use std::time::Duration;

use proptest::prelude::*;
use rs_cache_migrate::{Finding, Gates, GatesConfig, SideWindow, Stage, Times, Verdict, Window};

use crate::lab::{Cache, Lab, Ran, WELL};

/// Windows of ten seconds: the median and the worst of 20 runs of half an hour.
fn found_within(new: Cache) -> (usize, usize) {
    let mut dice = fastrand::Rng::with_seed(7);
    let lab = Lab::new(new, &mut dice);
    // It never goes on, so that what is bad stays.
    let config = GatesConfig::default().advancing_after(100_000);
    let mut seen: Vec<usize> = (0..20)
        .map(|_| lab.run(&config, 180, &mut dice).unwrap())
        .map(|ran| ran.rolled_back.unwrap_or(usize::MAX))
        .collect();
    seen.sort_unstable();
    (seen[10], seen[19])
}

#[track_caller]
fn check(what: &str, new: Cache, median: usize, worst: usize) {
    let found = found_within(new);
    println!("{what}: median {} windows, worst {}", found.0, found.1);
    assert!(found.0 <= median && found.1 <= worst, "{what}: {found:?}");
}

#[test]
fn what_is_bad_is_found_in_time() {
    check(
        "latency +10%",
        Cache {
            slower: 1.1,
            ..WELL
        },
        24,
        60,
    );
    check(
        "latency +50%",
        Cache {
            slower: 1.5,
            ..WELL
        },
        4,
        4,
    );
    check(
        "errors 2%",
        Cache {
            errors: 0.02,
            ..WELL
        },
        4,
        6,
    );
    check(
        "hit ratio",
        Cache {
            hit_ratio: 0.8,
            ..WELL
        },
        6,
        24,
    );
    check(
        "leak",
        Cache {
            leaks: 0.01,
            ..WELL
        },
        19,
        19,
    );
}

#[test]
fn an_error_rate_just_above_the_limit_does_not_get_far() {
    let mut dice = fastrand::Rng::with_seed(3);
    let sick = Lab::new(
        Cache {
            errors: 0.002,
            ..WELL
        },
        &mut dice,
    );
    let config = GatesConfig::default();
    let ran = sick.run(&config, 360, &mut dice).unwrap();
    assert_eq!(ran.advanced, None, "{ran:?}");
    let well = Lab::new(WELL, &mut dice);
    let Ran {
        rolled_back,
        advanced,
    } = well.run(&config, 360, &mut dice).unwrap();
    assert_eq!(rolled_back, None);
    assert!(
        advanced >= Some(31),
        "it takes some thousand reads to prove a rate of a thousandth: {advanced:?}"
    );
}

#[test]
fn a_clean_rollout_of_four_hours_is_rarely_rolled_back() {
    let mut dice = fastrand::Rng::with_seed(11);
    // Errors below the limit, and hits as they come.
    let lab = Lab::new(
        Cache {
            errors: 0.0003,
            ..WELL
        },
        &mut dice,
    );
    let config = GatesConfig::default();
    let rolled_back = (0..6).filter(|_| {
        let ran = lab.run(&config, 1440, &mut dice).unwrap();
        ran.rolled_back.is_some()
    });
    let rolled_back = rolled_back.count();
    println!("{rolled_back} of 6 clean rollouts were rolled back");
    assert_eq!(rolled_back, 0);
}

fn well() -> SideWindow {
    SideWindow {
        reads: 9000,
        hits: 8000,
        times: (0..500_u64)
            .map(|at| Duration::from_micros(100 + at))
            .collect(),
        ..SideWindow::default()
    }
}

fn judged(window: &Window) -> (Verdict, String) {
    let mut gates = Gates::new(GatesConfig::default().with_warm_up(0).advancing_after(3)).unwrap();
    let mut last = gates.judge(window);
    for _ in 0..2 {
        last = gates.judge(window);
    }
    (last.verdict, last.why)
}

#[test]
fn no_data_holds() {
    for stage in [
        Stage::Off,
        Stage::DualWrite,
        Stage::Shadow,
        Stage::Live,
        Stage::RampDown,
    ] {
        let window = Window {
            stage,
            ..Window::default()
        };
        let (verdict, why) = judged(&window);
        assert_eq!(verdict, Verdict::Hold, "{why}");
    }
    let nan = SideWindow {
        bytes: Some(f64::NAN),
        entries: Some(1),
        ..well()
    };
    let window = Window {
        legacy: nan.clone(),
        new: nan,
        ..Window::default()
    };
    let (verdict, why) = judged(&window);
    assert_eq!(verdict, Verdict::Hold, "{why}");
    let untimed = SideWindow {
        times: Times::new(),
        ..well()
    };
    let window = Window {
        legacy: well(),
        new: untimed,
        ..Window::default()
    };
    let (verdict, why) = judged(&window);
    assert_eq!(verdict, Verdict::Hold);
    assert!(
        why.starts_with("1500 timed reads of legacy and 0 of new, 100 needed"),
        "{why}"
    );
    assert!(Gates::new(GatesConfig::default().rolling_back_after(5, 4)).is_err());
    assert!(Gates::new(GatesConfig::default().with_slower(f64::NAN, 0.0, 0.0)).is_err());
}

type Case = (fn(&mut Window), &'static str);

#[test]
fn each_rule_says_what_it_found() {
    let window = |change: fn(&mut Window)| {
        let mut window = Window {
            legacy: well(),
            new: well(),
            ..Window::default()
        };
        change(&mut window);
        judged(&window)
    };
    assert_eq!(window(|_| {}).0, Verdict::Advance, "{}", window(|_| {}).1);
    let cases: [Case; 8] = [
        (|w| w.new.errors = 90, "errors 1.00%, limit 0.10%"),
        (
            |w| {
                w.changes = 1000;
                w.failed_changes = 20;
            },
            "failed changes 2.00%, limit 0.10%",
        ),
        (
            |w| {
                w.compared = 1000;
                w.differed = 5;
            },
            "different values 0.50%, limit 0.01%",
        ),
        (
            |w| {
                w.new.times = (0..500_u64)
                    .map(|at| Duration::from_micros(150 + at))
                    .collect()
            },
            "throughput 87%, limit 95%",
        ),
        (
            |w| {
                w.new
                    .times
                    .merge(&(0..40).map(|_| Duration::from_millis(9)).collect())
            },
            "p95",
        ),
        (|w| w.new.errors = 700, "errors"),
        (|w| w.fallbacks = 900, "hit ratio 88.9%, limit 93.9%"),
        (
            |w| (w.legacy.bytes, w.new.bytes) = (Some(100.0), Some(120.0)),
            "120 bytes, limit 115",
        ),
    ];
    for (change, says) in cases {
        let (verdict, why) = window(change);
        assert_ne!(verdict, Verdict::Advance, "{why}");
        assert!(why.contains(says), "{says}: {why}");
    }
    // A tail beyond p99 shows in the average alone.
    let (verdict, why) = window(|w| {
        w.new
            .times
            .merge(&(0..4).map(|_| Duration::from_millis(200)).collect());
    });
    assert_ne!(verdict, Verdict::Advance);
    assert!(why.starts_with("throughput"), "{why}");
}

#[test]
fn a_hit_ratio_that_rises_holds_and_rolls_nothing_back() {
    let mut gates = Gates::new(GatesConfig::default().with_warm_up(0)).unwrap();
    let mut fallbacks = 8000.0;
    while fallbacks > 100.0 {
        let window = Window {
            legacy: well(),
            new: well(),
            fallbacks: fallbacks as u64,
            ..Window::default()
        };
        let judged = gates.judge(&window);
        assert_eq!(judged.verdict, Verdict::Hold, "{}", judged.why);
        assert_ne!(judged.finding, Finding::Bad, "{}", judged.why);
        fallbacks *= 0.9;
    }
}

#[test]
fn a_few_reads_that_all_fail_need_no_minimum() {
    let failing = SideWindow {
        reads: 12,
        errors: 12,
        ..SideWindow::default()
    };
    let window = Window {
        new: failing,
        legacy: SideWindow::default(),
        ..Window::default()
    };
    let (verdict, why) = judged(&window);
    assert_eq!(verdict, Verdict::RollBack, "{why}");
}

#[test]
fn hours_cannot_be_told_from_hours() {
    let times: Times = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX]
        .into_iter()
        .collect();
    assert_eq!(times.count(), 3);
    assert_eq!(times.quantile(0.0), Some(Duration::ZERO));
    assert!(times.quantile(1.0) > Some(Duration::from_secs(3600)));
    assert_eq!(Times::new().quantile(0.5), None);
}

proptest! {
    /// Quantiles are those of the sorted list, but for the width of a bucket; put together or not.
    #[test]
    fn quantiles_are_right(micros in proptest::collection::vec(1..10_000_000_u64, 1..400), at in 0.0..=1.0_f64) {
        let (left, right) = micros.split_at(micros.len() / 2);
        let times = |of: &[u64]| -> Times { of.iter().copied().map(Duration::from_micros).collect() };
        let mut both = times(left);
        both.merge(&times(right));
        prop_assert_eq!(&both, &times(&micros));
        let mut sorted = micros.clone();
        sorted.sort_unstable();
        let rank = ((at * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        let exact = Duration::from_micros(sorted[rank - 1]);
        let found = both.quantile(at).unwrap();
        prop_assert!(found.abs_diff(exact) <= exact / 30 + Duration::from_nanos(1), "{found:?} {exact:?}");
    }

    /// Whatever comes: never an advance while a rule is bad or nothing was seen; never a rollback without as
    /// many bad windows as it takes; a step forgets everything.
    #[test]
    fn the_gates_keep_their_word(windows in proptest::collection::vec((0..3000_u64, 0..3000_u64, 0.0..0.02_f64, 0.9..1.3_f64), 1..60)) {
        let config = GatesConfig::default().with_warm_up(1).advancing_after(3).rolling_back_after(3, 4);
        let mut gates = Gates::new(config).unwrap();
        let (mut bad, mut good) = (0, 0);
        for (at, (legacy, new, errors, slower)) in windows.into_iter().enumerate() {
            let side = |reads: u64, errors: f64, slower: f64| SideWindow {
                reads,
                errors: (errors * reads as f64) as u64,
                hits: reads,
                times: (0..reads.min(300)).map(|at| Duration::from_micros(100 + at).mul_f64(slower)).collect(),
                ..SideWindow::default()
            };
            let window = Window {
                legacy: side(legacy, 0.0, 1.0),
                new: side(new, errors, slower),
                ..Window::default()
            };
            let judged = gates.judge(&window);
            bad += u32::from(judged.finding == Finding::Bad);
            good += u32::from(judged.finding == Finding::Good);
            match judged.verdict {
                Verdict::Advance => {
                    prop_assert!(judged.finding == Finding::Good && good >= 3 && at >= 1);
                    prop_assert!(judged.evidence.iter().all(|one| one.finding == Finding::Good));
                }
                Verdict::RollBack => prop_assert!(bad >= 3),
                _ => {}
            }
            if judged.verdict == Verdict::Advance || judged.verdict == Verdict::RollBack {
                gates.begin();
                (bad, good) = (0, 0);
                prop_assert_eq!(gates.judge(&window).verdict, Verdict::Hold, "warms up");
            }
        }
    }
}

/// All 200 runs take minutes here, so they are for `cargo xtask test --long`.
#[test]
fn the_table_in_the_docs_is_what_the_simulation_says() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/cache-migration.md")).unwrap();
    let long = std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1");
    let repeated = [crate::table::REPEATED, 200];
    for runs in repeated.into_iter().take(if long { 2 } else { 1 }) {
        let table = crate::table::table(runs).unwrap();
        assert!(
            page.contains(&table),
            "stale: `cargo run --release -p rs-cache-migrate --example degradations -- 200` says\n{table}"
        );
    }
}
