//! What people see of workers, and how they steer them through the directory.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Deadline, Inspect, Label, Mandate, Name, Value,
};

use super::{ANNOUNCED, Inner};
use crate::{
    ManagerConfig, WorkerStatus,
    metrics::{RunOutcome, WorkerState},
    slot::Slot,
    tree::{Phase, Step, Tree},
};

impl Inner {
    pub(super) fn reconfigure(&self, config: ManagerConfig) -> Result<u64, ConfigError> {
        let root = Arc::new(config.root().clone());
        let lost_after = config.lost_after();
        let version = self.rules.replace(&self.home, &ANNOUNCED, config, |_| ())?;
        self.act(|state, _| state.tree.set_root(root, lost_after));
        Ok(version)
    }
}

impl Slot {
    pub(crate) fn state(&self) -> WorkerState {
        let phase = self
            .manager
            .upgrade()
            .zip(self.id())
            .and_then(|(manager, id)| manager.state().tree.phase(id));
        match phase {
            None | Some(Phase::Off(_)) => WorkerState::Off,
            Some(Phase::Waiting) => WorkerState::Waiting,
            Some(Phase::Delayed) => WorkerState::Delayed,
            Some(Phase::Stopping {
                step: Step::Lost, ..
            }) => WorkerState::Lost,
            Some(Phase::Stopping { .. }) => WorkerState::Stopping,
            Some(Phase::Running { .. }) if self.vital.stuck.load(Ordering::Relaxed) => {
                WorkerState::Stuck
            }
            Some(Phase::Running { .. }) if self.is_paused() => WorkerState::Paused,
            Some(Phase::Running { ready: false, .. }) => WorkerState::Starting,
            Some(Phase::Running { .. }) => WorkerState::Ready,
        }
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        let state = self.state();
        let manager = self.manager.upgrade();
        let now = manager.as_ref().map(|manager| manager.clock.now());
        let age = |at| now.map(|now| now.saturating_duration_since(at));
        let run = self.run();
        let timer = manager.as_ref().zip(self.id()).and_then(|(manager, id)| {
            let state = manager.state();
            (state.tree.phase(id) == Some(Phase::Delayed)).then(|| state.tree.timer(id))?
        });
        let waits_for = manager.as_ref().zip(self.id()).and_then(|(manager, id)| {
            let state = manager.state();
            state.tree.waits_for(id).map(|other| state.tree.name(other))
        });
        WorkerStatus {
            name: self.name,
            state,
            run: run.as_ref().map(|run| run.instance),
            running_for: run.as_ref().and_then(|run| age(run.started)),
            tasks: run.as_ref().map_or(0, |run| run.brood.len()),
            restarts: self.numbers.restarts.load(Ordering::Relaxed),
            stuck: self.numbers.stuck.load(Ordering::Relaxed),
            last_end: self.last().map(|last| last.end),
            last_success: now
                .filter(|_| self.numbers.has_succeeded())
                .map(|now| self.numbers.last_success_ago(&self.vital, now)),
            at: now
                .and_then(|now| self.vital.place(now))
                .map(|(place, _)| place.into_owned()),
            silent_for: now
                .zip(run.as_ref())
                .and_then(|(now, _)| self.silent_for(now)),
            restarts_in: now
                .zip(timer)
                .map(|(now, due)| Deadline::at(due).remaining(now)),
            waits_for,
            paused: self.paused_by().map(|by| (*by).clone()),
        }
    }
}

static ACTIONS: &[ActionSpec] = &[
    ActionSpec::new(
        "pause",
        "stands still where it can, until it is resumed or the order runs out",
    ),
    ActionSpec::new("resume", "goes on after a pause"),
    ActionSpec::new("run_now", "runs now instead of when its time comes"),
    ActionSpec::new(
        "restart",
        "stops and starts again; nothing counts as failed",
    ),
    ActionSpec::new("start", "starts"),
    ActionSpec::new("stop", "stops and stays off until it is started"),
];

impl Inspect for Slot {
    fn kind(&self) -> &'static str {
        "worker"
    }

    fn name(&self) -> Name {
        self.name
    }

    fn snapshot(&self) -> Value {
        let status = self.status();
        let runs = RunOutcome::ALL
            .iter()
            .map(|it| (it.as_str(), self.numbers.runs(*it).into()));
        let text = |text: Option<String>| text.map(Value::from);
        Value::map([
            ("state", Value::from(status.state.as_str())),
            ("run", status.run.into()),
            ("running_for", status.running_for.into()),
            ("runs", Value::map(runs)),
            ("restarts", status.restarts.into()),
            ("stuck", status.stuck.into()),
            ("hogs", self.numbers.hogs.load(Ordering::Relaxed).into()),
            (
                "last_end",
                text(status.last_end.map(|end| end.to_string())).into(),
            ),
            ("last_success", status.last_success.into()),
            ("at", text(status.at).into()),
            ("silent_for", status.silent_for.into()),
            ("restarts_in", status.restarts_in.into()),
            ("waits_for", status.waits_for.into()),
            (
                "paused",
                text(status.paused.map(|by| by.to_string())).into(),
            ),
            ("tasks", status.tasks.into()),
        ])
    }

    fn actions(&self) -> &'static [ActionSpec] {
        ACTIONS
    }

    fn control(&self, action: &Action, by: &Mandate) -> Result<(), ControlError> {
        action.check(ACTIONS)?;
        let gone = || ControlError::NotNow("its manager is gone".to_owned());
        let manager = self.manager.upgrade().ok_or_else(gone)?;
        let id = self.id().ok_or_else(gone)?;
        if manager.executor.get().is_none() && matches!(action.name(), "restart" | "start") {
            return Err(ControlError::NotNow(
                "its manager has not started anything".to_owned(),
            ));
        }
        let this = |id| manager.slots_in(id);
        match action.name() {
            "pause" => manager.pause(&this(id), self.name, by.clone()),
            "resume" => manager.resume(&this(id), self.name, by.clone()),
            "run_now" => self.want_run(),
            "restart" => manager.act(|state, now| state.tree.restart(id, now)),
            "start" => manager.act(|state, now| state.tree.start(id, now)),
            _ => manager.act(|state, now| state.tree.stop(id, Duration::ZERO, now)),
        }
        manager.keep_driving_if_needed();
        Ok(())
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("worker_manager");

    fn snapshot(&self) -> Value {
        let slots: Vec<Arc<Slot>> = self.state().slots.values().cloned().collect();
        let mut counts = vec![0_u64; WorkerState::ALL.len()];
        for slot in &slots {
            if let Some(count) = counts.get_mut(slot.state().index()) {
                *count += 1;
            }
        }
        let states = WorkerState::ALL
            .iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0);
        let (pending, gave_up) = {
            let state = self.state();
            (state.tree.is_pending(Tree::ROOT), state.gave_up.clone())
        };
        Value::map([
            ("workers", Value::from(slots.len())),
            (
                "states",
                Value::map(states.map(|(state, count)| (state.as_str(), count.into()))),
            ),
            ("all_ready", (!pending).into()),
            (
                "gave_up",
                gave_up.map(|why| Value::from(why.to_string())).into(),
            ),
            ("config_version", self.rules.version().into()),
        ])
    }
}
