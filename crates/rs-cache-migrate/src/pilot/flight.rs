//! The pilot at work: measures, asks the [course](super::course), and does what it says.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rs_core::Mandate;

use super::{
    PilotConfig,
    course::{Bounds, Course, Order},
};
use crate::{
    CacheAdapter, Comparison, MigrationKey, MigrationState, Ruling, Side, SideWindow, Stage,
    Verdict, Window, event, inner::Inner, meter::Reading, metrics::CacheOperation, steps::Because,
};

/// So often it looks whether a window is over; a step is given up if it takes longer than a window.
const EVERY: Duration = Duration::from_secs(1);

/// What the clones of a migration know of its pilot.
#[derive(Debug)]
pub(crate) struct Pilot {
    course: Mutex<Course>,
    bounds: Mutex<Bounds>,
    /// By whose order it holds.
    holds: Mutex<Option<Mandate>>,
}

impl Pilot {
    pub(crate) fn new(config: &PilotConfig, now: Instant) -> Self {
        Self {
            course: Mutex::new(Course::new(config, now)),
            bounds: Mutex::new(Bounds::NONE),
            holds: Mutex::default(),
        }
    }

    pub(crate) fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self) -> MutexGuard<'_, Option<Mandate>> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By whose order it goes no further.
    pub(crate) fn held_by(&self) -> Option<Mandate> {
        self.holds().clone()
    }

    /// Others allow so much from now on.
    pub(crate) fn bound(&self, bounds: Bounds) {
        *self.bounds.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    pub(crate) fn bounds(&self) -> Bounds {
        let bounds = self.bounds.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bounds = bounds.clone();
        if let Some(mandate) = self.held_by() {
            bounds.hold = Some(format!("holds by order, {mandate}"));
        }
        bounds
    }
}

impl<K, V, L, N> Inner<K, V, L, N> {
    /// Goes no further by itself; `false` if it holds already.
    pub(crate) fn hold(&self, mandate: Mandate) -> bool {
        let mut holds = self.pilot.holds();
        if holds.is_some() {
            return false;
        }
        self.home
            .record(|| event::by(&event::HOLDS, self.name(), &mandate));
        *holds = Some(mandate);
        true
    }

    /// May go on by itself; `false` if it did not hold.
    pub(crate) fn resume(&self, mandate: &Mandate) -> bool {
        let held = self.pilot.holds().take().is_some();
        if held {
            self.home
                .record(|| event::by(&event::RESUMED, self.name(), mandate));
        }
        held
    }
}

/// All counters of a migration at some time.
#[derive(Debug, Clone, Default)]
struct Counted {
    meter: Reading,
    legacy_hits: u64,
    new_hits: u64,
    fallbacks: u64,
    errors: [u64; 2],
    changes: u64,
    failed_changes: u64,
    compared: u64,
    differed: u64,
}

impl Counted {
    /// What happened since, as the gates want it.
    fn since(&self, before: &Self, state: &MigrationState, minimum: u64) -> Window {
        let fallbacks = self.fallbacks - before.fallbacks;
        let side = |index: usize, hits: u64| {
            let pick = |of: &[u64; 2]| of.get(index).copied().unwrap_or_default();
            let errors = pick(&self.errors) - pick(&before.errors);
            let missed = pick(&self.meter.missed) - pick(&before.meter.missed);
            let times = self
                .meter
                .callers
                .iter()
                .zip(&before.meter.callers)
                .nth(index);
            SideWindow {
                reads: hits + missed + errors,
                errors,
                hits,
                times: times
                    .map(|(now, before)| now.since(before))
                    .unwrap_or_default(),
                ..SideWindow::default()
            }
        };
        // Those that fell back were not asked of legacy as others were.
        let legacy_hits = (self.legacy_hits - before.legacy_hits).saturating_sub(fallbacks);
        let callers = [
            side(0, legacy_hits),
            side(1, self.new_hits - before.new_hits),
        ];
        let probes = self.meter.probes.iter().zip(&before.meter.probes);
        let mut probes = probes.map(|(now, before)| now.since(before));
        let probes = [
            probes.next().unwrap_or_default(),
            probes.next().unwrap_or_default(),
        ];
        let [legacy, new] = pick(state.stage, callers, probes, minimum);
        let changes = self.changes.saturating_sub(before.changes);
        // A set that failed is made good by a delete, which may fail as well: that is one change and not two.
        let failed_changes = (self.failed_changes - before.failed_changes).min(changes);
        Window {
            stage: state.stage,
            legacy,
            new,
            fallbacks,
            changes,
            failed_changes,
            compared: self.compared - before.compared,
            differed: self.differed - before.differed,
            ..Window::default()
        }
    }
}

/// Both sides must have been asked in the same way. Where callers asked both, they are what counts; where they
/// ask one of them only, the comparisons tell, which ask both.
fn pick(
    stage: Stage,
    callers: [SideWindow; 2],
    probes: [SideWindow; 2],
    minimum: u64,
) -> [SideWindow; 2] {
    let [legacy, new] = &callers;
    let both = legacy.reads.min(new.reads) >= minimum;
    if stage == Stage::Live && both {
        return callers;
    }
    let [probed_legacy, mut probed_new] = probes;
    if matches!(stage, Stage::Live | Stage::RampDown) && new.reads > probed_new.reads {
        let ratio = probed_new.hit_ratio();
        // What failed for callers counts, whatever the comparisons saw.
        (probed_new.reads, probed_new.errors) = (new.reads, new.errors);
        probed_new.hits = match stage {
            Stage::Live => new.hits,
            _ => (ratio * new.reads as f64) as u64,
        };
    }
    [probed_legacy, probed_new]
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    fn counted(&self) -> Counted {
        let errors = &self.counters.errors;
        let reads = |side| errors[(side, CacheOperation::Get)].value();
        let compared = |found| self.counters.shadow_reads[found].value();
        let differed = compared(Comparison::Differs);
        Counted {
            meter: self.meter.read(),
            legacy_hits: self.counters.legacy_hits.value(),
            new_hits: self.counters.new_hits.value(),
            fallbacks: self.counters.fallbacks.value(),
            errors: [reads(Side::Legacy), reads(Side::New)],
            changes: self.order.changes(),
            failed_changes: [CacheOperation::Set, CacheOperation::Delete]
                .map(|operation| errors[(Side::New, operation)].value())
                .iter()
                .sum(),
            compared: compared(Comparison::Same) + compared(Comparison::TtlDiffers) + differed,
            differed,
        }
    }

    /// Judges one window after another and does what they say; for ever.
    pub(crate) async fn fly(&self) {
        let clock = self.home.around.clock();
        let mut before = (self.counted(), clock.now());
        loop {
            let window = self.rules.get().pilot().window;
            clock.sleep(window.min(EVERY)).await;
            let Some((order, evidence)) = self.judge(&mut before) else {
                continue;
            };
            match order {
                Order::Stay => {}
                Order::Advance(why) => {
                    let because = Because {
                        by: None,
                        why,
                        evidence,
                    };
                    // It waits for changes that are under way; one that hangs must not keep it from judging.
                    let refused = tokio::select! {
                        taken = self.advance(because) => taken.err().map(|why| why.to_string()),
                        () = clock.sleep(window) => Some("changes are still under way".to_owned()),
                    };
                    if let Some(why) = refused {
                        self.pilot.course().refused(why);
                    }
                }
                Order::RollBack(why) => {
                    let because = Because {
                        by: None,
                        why,
                        evidence,
                    };
                    // It may be complete, or somebody was faster.
                    let _ = self.roll_back_because(because);
                }
                Order::Would(verdict, why) => self.would(verdict, why, evidence),
            }
        }
    }

    fn judge(&self, before: &mut (Counted, Instant)) -> Option<(Order, Vec<Ruling>)> {
        let now = self.home.around.clock().now();
        let rules = self.rules.get();
        let state = self.word().state();
        let mut course = self.pilot.course();
        if course.look(&state, now) {
            *before = (self.counted(), now);
            // The first step rests on nothing that a window could show.
            if state.stage != Stage::Off {
                return None;
            }
        } else if !course.is_due(now) {
            return None;
        }
        let counted = self.counted();
        let mut window = counted.since(&before.0, &state, rules.pilot().gates.minimum());
        window.took = now.saturating_duration_since(before.1);
        window.legacy.bytes = self.legacy.bytes().map(|bytes| bytes as f64);
        window.new.bytes = self.new.bytes().map(|bytes| bytes as f64);
        window.legacy.entries = self.legacy.entries().count;
        window.new.entries = self.new.entries().count;
        let order = course.judge(&state, &window, &self.pilot.bounds(), &rules.shares(), now)?;
        let evidence = course.last().map(|judged| {
            self.counters.windows[judged.finding].increment();
            judged.evidence.clone()
        });
        self.meter.adapt(window.new.reads.max(window.legacy.reads));
        *before = (counted, now);
        Some((order, evidence.unwrap_or_default()))
    }

    /// A dry run: says it, and takes no step.
    fn would(&self, verdict: Verdict, why: String, evidence: Vec<Ruling>) {
        let from = self.word();
        let (kind, to) = match verdict {
            Verdict::RollBack => (&event::WOULD_ROLL_BACK, from.rolled_back()),
            _ => (
                &event::WOULD_ADVANCE,
                from.settled().forward(&self.rules.get().shares()),
            ),
        };
        let to = to.unwrap_or(from);
        let because = Because {
            by: None,
            why,
            evidence,
        };
        self.note_opinion(kind, from, to, because);
    }
}
