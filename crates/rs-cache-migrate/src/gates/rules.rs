//! What is asked of a window, rule by rule.

use std::time::Duration;

use super::{
    Finding, GatesConfig, Ruling, SideWindow, Window,
    certainty::{CERTAIN, LIKELY, rate, wilson},
};
use crate::Stage;

/// Fewer timed reads say nothing of the slowest hundredth.
const TIMED: u64 = 100;

/// The window, and all since the step together, this one included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) config: &'a GatesConfig,
    pub(super) now: &'a Window,
    pub(super) all: &'a Window,
    /// What the hit ratio lacked lately, if there was an earlier window.
    pub(super) lacked: Option<f64>,
}

impl Seen<'_> {
    /// What the rules of this stage say.
    pub(super) fn look(self) -> Vec<Ruling> {
        let found = match self.now.stage {
            Stage::Off | Stage::Complete => vec![],
            Stage::DualWrite => vec![Some(self.changes())],
            Stage::Shadow => vec![
                Some(self.errors()),
                self.changes_if_any(),
                self.differences(),
                self.times(),
                self.throughput(),
                self.memory(),
            ],
            Stage::Live | Stage::RampDown => vec![
                Some(self.errors()),
                self.changes_if_any(),
                self.differences(),
                self.times(),
                self.throughput(),
                self.hit_ratio(),
                self.fallbacks(),
                self.memory(),
            ],
        };
        found.into_iter().flatten().collect()
    }

    /// Bad if this window alone makes it nearly certain, or all since the step do; good if all do.
    fn rate(
        &self,
        rule: &'static str,
        limit: f64,
        (some, of): (u64, u64),
        (all_some, all_of): (u64, u64),
    ) -> Ruling {
        let alone = wilson(some, of, LIKELY).0;
        let least = alone.max(wilson(all_some, all_of, CERTAIN).0);
        let most = wilson(all_some, all_of, LIKELY).1;
        let finding = match () {
            // One or two are no rate.
            () if least > limit && all_some >= 3 => Finding::Bad,
            () if most <= limit => Finding::Good,
            () => Finding::Unsure,
        };
        let now = 100.0 * rate(some, of);
        let numbers = format!("{rule} {now:.2}%, limit {:.2}%", 100.0 * limit);
        Ruling::new(rule, finding, numbers)
    }

    fn errors(&self) -> Ruling {
        let Self {
            config, now, all, ..
        } = self;
        let legacy = rate(now.legacy.errors, now.legacy.reads);
        let limit = config.errors.get().max(legacy);
        let of = |side: &SideWindow| (side.errors, side.reads);
        self.rate("errors", limit, of(&now.new), of(&all.new))
    }

    fn changes(&self) -> Ruling {
        let of = |window: &Window| (window.failed_changes, window.changes);
        let limit = self.config.errors.get();
        self.rate("failed changes", limit, of(self.now), of(self.all))
    }

    /// A cache may be read for hours without a change.
    fn changes_if_any(&self) -> Option<Ruling> {
        let evidence = self.changes();
        (evidence.finding == Finding::Bad).then_some(evidence)
    }

    fn differences(&self) -> Option<Ruling> {
        let of = |window: &Window| (window.differed, window.compared);
        let limit = self.config.differences.get();
        let evidence = self.rate("different values", limit, of(self.now), of(self.all));
        // It takes tens of thousands to be sure of a ten-thousandth: not to be sure holds nothing up, but to
        // have seen one too many does.
        let worth = evidence.finding != Finding::Unsure || self.all.differed > 0;
        (self.all.compared > 0 && worth).then_some(evidence)
    }

    const fn are_few(&self) -> bool {
        self.all.legacy.times.count() < TIMED || self.all.new.times.count() < TIMED
    }

    fn times(&self) -> Option<Ruling> {
        if self.are_few() {
            let numbers = format!(
                "{} timed reads of legacy and {} of new, {TIMED} needed",
                self.all.legacy.times.count(),
                self.all.new.times.count()
            );
            return Some(Ruling::new("times", Finding::Unsure, numbers));
        }
        let mut shown = vec![];
        let mut finding = Finding::Good;
        let parts = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
        for ((name, part), allowed) in parts.into_iter().zip(self.config.slower) {
            let limit = |time: Duration| {
                let relative = time.mul_f64(1.0 + allowed);
                relative.max(time.saturating_add(self.config.slack))
            };
            let new = self.all.new.times.quantile(part)?;
            let most = limit(self.all.legacy.times.quantile(part)?);
            let surely_slower = |window: &Window, z| {
                let new = window.new.times.quantile_within(part, z);
                let legacy = window.legacy.times.quantile_within(part, z);
                let enough = window.new.times.count().min(window.legacy.times.count()) >= TIMED;
                matches!((new, legacy), (Some(new), Some(legacy)) if enough && new.0 > limit(legacy.1))
            };
            // Both intervals together are wider than either.
            let bad =
                surely_slower(self.now, LIKELY / 1.4) || surely_slower(self.all, CERTAIN / 1.4);
            let numbers = format!("{name} {new:.1?}, limit {most:.1?}");
            if bad {
                let new = self.now.new.times.quantile(part).unwrap_or(new);
                let most = self.now.legacy.times.quantile(part).map_or(most, limit);
                let numbers = format!("{name} {new:.1?}, limit {most:.1?}");
                return Some(Ruling::new("times", Finding::Bad, numbers));
            }
            if new > most {
                finding = Finding::Unsure;
            }
            shown.push(numbers);
        }
        Some(Ruling::new("times", finding, shown.join(", ")))
    }

    /// What a caller is answered in a second of waiting: what the average time allows, less what failed.
    fn throughput(&self) -> Option<Ruling> {
        if self.are_few() {
            return None;
        }
        let limit = self.config.throughput.get();
        let slack = self.config.slack.as_nanos() as f64;
        let judged = |window: &Window, z: f64| {
            let (legacy, legacy_off) = window.legacy.times.mean()?;
            let (new, new_off) = window.new.times.mean()?;
            let answered = |side: &SideWindow| 1.0 - rate(side.errors, side.reads);
            let share = answered(&window.new) / answered(&window.legacy).max(f64::EPSILON);
            // An average of nothing is as fast as can be.
            let (new, legacy) = (new.max(1.0), legacy.max(1.0));
            let ratio = share * legacy / new;
            let off = ratio * ((legacy_off / legacy).powi(2) + (new_off / new).powi(2)).sqrt();
            Some((
                ratio,
                ratio + z * off,
                new - legacy <= slack && share >= limit,
            ))
        };
        let (ratio, _, slight) = judged(self.all, 0.0)?;
        let enough = self
            .now
            .new
            .times
            .count()
            .min(self.now.legacy.times.count())
            >= TIMED;
        let surely =
            |window, z| judged(window, z).is_some_and(|(_, most, slight)| most < limit && !slight);
        let finding = match () {
            () if (enough && surely(self.now, LIKELY)) || surely(self.all, CERTAIN) => Finding::Bad,
            () if slight || ratio >= limit => Finding::Good,
            () => Finding::Unsure,
        };
        let numbers = format!(
            "throughput {:.0}%, limit {:.0}%",
            100.0 * ratio,
            100.0 * limit
        );
        Some(Ruling::new("throughput", finding, numbers))
    }

    /// How many points fewer new answers than legacy would: counted where both were asked, for another
    /// share of the keys may be asked for more often.
    pub(super) fn lacks(&self) -> Option<f64> {
        let Window {
            stage,
            legacy,
            new,
            fallbacks,
            ..
        } = self.now;
        match stage {
            Stage::Live => (new.reads > 0).then(|| rate(*fallbacks, new.reads)),
            _ => (new.reads > 0 && legacy.reads > 0).then(|| legacy.hit_ratio() - new.hit_ratio()),
        }
    }

    fn hit_ratio(&self) -> Option<Ruling> {
        let lacks = self.lacks()?;
        let limit = self.config.hit_ratio;
        let few = self.now.new.reads.min(match self.now.stage {
            Stage::Live => u64::MAX,
            _ => self.now.legacy.reads,
        });
        let p = lacks.clamp(0.0, 1.0);
        let off = LIKELY * (p * (1.0 - p) / few.max(1) as f64).sqrt();
        // While entries come over it lacks less than on average lately; half of the doubt tells a slow
        // coming from chance well enough, when it takes several windows to be bad.
        let falls = self.lacked.is_none_or(|before| lacks < before - off / 2.0);
        let finding = match () {
            () if lacks <= limit => Finding::Good,
            () if lacks - off > limit && !falls => Finding::Bad,
            () => Finding::Unsure,
        };
        let ratio = self.now.new.hit_ratio();
        let least = ratio + lacks - limit;
        let numbers = format!(
            "hit ratio {:.1}%, limit {:.1}%",
            100.0 * ratio,
            100.0 * least
        );
        Some(Ruling::new("hit ratio", finding, numbers))
    }

    fn fallbacks(&self) -> Option<Ruling> {
        if self.now.stage != Stage::Live {
            return None;
        }
        let limit = self.config.fallbacks.get();
        let now = rate(self.now.fallbacks, self.now.new.reads);
        let finding = match now <= limit {
            true => Finding::Good,
            // Legacy answers, so nobody is worse off.
            false => Finding::Unsure,
        };
        let numbers = format!("fallbacks {:.1}%, limit {:.1}%", 100.0 * now, 100.0 * limit);
        Some(Ruling::new("fallbacks", finding, numbers))
    }

    /// An entry's, and the whole: new holds no more than legacy, so what grows beyond leaks.
    fn memory(&self) -> Option<Ruling> {
        let Window { legacy, new, .. } = self.now;
        let allowed = 1.0 + self.config.memory;
        let entry = || Some((new.bytes_per_entry()?, legacy.bytes_per_entry()? * allowed));
        let whole = || Some((new.bytes?, legacy.bytes? * allowed));
        let judge = |(now, limit): (f64, f64), what| {
            let finding = match (now.is_nan() || limit.is_nan(), now > limit) {
                (true, _) => Finding::Unsure,
                (false, true) => Finding::Bad,
                (false, false) => Finding::Good,
            };
            Ruling::new(
                "memory",
                finding,
                format!("{now:.0} bytes{what}, limit {limit:.0}"),
            )
        };
        let entry = entry().map(|found| judge(found, " per entry"));
        let whole = whole().map(|found| judge(found, ""));
        match (entry, whole) {
            (Some(entry), Some(whole)) if whole.finding == Finding::Good => Some(entry),
            (entry, whole) => whole.or(entry),
        }
    }
}
