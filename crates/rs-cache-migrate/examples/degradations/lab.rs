//! Simulated caches in front of the gates: what windows of them look like, and what the gates make of that.

use std::time::Duration;

use rs_cache_migrate::{Gates, GatesConfig, SideWindow, Stage, Times, Verdict, Window};

/// So many reads of each side are in a window of ten seconds.
pub(crate) const READS: u64 = 1000;
pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// Windows are drawn from as many that were made read by read.
const DRAWN: usize = 200;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cache {
    pub(crate) slower: f64,
    pub(crate) errors: f64,
    pub(crate) hit_ratio: f64,
    /// An entry takes so much more with every window.
    pub(crate) leaks: f64,
    pub(crate) silent: bool,
}

pub(crate) const WELL: Cache = Cache {
    slower: 1.0,
    errors: 0.0,
    hit_ratio: 0.9,
    leaks: 0.0,
    silent: false,
};

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

/// What one side does, window by window.
pub(crate) struct Side {
    cache: Cache,
    drawn: Vec<Times>,
}

impl Side {
    /// Reads take about 200 µs, and a few several times as long.
    pub(crate) fn new(cache: Cache, dice: &mut fastrand::Rng) -> Self {
        let micros = 200.0 * cache.slower;
        let mut read = || Duration::from_secs_f64(micros * (0.5 * normal(dice)).exp() / 1e6);
        let drawn = (0..DRAWN)
            .map(|_| (0..READS).map(|_| read()).collect())
            .collect();
        Self { cache, drawn }
    }

    fn window(&self, at: usize, dice: &mut fastrand::Rng) -> SideWindow {
        if self.cache.silent {
            return SideWindow::default();
        }
        let times = self.drawn.get(dice.usize(..DRAWN)).cloned();
        SideWindow {
            reads: READS,
            errors: some(self.cache.errors, dice),
            hits: some(self.cache.hit_ratio, dice),
            times: times.unwrap_or_default(),
            bytes: Some(200_000.0 * (1.0 + self.cache.leaks * at as f64)),
            entries: Some(1000),
        }
    }
}

/// Both caches, live.
pub(crate) struct Lab {
    pub(crate) legacy: Side,
    pub(crate) new: Side,
}

impl Lab {
    pub(crate) fn new(new: Cache, dice: &mut fastrand::Rng) -> Self {
        let legacy = Cache {
            silent: new.silent,
            ..WELL
        };
        Self {
            legacy: Side::new(legacy, dice),
            new: Side::new(new, dice),
        }
    }

    fn window(&self, at: usize, dice: &mut fastrand::Rng) -> Window {
        let lacks = (WELL.hit_ratio - self.new.cache.hit_ratio).max(0.0);
        Window {
            stage: Stage::Live,
            took: WINDOW,
            legacy: self.legacy.window(at, dice),
            new: self.new.window(at, dice),
            fallbacks: if self.new.cache.silent {
                0
            } else {
                some(lacks, dice)
            },
            ..Window::default()
        }
    }

    /// The first verdict that is not to hold and that is asked for, and after how many windows.
    pub(crate) fn run(
        &self,
        config: &GatesConfig,
        windows: usize,
        dice: &mut fastrand::Rng,
    ) -> Result<Ran, rs_core::ConfigError> {
        let mut gates = Gates::new(config.clone())?;
        let mut ran = Ran {
            rolled_back: None,
            advanced: None,
        };
        for at in 1..=windows {
            match gates.judge(&self.window(at, dice)).verdict {
                Verdict::RollBack => {
                    ran.rolled_back = Some(at);
                    return Ok(ran);
                }
                Verdict::Advance => {
                    ran.advanced.get_or_insert(at);
                    gates.begin();
                }
                _ => {}
            }
        }
        Ok(ran)
    }
}

/// What became of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ran {
    /// After how many windows.
    pub(crate) rolled_back: Option<usize>,
    /// After how many windows for the first time.
    pub(crate) advanced: Option<usize>,
}
