//! How things start and stop.

use std::time::{Duration, Instant};

use rs_core::Deadline;

use super::{
    Command, Ending, GroupPhase, Id, Instance, Notice, Phase, Step, Task, Then, Tree, Why,
    node::{Kind, Node},
};

impl Tree {
    /// Starts this and what is in it, by order: also what somebody had stopped.
    pub(crate) fn start(&mut self, id: Id, now: Instant) {
        self.gave_up &= id != Self::ROOT;
        self.raise(id, now);
        self.start_node(id, true, now);
        self.settle(now);
    }

    /// Stops this and what is in it. It may finish what it has for as long as `drain` says.
    pub(crate) fn stop(&mut self, id: Id, drain: Duration, now: Instant) {
        self.stop_node(id, Then::Off(Why::Ordered), drain, now);
        self.settle(now);
    }

    /// Stops this and starts it again; nothing counts as failed.
    pub(crate) fn restart(&mut self, id: Id, now: Instant) {
        self.raise(id, now);
        match self.is_live(id) {
            true => self.stop_node(id, Then::Again, Duration::ZERO, now),
            false => self.start_node(id, true, now),
        }
        self.settle(now);
    }

    /// Stops everything at once: nobody has time left.
    pub(crate) fn kill(&mut self, now: Instant) {
        self.stop_node(Self::ROOT, Then::Off(Why::Ordered), Duration::ZERO, now);
        for id in self.beneath(Self::ROOT) {
            if let Some(Phase::Stopping { step, .. }) = self.phase(id)
                && !matches!(step, Step::Aborted | Step::Lost)
            {
                self.step(id, Step::Aborted, now);
            }
        }
        self.settle(now);
    }

    /// This instance is ready.
    pub(crate) fn ready(&mut self, id: Id, which: Instance, now: Instant) {
        if let Some(Phase::Running {
            instance,
            ready: false,
            since,
        }) = self.phase(id)
            && instance == which
        {
            self.set_timer(id, None);
            self.set_phase(
                id,
                Phase::Running {
                    instance,
                    ready: true,
                    since,
                },
            );
            self.settle(now);
        }
    }

    /// This instance is to be treated as failed.
    pub(crate) fn condemn(&mut self, id: Id, which: Instance, now: Instant) {
        if matches!(self.phase(id), Some(Phase::Running { instance, .. }) if instance == which) {
            self.stop_node(id, Then::Fail, Duration::ZERO, now);
            self.settle(now);
        }
    }

    /// Nothing of this instance is left.
    pub(crate) fn ended(&mut self, id: Id, which: Instance, how: Ending, now: Instant) {
        match self.phase(id) {
            Some(Phase::Running {
                instance, since, ..
            }) if instance == which => {
                self.set_timer(id, None);
                self.judge(id, how, now.saturating_duration_since(since), now);
            }
            Some(Phase::Stopping {
                instance,
                started,
                step,
                then,
                ..
            }) if instance == which => {
                self.set_timer(id, None);
                if step == Step::Lost {
                    self.lost = self.lost.saturating_sub(1);
                }
                match then {
                    Then::Off(why) => self.set_off(id, why),
                    Then::Again => self.queue(id),
                    Then::Fail => {
                        let ran = now.saturating_duration_since(started);
                        self.judge(id, Ending::Failed, ran, now);
                    }
                }
            }
            _ => {}
        }
        self.settle(now);
    }

    /// The groups around it are up, without their other members.
    fn raise(&mut self, id: Id, now: Instant) {
        let Some(parent) = self.node(id).and_then(|node| node.parent) else {
            return;
        };
        self.raise(parent, now);
        match self.group_phase(parent) {
            Some(GroupPhase::Delayed) => self.start_node(parent, false, now),
            Some(GroupPhase::Off(_)) => self.lift(parent, now),
            _ => {}
        }
    }

    fn lift(&mut self, id: Id, now: Instant) {
        self.set_timer(id, None);
        if let Some(group) = self.group_mut(id) {
            group.up_since = Some(now);
            // As in OTP a group that is started knows nothing of what was before.
            group.restarts.clear();
        }
        self.set_group_phase(id, GroupPhase::Up);
    }

    /// Starts this and what is in it. Unless it is by order, what somebody had stopped stays so.
    pub(super) fn start_node(&mut self, id: Id, by_order: bool, now: Instant) {
        let Some(node) = self.node(id) else { return };
        if !by_order && node.stays_away() {
            return;
        }
        match &node.kind {
            Kind::Worker(worker) => match worker.phase {
                Phase::Off(_) | Phase::Delayed => self.queue(id),
                Phase::Stopping { .. } if by_order => self.overrule(id, Then::Again, None),
                _ => {}
            },
            Kind::Group(group) => match group.phase {
                GroupPhase::Off(_) | GroupPhase::Delayed => {
                    self.lift(id, now);
                    self.start_members(id, by_order, now);
                }
                GroupPhase::Up if by_order => self.start_members(id, by_order, now),
                GroupPhase::Stopping(_) if by_order => {
                    self.set_group_phase(id, GroupPhase::Stopping(Then::Again));
                }
                _ => {}
            },
        }
    }

    fn start_members(&mut self, id: Id, by_order: bool, now: Instant) {
        for member in self.members(id).to_vec() {
            // What is restarted together waits for the others.
            if !self.is_in_cohort(id, member) {
                self.start_node(member, by_order, now);
            }
        }
    }

    fn is_in_cohort(&self, group: Id, member: Id) -> bool {
        let cohort = self
            .node(group)
            .and_then(Node::group)
            .and_then(|group| group.cohort.as_ref());
        cohort.is_some_and(|cohort| cohort.members.contains(&member))
    }

    fn queue(&mut self, id: Id) {
        self.set_timer(id, None);
        self.set_phase(id, Phase::Waiting);
        self.tasks.push_back(Task::TryStart(id));
    }

    pub(super) fn try_start(&mut self, id: Id, now: Instant) {
        if self.phase(id) != Some(Phase::Waiting) || self.is_blocked(id) {
            return;
        }
        let Some(Node {
            kind: Kind::Worker(worker),
            ..
        }) = self.node(id)
        else {
            return;
        };
        let limit = worker.rules.time_to_be_ready();
        self.instances += 1;
        let instance = self.instances;
        let phase = Phase::Running {
            instance,
            ready: limit.is_none(),
            since: now,
        };
        self.set_timer(id, limit.map(|limit| Deadline::after(now, limit).moment()));
        self.commands.push_back(Command::Start { id, instance });
        self.set_phase(id, phase);
    }

    pub(super) fn stop_node(&mut self, id: Id, then: Then, drain: Duration, now: Instant) {
        match self.node(id).map(|node| &node.kind) {
            Some(Kind::Worker(_)) => self.stop_worker(id, then, drain, now),
            Some(Kind::Group(_)) => self.stop_group(id, then, drain, now),
            None => {}
        }
    }

    fn stop_worker(&mut self, id: Id, then: Then, drain: Duration, now: Instant) {
        match self.phase(id) {
            Some(Phase::Running {
                instance, since, ..
            }) => {
                self.set_timer(id, None);
                let phase = Phase::Stopping {
                    instance,
                    started: since,
                    since: now,
                    step: Step::Held,
                    then,
                    drain,
                };
                self.set_phase(id, phase);
                self.tasks.push_back(Task::TryStop(id));
            }
            Some(Phase::Stopping { .. }) => {
                self.overrule(id, then, Some(drain));
                self.tasks.push_back(Task::TryStop(id));
            }
            Some(Phase::Waiting | Phase::Delayed) => match then {
                Then::Off(why) => {
                    self.set_timer(id, None);
                    self.set_phase(id, Phase::Off(why));
                }
                Then::Again => self.queue(id),
                Then::Fail => {}
            },
            Some(Phase::Off(_)) if then == Then::Off(Why::Ordered) => {
                self.set_phase(id, Phase::Off(Why::Ordered));
            }
            _ => {}
        }
    }

    /// Another end to a stop that is under way.
    fn overrule(&mut self, id: Id, later: Then, shorter: Option<Duration>) {
        if let Some(Node {
            kind: Kind::Worker(worker),
            ..
        }) = self.node_mut(id)
            && let Phase::Stopping { then, drain, .. } = &mut worker.phase
        {
            *then = then.overruled_by(later);
            *drain = shorter.map_or(*drain, |shorter| shorter.min(*drain));
        }
        self.refresh(id);
    }

    fn stop_group(&mut self, id: Id, then: Then, drain: Duration, now: Instant) {
        match self.group_phase(id) {
            Some(GroupPhase::Up) => {
                self.disband(id);
                self.set_timer(id, None);
                self.set_group_phase(id, GroupPhase::Stopping(then));
            }
            Some(GroupPhase::Stopping(before)) => {
                let then = before.overruled_by(then);
                self.set_group_phase(id, GroupPhase::Stopping(then));
            }
            Some(GroupPhase::Delayed) => {
                self.set_timer(id, None);
                match then {
                    Then::Off(why) => self.set_group_phase(id, GroupPhase::Off(why)),
                    Then::Again => self.start_node(id, false, now),
                    Then::Fail => {}
                }
                return;
            }
            Some(GroupPhase::Off(_)) if then == Then::Off(Why::Ordered) => {
                return self.set_group_phase(id, GroupPhase::Off(Why::Ordered));
            }
            _ => return,
        }
        for member in self.members(id).iter().rev().copied().collect::<Vec<_>>() {
            self.stop_node(member, Then::Off(Why::Together), drain, now);
        }
        self.tasks.push_back(Task::Check(id));
    }

    /// Nobody is restarted together with others any more.
    fn disband(&mut self, id: Id) {
        let cohort = self.group_mut(id).and_then(|group| group.cohort.take());
        for member in cohort.into_iter().flat_map(|cohort| cohort.members) {
            if let Some(node) = self.node_mut(member) {
                node.awaited = false;
            }
        }
    }

    pub(super) fn try_stop(&mut self, id: Id, now: Instant) {
        let Some(Phase::Stopping { step, drain, .. }) = self.phase(id) else {
            return;
        };
        match step {
            Step::Held if self.is_held(id) => {}
            Step::Held if !drain.is_zero() => self.step(id, Step::Draining, now),
            Step::Held => self.step(id, Step::Told, now),
            Step::Draining if drain.is_zero() => self.step(id, Step::Told, now),
            _ => {}
        }
    }

    /// The next step of a stop, and when the one after it is due.
    fn step(&mut self, id: Id, to: Step, now: Instant) {
        let Some(Node {
            kind: Kind::Worker(worker),
            ..
        }) = self.node_mut(id)
        else {
            return;
        };
        let grace = worker.rules.grace();
        let Phase::Stopping {
            instance,
            step,
            drain,
            ..
        } = &mut worker.phase
        else {
            return;
        };
        *step = to;
        let (instance, drain) = (*instance, *drain);
        let (command, limit) = match to {
            Step::Draining => (Command::Drain { id, instance }, Some(drain)),
            Step::Told => (Command::Tell { id, instance }, Some(grace)),
            Step::Aborted => (Command::Abort { id, instance }, Some(self.lost_after)),
            Step::Lost | Step::Held => (Command::Say(Notice::Lost { id, instance }), None),
        };
        self.commands.push_back(command);
        self.set_timer(id, limit.map(|limit| Deadline::after(now, limit).moment()));
        if to == Step::Lost {
            self.lost += 1;
        }
        self.refresh(id);
    }

    /// The timer of this rang.
    pub(super) fn ring(&mut self, id: Id, now: Instant) {
        match self.phase(id) {
            Some(Phase::Delayed) => self.queue(id),
            Some(Phase::Running { ready: false, .. }) => {
                let Some(Node {
                    kind: Kind::Worker(worker),
                    ..
                }) = self.node(id)
                else {
                    return;
                };
                let limit = worker.rules.time_to_be_ready().unwrap_or_default();
                self.say(Notice::NotReady { id, limit });
                self.stop_worker(id, Then::Fail, Duration::ZERO, now);
            }
            Some(Phase::Stopping { step, .. }) => match step {
                Step::Draining => self.step(id, Step::Told, now),
                Step::Told => self.step(id, Step::Aborted, now),
                Step::Aborted => self.step(id, Step::Lost, now),
                Step::Held | Step::Lost => {}
            },
            Some(_) => {}
            None if self.group_phase(id) == Some(GroupPhase::Delayed) => {
                self.start_node(id, false, now);
            }
            None => self.tasks.push_back(Task::Check(id)),
        }
    }

    /// Whoever waited until this is down goes on.
    pub(super) fn told_down(&mut self, id: Id, now: Instant) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        if node.flags.live {
            return;
        }
        let awaited = std::mem::take(&mut node.awaited);
        let Some(parent) = node.parent else { return };
        if awaited
            && let Some(cohort) = self
                .group_mut(parent)
                .and_then(|group| group.cohort.as_mut())
        {
            cohort.left = cohort.left.saturating_sub(1);
        }
        self.check(parent, now);
    }

    /// Whether all that a group waits for is down.
    pub(super) fn check(&mut self, id: Id, now: Instant) {
        let Some(group) = self.node(id).and_then(Node::group) else {
            return;
        };
        match group.phase {
            GroupPhase::Stopping(then) if group.live == 0 => self.stopped(id, then, now),
            GroupPhase::Up => {
                let due = |cohort: &super::node::Cohort| cohort.left == 0 && cohort.until <= now;
                if group.cohort.as_ref().is_some_and(due) {
                    self.restart_cohort(id, now);
                }
            }
            _ => {}
        }
    }

    fn restart_cohort(&mut self, id: Id, now: Instant) {
        self.set_timer(id, None);
        let cohort = self.group_mut(id).and_then(|group| group.cohort.take());
        for member in cohort.into_iter().flat_map(|cohort| cohort.members) {
            self.start_node(member, false, now);
        }
    }

    /// All members of a group are down.
    fn stopped(&mut self, id: Id, then: Then, now: Instant) {
        match then {
            Then::Off(why) => self.set_group_phase(id, GroupPhase::Off(why)),
            Then::Again => {
                self.set_group_phase(id, GroupPhase::Off(Why::New));
                self.start_node(id, false, now);
            }
            Then::Fail => {
                let up = self
                    .node(id)
                    .and_then(Node::group)
                    .and_then(|group| group.up_since);
                let ran = up.map_or(Duration::ZERO, |up| now.saturating_duration_since(up));
                self.set_group_phase(id, GroupPhase::Off(Why::Together));
                self.judge(id, Ending::Failed, ran, now);
            }
        }
    }
}
