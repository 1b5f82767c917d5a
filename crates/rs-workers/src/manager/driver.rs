use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use rs_core::{Clock, unless};
use tokio::sync::Notify;

use super::inner::Inner;
use crate::{
    WhenGivenUp, WhenStuck, event,
    tree::{Phase, Tree},
};

/// Wakes the task that looks after the time.
#[derive(Debug, Default)]
pub(crate) struct Bell(Notify);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.notify_one();
    }
}

/// When it has to look again.
enum Next {
    At(Instant),
    Never,
}

/// How often it looks whether somebody hogs a thread.
const ROUND: Duration = Duration::from_secs(1);
/// And how long it leaves them alone at least.
const BREATH: Duration = Duration::from_millis(10);

/// Looks after the time as long as something runs: ends waits and graces, finds who is stuck.
pub(super) async fn drive(manager: Weak<Inner>, bell: Arc<Bell>, clock: Clock) {
    let mut watch = clock.now();
    loop {
        let rung = bell.0.notified();
        let Some(inner) = manager.upgrade() else {
            return;
        };
        let next = inner.turn(&mut watch);
        drop(inner);
        match next {
            Next::At(moment) => {
                unless(clock.sleep_until(moment), rung).await;
            }
            Next::Never => return,
        }
    }
}

impl Inner {
    /// Starts the task if it does not run.
    pub(super) fn keep_driving(&self) {
        let Some(executor) = self.executor.get() else {
            return;
        };
        if !std::mem::replace(&mut self.state().driving, true) {
            let (weak, bell) = (self.this(), Arc::clone(&self.bell));
            executor.start(drive(weak, bell, self.clock.clone()));
        }
    }

    fn turn(&self, watch: &mut Instant) -> Next {
        self.act(|state, now| state.tree.tick(now));
        let now = self.clock.now();
        if now >= *watch {
            *watch = self.watch(now);
        }
        let mut state = self.state();
        let due = state.tree.next_due();
        // Whoever blocks a thread does not keep the process.
        let ends = state.tree.gave_up() && state.tree.is_calm(Tree::ROOT);
        let is_over = state.tree.running() == 0 && due.is_none();
        state.driving = !is_over;
        drop(state);
        if let (true, WhenGivenUp::Exit(code)) = (ends, self.rules.get().then()) {
            std::process::exit(code.into());
        }
        if is_over {
            self.changed.notify_waiters();
            return Next::Never;
        }
        Next::At(due.map_or(*watch, |due| due.min(*watch)))
    }

    /// Looks for those that are stuck or hog a thread, and ends pauses; when to look again.
    fn watch(&self, now: Instant) -> Instant {
        let mut next = now + ROUND;
        let mut sooner = |moment: Instant| next = next.min(moment.max(now + BREATH));
        for slot in self.slots_in(Tree::ROOT) {
            if let Some(until) = slot.paused_until() {
                match until <= now {
                    true => {
                        if let Some(name) = slot.resume(now) {
                            self.home.record(|| event::resumed(name, None));
                        }
                    }
                    false => sooner(until),
                }
            }
            slot.watch_poll(now);
            let rules = slot.rules();
            let (Some(limit), Some(run), Some(id)) =
                (rules.time_to_be_stuck(), slot.run(), slot.id())
            else {
                continue;
            };
            let silent = slot.silent_for(now).unwrap_or_default();
            if silent < limit {
                if slot.vital.stuck.swap(false, Ordering::Relaxed) {
                    self.home.record(|| event::recovered(slot.name));
                }
                sooner(now + (limit - silent));
                continue;
            }
            let runs = matches!(self.state().tree.phase(id), Some(Phase::Running { .. }));
            if runs && !slot.vital.stuck.swap(true, Ordering::Relaxed) {
                slot.numbers.stuck.fetch_add(1, Ordering::Relaxed);
                let place = slot.vital.place(now);
                self.home.record(|| event::stuck(&slot, silent, place));
                if rules.when_stuck() == WhenStuck::Restart {
                    self.act(|state, now| state.tree.condemn(id, run.instance, now));
                }
            }
        }
        next
    }
}
