//! OTP's rules: what follows when a member of a group ends.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use rs_core::Deadline;

use super::{
    Ending, GroupPhase, Id, Notice, Phase, Task, Then, Tree, Why,
    node::{Cohort, Kind, Node},
};
use crate::config::{Restart, Strategy};

impl Tree {
    /// A member ended, after it ran for so long. Is it restarted, and who with it?
    pub(super) fn judge(&mut self, id: Id, how: Ending, ran: Duration, now: Instant) {
        let Some(node) = self.node(id) else { return };
        let comes_back = match node.restart() {
            Restart::Permanent => true,
            Restart::Transient => how == Ending::Failed,
            Restart::Temporary => false,
        };
        // The outermost group is nobody's member.
        let (Some(parent), true) = (node.parent, comes_back) else {
            return self.set_off(id, how.why());
        };
        if let Some((restarts, within)) = self.is_too_much(parent, now) {
            self.set_off(id, Why::Together);
            return self.give_up(parent, id, restarts, within, now);
        }
        let Some(wait) = self.next_wait(id, ran) else {
            // Its waits have come to their end.
            return self.set_off(id, how.why());
        };
        let in_a_row = self.node(id).map_or(0, |node| node.in_a_row);
        self.say(Notice::Restart { id, wait, in_a_row });
        let until = Deadline::after(now, wait).moment();
        let strategy = self
            .node(parent)
            .and_then(Node::group)
            .map(|group| group.rules.strategy());
        match strategy.unwrap_or_default() {
            Strategy::OneForOne => self.restart_alone(id, until, now),
            Strategy::OneForAll => self.restart_from(parent, id, 0, until, now),
            Strategy::RestForOne => {
                let place = self
                    .members(parent)
                    .iter()
                    .rposition(|member| *member == id);
                self.restart_from(parent, id, place.unwrap_or(0), until, now);
            }
        }
    }

    /// Counts a restart; how many there were within which time, if that is beyond the limit.
    fn is_too_much(&mut self, group: Id, now: Instant) -> Option<(u32, Duration)> {
        let group = self.group_mut(group)?;
        let (limit, within) = {
            let intensity = group.rules.intensity();
            (intensity.restarts(), intensity.within())
        };
        let is_old = |at: &Instant| now.saturating_duration_since(*at) > within;
        while group.restarts.front().is_some_and(is_old) {
            group.restarts.pop_front();
        }
        group.restarts.push_back(now);
        let restarts = u32::try_from(group.restarts.len()).unwrap_or(u32::MAX);
        (restarts > limit).then_some((restarts, within))
    }

    /// How long to wait before the next restart, if there is to be one.
    fn next_wait(&mut self, id: Id, ran: Duration) -> Option<Duration> {
        let seed = self.dice.u64(..);
        let node = self.node_mut(id)?;
        let healthy = match &node.kind {
            Kind::Worker(worker) => worker.rules.time_to_be_healthy(),
            Kind::Group(group) => group.rules.intensity().within(),
        };
        if ran >= healthy {
            node.waits = None;
        }
        if node.waits.is_none() {
            node.in_a_row = 0;
            let dice = fastrand::Rng::with_seed(seed);
            node.waits = Some(Box::new(node.backoff().delays_by(dice)));
        }
        node.in_a_row = node.in_a_row.saturating_add(1);
        node.waits.as_mut()?.next()
    }

    fn restart_alone(&mut self, id: Id, until: Instant, now: Instant) {
        match self.phase(id) {
            Some(_) => self.set_phase(id, Phase::Delayed),
            None => self.set_group_phase(id, GroupPhase::Delayed),
        }
        self.set_timer(id, Some(until));
        if until <= now {
            self.set_timer(id, None);
            self.ring(id, now);
        }
    }

    /// Restarts the members of a group from this place on together, and those that already wait for it.
    fn restart_from(&mut self, group: Id, failed: Id, from: usize, until: Instant, now: Instant) {
        self.set_off(failed, Why::Together);
        let before = self.group_mut(group).and_then(|group| group.cohort.take());
        let before: HashSet<Id> = before
            .into_iter()
            .flat_map(|cohort| cohort.members)
            .collect();
        let members: Vec<Id> = self
            .members(group)
            .iter()
            .enumerate()
            .filter(|(place, id)| *place >= from || before.contains(id))
            .map(|(_, id)| *id)
            .filter(|id| !self.is_out(*id))
            .collect();
        let mut left = 0;
        for &member in members.iter().rev() {
            self.stop_node(member, Then::Off(Why::Together), Duration::ZERO, now);
            let live = self.is_live(member);
            left += usize::from(live);
            if let Some(node) = self.node_mut(member) {
                node.awaited = live;
            }
        }
        if let Some(group) = self.group_mut(group) {
            group.cohort = Some(Cohort {
                members,
                left,
                until,
            });
        }
        self.set_timer(group, Some(until));
        self.tasks.push_back(Task::Check(group));
    }

    /// Whether it was never started, or somebody stopped it.
    fn is_out(&self, id: Id) -> bool {
        let out = |why| matches!(why, Why::New | Why::Ordered);
        match (self.phase(id), self.group_phase(id)) {
            (Some(Phase::Off(why)), _) | (_, Some(GroupPhase::Off(why))) => out(why),
            _ => false,
        }
    }

    /// A group has had too many restarts: it stops what it has, and fails in turn.
    fn give_up(&mut self, group: Id, over: Id, restarts: u32, within: Duration, now: Instant) {
        self.say(Notice::GaveUp {
            group,
            over,
            restarts,
            within,
        });
        self.gave_up |= group == Self::ROOT;
        let then = match group == Self::ROOT {
            true => Then::Off(Why::GivenUp),
            false => Then::Fail,
        };
        self.stop_node(group, then, Duration::ZERO, now);
    }
}

impl Ending {
    const fn why(self) -> Why {
        match self {
            Self::Returned => Why::Finished,
            Self::Failed => Why::Failed,
        }
    }
}
