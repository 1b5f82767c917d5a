//! The gates against simulated caches: what they find, how soon, and how often they are wrong.

use std::{sync::LazyLock, time::Duration};

use rs_cache_migrate::{Gates, GatesConfig, SideWindow, Verdict, Window};

#[derive(Debug, Clone, Copy)]
struct Cache {
    slower: f64,
    errors: f64,
    hit_ratio: f64,
    bytes: f64,
}

const WELL: Cache = Cache {
    slower: 1.0,
    errors: 0.0,
    hit_ratio: 0.9,
    bytes: 200.0,
};

/// As many reads as a window has.
const READS: u64 = 1000;

/// What windows of reads look like that take about 200 µs, and a few several times as long: p50, p95, p99 in
/// µs. Windows are drawn from these; to draw every read takes a minute.
static TIMES: LazyLock<Vec<[f64; 3]>> = LazyLock::new(|| {
    let mut dice = fastrand::Rng::with_seed(1);
    let mut window = || {
        let mut times: Vec<f64> = (0..READS)
            .map(|_| 200.0 * (0.5 * normal(&mut dice)).exp())
            .collect();
        times.sort_by(f64::total_cmp);
        [times[500], times[950], times[990]]
    };
    (0..1000).map(|_| window()).collect()
});

/// Nearly normal, as a sum of twelve.
fn normal(dice: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| dice.f64()).sum::<f64>() - 6.0
}

/// How many of the reads, if each is with this probability.
fn some(share: f64, dice: &mut fastrand::Rng) -> u64 {
    let mean = share * READS as f64;
    if mean > 50.0 {
        let drawn = mean + (mean * (1.0 - share)).sqrt() * normal(dice);
        return (drawn.round() as u64).min(READS);
    }
    // The times between rare events.
    let (mut count, mut at) = (0, 0.0);
    loop {
        at -= dice.f64().max(f64::MIN_POSITIVE).ln();
        if at > mean {
            return count;
        }
        count += 1;
    }
}

fn window(cache: Cache, dice: &mut fastrand::Rng) -> SideWindow {
    let drawn = TIMES[dice.usize(..TIMES.len())];
    let [p50, p95, p99] =
        drawn.map(|micros| Some(Duration::from_secs_f64(micros * cache.slower / 1e6)));
    SideWindow {
        reads: READS,
        errors: some(cache.errors, dice),
        hits: some(cache.hit_ratio, dice),
        p50,
        p95,
        p99,
        bytes_per_entry: Some(cache.bytes),
    }
}

/// The verdict that ended it, and after how many windows.
fn run(new: Cache, windows: usize, dice: &mut fastrand::Rng, advances: bool) -> (Verdict, usize) {
    let mut gates = Gates::new(GatesConfig::default()).unwrap();
    for seen in 1..=windows {
        let judged = gates.judge(&Window {
            legacy: window(WELL, dice),
            new: window(new, dice),
        });
        match judged.verdict {
            Verdict::RollBack => return (Verdict::RollBack, seen),
            Verdict::Advance if advances => return (Verdict::Advance, seen),
            Verdict::Advance => gates.begin(),
            _ => {}
        }
    }
    (Verdict::Hold, windows)
}

/// Windows of ten seconds: the median and the worst of 40 runs.
fn found_within(new: Cache) -> (usize, usize) {
    let mut dice = fastrand::Rng::with_seed(7);
    let mut seen: Vec<usize> = (0..40)
        .map(|_| match run(new, 360, &mut dice, false) {
            (Verdict::RollBack, seen) => seen,
            _ => usize::MAX,
        })
        .collect();
    seen.sort_unstable();
    (seen[20], seen[39])
}

#[test]
fn what_is_bad_is_found_in_time() {
    for (what, new, median, worst) in [
        (
            "latency +10%",
            Cache {
                slower: 1.1,
                ..WELL
            },
            5,
            18,
        ),
        (
            "latency +50%",
            Cache {
                slower: 1.5,
                ..WELL
            },
            4,
            4,
        ),
        (
            "errors 2%",
            Cache {
                errors: 0.02,
                ..WELL
            },
            4,
            6,
        ),
        (
            "hit ratio -10 points",
            Cache {
                hit_ratio: 0.8,
                ..WELL
            },
            4,
            6,
        ),
        (
            "memory +20%",
            Cache {
                bytes: 240.0,
                ..WELL
            },
            4,
            4,
        ),
    ] {
        let found = found_within(new);
        println!("{what}: median {} windows, worst {}", found.0, found.1);
        assert!(found.0 <= median && found.1 <= worst, "{what}: {found:?}");
    }
}

#[test]
fn an_error_rate_just_above_the_limit_never_advances_for_long() {
    let mut dice = fastrand::Rng::with_seed(3);
    let (verdict, seen) = run(
        Cache {
            errors: 0.002,
            ..WELL
        },
        360,
        &mut dice,
        true,
    );
    assert_ne!(verdict, Verdict::Advance, "after {seen}");
    let (verdict, seen) = run(WELL, 360, &mut dice, true);
    assert_eq!(verdict, Verdict::Advance);
    assert!(
        seen >= 9,
        "it takes some thousand reads to prove a rate of a thousandth: {seen}"
    );
}

#[test]
fn a_clean_rollout_of_four_hours_is_rarely_rolled_back() {
    let mut dice = fastrand::Rng::with_seed(11);
    let rolled_back = (0..200).filter(|_| {
        // Errors below the limit, and hits as they come.
        let clean = Cache {
            errors: 0.0003,
            ..WELL
        };
        run(clean, 1440, &mut dice, false).0 == Verdict::RollBack
    });
    let rolled_back = rolled_back.count();
    println!("{rolled_back} of 200 clean rollouts were rolled back");
    assert!(rolled_back <= 4);
}

#[test]
fn no_data_holds() {
    let mut gates = Gates::new(GatesConfig::default()).unwrap();
    for _ in 0..100 {
        let judged = gates.judge(&Window::default());
        assert_eq!(judged.verdict, Verdict::Hold);
    }
    let nan = SideWindow {
        reads: 9000,
        hits: 9000,
        bytes_per_entry: Some(f64::NAN),
        ..SideWindow::default()
    };
    for _ in 0..100 {
        let judged = gates.judge(&Window {
            legacy: nan,
            new: nan,
        });
        assert_eq!(judged.verdict, Verdict::Hold, "{}", judged.why);
    }
    assert!(Gates::new(GatesConfig::default().rolling_back_after(5, 4)).is_err());
    assert!(Gates::new(GatesConfig::default().with_slower(f64::NAN, 0.0, 0.0)).is_err());
}
