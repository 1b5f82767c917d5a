use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, atomic::Ordering},
    time::{Duration, Instant},
};

use rs_core::{Clock, Name, humane};
use rs_metrics::pattern::{Home, Rules};
use tokio::sync::Notify;

use super::driver::Bell;
use crate::{
    GaveUp, ManagerConfig, RunEnd, event,
    run::{Executor, Life, Run, Stage},
    slot::Slot,
    tree::{Command, Ending, Id, Instance, Notice, Phase, Tree, Why},
};

/// What all handles of a manager share. Tasks hold it weakly: when the last handle is dropped, so are
/// they.
pub(crate) struct Inner {
    this: Weak<Self>,
    pub(crate) home: Home,
    pub(crate) rules: Rules<ManagerConfig>,
    pub(crate) clock: Clock,
    /// Something has changed that somebody may wait for.
    pub(super) changed: Notify,
    pub(super) bell: Arc<Bell>,
    pub(super) executor: OnceLock<Executor>,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(super) tree: Tree,
    pub(super) slots: HashMap<Id, Arc<Slot>, foldhash::fast::RandomState>,
    pub(super) gave_up: Option<GaveUp>,
    /// Somebody carries out commands, and will carry out all.
    executing: bool,
    /// A task looks after the time.
    pub(super) driving: bool,
    /// The executor drops our tasks: nothing can be started any more.
    gone: bool,
}

impl Inner {
    pub(super) fn new(home: Home, rules: Rules<ManagerConfig>) -> Arc<Self> {
        let config = rules.get();
        let dice = home.around.dice(home.name.as_str());
        let tree = Tree::new(Arc::new(config.root().clone()), config.lost_after(), dice);
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            clock: home.around.clock().clone(),
            home,
            rules,
            changed: Notify::new(),
            bell: Arc::default(),
            executor: OnceLock::new(),
            state: Mutex::new(State {
                tree,
                slots: HashMap::default(),
                gave_up: None,
                executing: false,
                driving: false,
                gone: false,
            }),
        })
    }

    pub(super) fn this(&self) -> Weak<Self> {
        Weak::clone(&self.this)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the tree and carries out what follows. No lock is held while it is carried out, and all of
    /// it is carried out in its order: by whoever does it already, if somebody does.
    pub(super) fn act<R>(&self, change: impl FnOnce(&mut State, Instant) -> R) -> R {
        let mut state = self.state();
        let due = state.tree.next_due();
        let result = change(&mut state, self.clock.now());
        let rings = state.tree.next_due() != due;
        let busy = std::mem::replace(&mut state.executing, true);
        drop(state);
        if rings {
            self.bell.ring();
        }
        if !busy {
            self.execute();
        }
        self.changed.notify_waiters();
        result
    }

    fn execute(&self) {
        // A few at a time, so that ten thousand do not take the lock ten thousand times.
        const BATCH: usize = 64;
        let mut batch = VecDeque::with_capacity(BATCH);
        loop {
            let mut state = self.state();
            while batch.len() < BATCH {
                let Some(command) = state.tree.next_command() else {
                    break;
                };
                let of = match command {
                    Command::Start { id, .. }
                    | Command::Drain { id, .. }
                    | Command::Tell { id, .. }
                    | Command::Abort { id, .. } => state.slots.get(&id).cloned(),
                    Command::Say(notice) => {
                        let said = self.hear(&mut state, notice);
                        batch.push_back((command, None, said));
                        continue;
                    }
                };
                batch.push_back((command, of, None));
            }
            if batch.is_empty() {
                state.executing = false;
                return;
            }
            let gone = state.gone;
            drop(state);
            for (command, slot, said) in batch.drain(..) {
                match slot {
                    Some(slot) => self.carry_out(command, &slot, gone),
                    None => said
                        .into_iter()
                        .for_each(|signal| self.home.record(|| signal)),
                }
            }
        }
    }

    fn carry_out(&self, command: Command, slot: &Arc<Slot>, gone: bool) {
        let run = slot.run();
        let this_run = |which| run.filter(|run| run.instance == which);
        match command {
            Command::Start { instance, .. } => self.launch(slot, instance, gone),
            Command::Drain { instance, .. } => {
                this_run(instance)
                    .into_iter()
                    .for_each(|run| run.advance(Stage::Draining));
                slot.changed.notify_waiters();
            }
            Command::Tell { instance, .. } => {
                this_run(instance)
                    .into_iter()
                    .for_each(|run| run.advance(Stage::Told));
                slot.changed.notify_waiters();
            }
            Command::Abort { instance, .. } => {
                let grace = slot.rules().grace();
                self.home.record(|| event::not_stopped(slot.name, grace));
                this_run(instance).into_iter().for_each(|run| run.abort());
                slot.changed.notify_waiters();
            }
            Command::Say(_) => {}
        }
    }

    fn launch(&self, slot: &Arc<Slot>, instance: Instance, gone: bool) {
        let Some(executor) = self.executor.get().filter(|_| !gone) else {
            // There is nothing to run it on, nor will there be.
            if let Some(id) = slot.id() {
                self.act(|state, now| {
                    state.tree.stop(id, Duration::ZERO, now);
                    state.tree.ended(id, instance, Ending::Failed, now);
                });
            }
            return;
        };
        let run = Arc::new(Run::new(instance, self.clock.now(), executor.clone()));
        slot.begin(Some(Arc::clone(&run)));
        run.keep(executor.start(Life::new(slot, &run, &self.clock)));
    }

    /// What is to be said of this.
    fn hear(&self, state: &mut State, notice: Notice) -> Option<rs_core::Signal> {
        let name = |id| match id {
            Tree::ROOT => self.home.name,
            id => state.tree.name(id),
        };
        match notice {
            Notice::Restart { id, wait, in_a_row } => {
                let slot = state.slots.get(&id);
                let last = slot.and_then(|slot| {
                    slot.numbers.restarts.fetch_add(1, Ordering::Relaxed);
                    slot.last()
                });
                Some(event::restarts(name(id), last.as_ref(), wait, in_a_row))
            }
            Notice::NotReady { id, limit } => Some(event::not_ready(name(id), limit)),
            Notice::Lost { id, .. } => {
                let slot = state.slots.get(&id)?;
                Some(event::lost(name(id), slot.blocked_in(self.clock.now())))
            }
            Notice::GaveUp {
                group,
                over,
                restarts,
                within,
            } => {
                let last = state.slots.get(&over).and_then(|slot| slot.last());
                let why = GaveUp {
                    over: name(over),
                    last: last.map(|last| last.end),
                    restarts,
                    within,
                };
                let signal = event::gave_up(name(group), &why);
                if group == Tree::ROOT {
                    state.gave_up = Some(why);
                }
                Some(signal)
            }
        }
    }

    /// Nothing of this run is left.
    pub(crate) fn ended(&self, slot: &Arc<Slot>, run: &Arc<Run>, end: RunEnd) {
        let Some(id) = slot.id() else { return };
        let now = self.clock.now();
        let how = match &end {
            RunEnd::Returned => Ending::Returned,
            _ => Ending::Failed,
        };
        slot.count_end(&end, now.saturating_duration_since(run.started), now);
        let dropped = end == RunEnd::Aborted && !run.was_aborted();
        slot.keep_last(end, now);
        let stays_off = self.act(|state, now| {
            if dropped {
                // Nobody but the executor drops our tasks: it shuts down.
                state.gone = true;
                state.tree.stop(Tree::ROOT, Duration::ZERO, now);
            }
            // The next run may begin as soon as the tree knows.
            slot.clear();
            state.tree.ended(id, run.instance, how, now);
            how == Ending::Failed && state.tree.phase(id) == Some(Phase::Off(Why::Failed))
        });
        if let Some(last) = slot.last().filter(|_| stays_off) {
            self.home.record(|| event::stays_off(slot.name, &last));
        }
    }

    pub(crate) fn ready(&self, id: Id, instance: Instance) {
        self.act(|state, now| state.tree.ready(id, instance, now));
    }

    pub(super) fn slot(&self, name: Name) -> Option<Arc<Slot>> {
        let state = self.state();
        let id = state.tree.find(name)?;
        state.slots.get(&id).cloned()
    }

    /// The workers in this, itself included.
    pub(super) fn slots_in(&self, id: Id) -> Vec<Arc<Slot>> {
        let state = self.state();
        let beneath = state.tree.beneath(id);
        beneath
            .iter()
            .filter_map(|id| state.slots.get(id).cloned())
            .collect()
    }
}

impl Slot {
    /// What blocks a thread, if something does.
    pub(crate) fn blocked_in(&self, now: Instant) -> Option<String> {
        let since = |time| humane::show_duration(time).to_string();
        if let Some(blocking) = self.run()?.brood.oldest_blocking() {
            let time = since(now.saturating_duration_since(blocking.since));
            return Some(format!("in spawn_blocking `{}` for {time}", blocking.what));
        }
        let place = self
            .vital
            .place(now)
            .map(|(place, _)| format!(", last at `{place}`"));
        let held = self.vital.holds_thread_for(now)?;
        Some(format!(
            "holds its executor thread for {}{}",
            since(held),
            place.unwrap_or_default()
        ))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        for slot in state.slots.values() {
            slot.run().into_iter().for_each(|run| run.abort());
            slot.changed.notify_waiters();
        }
        self.bell.ring();
    }
}
