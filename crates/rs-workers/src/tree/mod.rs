//! Who runs, who is to run, and what follows when somebody ends: all of it, without tasks and clocks.
//!
//! The tree is told what happened and when; it answers with [`Command`]s. OTP's rules are in `judge.rs`,
//! starting and stopping in `life.rs`, the order in which that happens in `order.rs`.

mod judge;
mod life;
mod look;
mod node;
mod order;

pub(crate) use node::{GroupPhase, Id, Instance, Phase, Step, Then, Why};
pub(crate) use order::OrderError;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use rs_core::Name;

use self::node::{Flags, Group, Kind, Node, Worker};
use crate::config::{GroupConfig, WorkerConfig};

pub(crate) struct Tree {
    nodes: Vec<Option<Node>>,
    free: Vec<Id>,
    names: HashMap<Name, Id, foldhash::fast::RandomState>,
    /// Who starts after what has this name, also before anything has it.
    wanted_by: HashMap<Name, Vec<Id>, foldhash::fast::RandomState>,
    timers: BTreeSet<(Instant, Id)>,
    tasks: VecDeque<Task>,
    commands: VecDeque<Command>,
    instances: Instance,
    lost: usize,
    /// The outermost group had too many restarts since it was last started.
    gave_up: bool,
    lost_after: Duration,
    dice: Rng,
}

/// What is to be done to the workers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Command {
    Start { id: Id, instance: Instance },
    Drain { id: Id, instance: Instance },
    Tell { id: Id, instance: Instance },
    Abort { id: Id, instance: Instance },
    Say(Notice),
}

/// What people should know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Notice {
    /// This worker or group ended and is started again.
    Restart {
        id: Id,
        wait: Duration,
        in_a_row: u32,
    },
    /// It was not ready in time.
    NotReady { id: Id, limit: Duration },
    /// It was aborted and goes on nevertheless.
    Lost { id: Id, instance: Instance },
    /// This group had too many restarts, the last one of that member.
    GaveUp {
        group: Id,
        over: Id,
        restarts: u32,
        within: Duration,
    },
}

/// How a worker ended by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Returned,
    Failed,
}

/// What is looked at before an operation is over.
enum Task {
    Ready(Id),
    Calm(Id),
    Down(Id),
    TryStart(Id),
    TryStop(Id),
    Check(Id),
}

impl Tree {
    pub(crate) const ROOT: Id = Id(0);

    pub(crate) fn new(root: Arc<GroupConfig>, lost_after: Duration, dice: Rng) -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            free: Vec::new(),
            names: HashMap::default(),
            wanted_by: HashMap::default(),
            timers: BTreeSet::new(),
            tasks: VecDeque::new(),
            commands: VecDeque::new(),
            instances: 0,
            lost: 0,
            gave_up: false,
            lost_after,
            dice,
        };
        let kind = Kind::Group(Box::new(Group::new(root)));
        tree.nodes
            .push(Some(Node::new(Name::of(""), None, Vec::new(), kind)));
        tree.refresh(Self::ROOT);
        tree.tasks.clear();
        tree
    }

    /// Adds a worker, off.
    pub(crate) fn add_worker(
        &mut self,
        parent: Id,
        name: Name,
        rules: Arc<WorkerConfig>,
    ) -> Result<Id, OrderError> {
        let after = rules.dependencies().collect();
        let phase = Phase::Off(Why::New);
        self.add(parent, name, after, Kind::Worker(Worker { rules, phase }))
    }

    /// Adds a group without members.
    pub(crate) fn add_group(
        &mut self,
        parent: Id,
        name: Name,
        rules: Arc<GroupConfig>,
    ) -> Result<Id, OrderError> {
        let after = rules.dependencies().collect();
        self.add(
            parent,
            name,
            after,
            Kind::Group(Box::new(Group::new(rules))),
        )
    }

    fn add(
        &mut self,
        parent: Id,
        name: Name,
        after: Vec<Name>,
        kind: Kind,
    ) -> Result<Id, OrderError> {
        if self.names.contains_key(&name) {
            return Err(OrderError::Duplicate(name));
        }
        if self.node(parent).and_then(Node::group).is_none() {
            return Err(OrderError::NoGroup);
        }
        let node = Some(Node::new(name, Some(parent), after, kind));
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(place) = self.nodes.get_mut(id.0 as usize) {
                    *place = node;
                }
                id
            }
            None => {
                let id = Id(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
                self.nodes.push(node);
                id
            }
        };
        self.names.insert(name, id);
        if let Some(group) = self.group_mut(parent) {
            group.members.push(id);
        }
        self.want(id);
        if let Err(cycle) = self.check_cycle(id) {
            self.forget(id);
            return Err(cycle);
        }
        self.refresh(id);
        Ok(id)
    }

    /// Takes something away that is down, with all that is in it.
    pub(crate) fn remove(&mut self, id: Id, now: Instant) -> Result<Vec<Id>, OrderError> {
        let beneath = self.beneath(id);
        for &each in &beneath {
            let Some(node) = self.node(each) else {
                continue;
            };
            if node.flags.live {
                return Err(OrderError::Running(node.name));
            }
            let wanted = self.wanted_by.get(&node.name);
            let by = wanted.and_then(|by| by.iter().find(|by| !beneath.contains(by)));
            if let Some(by) = by.and_then(|by| self.node(*by)) {
                return Err(OrderError::Needed {
                    name: node.name,
                    by: by.name,
                });
            }
        }
        for &each in beneath.iter().rev() {
            self.set_off(each, Why::Ordered);
            self.set_timer(each, None);
            self.forget(each);
        }
        self.settle(now);
        Ok(beneath)
    }

    fn forget(&mut self, id: Id) {
        let Some(node) = self.nodes.get_mut(id.0 as usize).and_then(Option::take) else {
            return;
        };
        self.names.remove(&node.name);
        self.unwant(id, &node.after);
        if let Some(group) = node.parent.and_then(|parent| self.group_mut(parent)) {
            group.members.retain(|member| *member != id);
            if let Some(cohort) = &mut group.cohort {
                cohort.members.retain(|member| *member != id);
            }
        }
        self.free.push(id);
    }

    fn want(&mut self, id: Id) {
        let names = self.node(id).map(|node| node.after.clone());
        for name in names.unwrap_or_default() {
            self.wanted_by.entry(name).or_default().push(id);
        }
    }

    fn unwant(&mut self, id: Id, names: &[Name]) {
        for name in names {
            if let Some(by) = self.wanted_by.get_mut(name) {
                by.retain(|by| *by != id);
                if by.is_empty() {
                    self.wanted_by.remove(name);
                }
            }
        }
    }

    /// Gives a worker other rules; they count from its next step on.
    pub(crate) fn set_rules(
        &mut self,
        id: Id,
        rules: Arc<WorkerConfig>,
        now: Instant,
    ) -> Result<(), OrderError> {
        let after: Vec<Name> = rules.dependencies().collect();
        let Some(before) = self.node(id).map(|node| node.after.clone()) else {
            return Err(OrderError::NoGroup);
        };
        self.rewire(id, &before, after.clone());
        if let Err(cycle) = self.check_cycle(id) {
            self.rewire(id, &after, before);
            return Err(cycle);
        }
        if let Some(node) = self.node_mut(id) {
            node.waits = None;
            if let Kind::Worker(worker) = &mut node.kind {
                worker.rules = rules;
            }
        }
        self.refresh(id);
        self.tasks.push_back(Task::TryStart(id));
        self.settle(now);
        Ok(())
    }

    fn rewire(&mut self, id: Id, before: &[Name], after: Vec<Name>) {
        self.unwant(id, before);
        if let Some(node) = self.node_mut(id) {
            node.after = after;
        }
        self.want(id);
    }

    /// Gives the outermost group other rules.
    pub(crate) fn set_root(&mut self, root: Arc<GroupConfig>, lost_after: Duration) {
        self.lost_after = lost_after;
        if let Some(group) = self.group_mut(Self::ROOT) {
            group.rules = root;
        }
    }

    /// What is to be done, the oldest first.
    pub(crate) fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When time alone changes something next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some(&(due, id)) = self.timers.first() {
            if due > now {
                break;
            }
            self.set_timer(id, None);
            self.ring(id, now);
            self.settle(now);
        }
        self.settle(now);
    }

    fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id.0 as usize)?.as_ref()
    }

    fn node_mut(&mut self, id: Id) -> Option<&mut Node> {
        self.nodes.get_mut(id.0 as usize)?.as_mut()
    }

    fn group_mut(&mut self, id: Id) -> Option<&mut Group> {
        self.node_mut(id)?.group_mut()
    }

    fn set_timer(&mut self, id: Id, timer: Option<Instant>) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut node.timer, timer);
        if let Some(before) = before {
            self.timers.remove(&(before, id));
        }
        if let Some(timer) = timer {
            self.timers.insert((timer, id));
        }
    }

    fn set_phase(&mut self, id: Id, phase: Phase) {
        if let Some(Node {
            kind: Kind::Worker(worker),
            ..
        }) = self.node_mut(id)
        {
            worker.phase = phase;
        }
        self.refresh(id);
    }

    fn set_group_phase(&mut self, id: Id, phase: GroupPhase) {
        if let Some(group) = self.group_mut(id) {
            group.phase = phase;
        }
        self.refresh(id);
    }

    fn set_off(&mut self, id: Id, why: Why) {
        match self.phase(id) {
            Some(_) => self.set_phase(id, Phase::Off(why)),
            None => self.set_group_phase(id, GroupPhase::Off(why)),
        }
    }

    /// Tells the groups above what has become of this, and whoever waits for it.
    fn refresh(&mut self, mut id: Id) {
        loop {
            let Some(node) = self.node_mut(id) else {
                return;
            };
            let flags = node.present_flags();
            let before = std::mem::replace(&mut node.flags, flags);
            if flags == before {
                return;
            }
            let parent = node.parent;
            let went = |was: bool, is: bool| was && !is;
            if went(before.live, flags.live) {
                self.tasks.push_back(Task::Down(id));
            }
            if went(before.stopping, flags.stopping) {
                self.tasks.push_back(Task::Calm(id));
            }
            if flags.ready && !before.ready {
                self.tasks.push_back(Task::Ready(id));
            }
            let Some(parent) = parent else { return };
            if let Some(group) = self.group_mut(parent) {
                group.count(before, flags);
            }
            id = parent;
        }
    }

    /// Looks at everything that follows.
    fn settle(&mut self, now: Instant) {
        while let Some(task) = self.tasks.pop_front() {
            match task {
                Task::Ready(id) => self.told_ready(id),
                Task::Calm(id) => self.told_calm(id),
                Task::Down(id) => self.told_down(id, now),
                Task::TryStart(id) => self.try_start(id, now),
                Task::TryStop(id) => self.try_stop(id, now),
                Task::Check(id) => self.check(id, now),
            }
        }
    }

    fn say(&mut self, notice: Notice) {
        self.commands.push_back(Command::Say(notice));
    }
}

impl Group {
    fn new(rules: Arc<GroupConfig>) -> Self {
        Self {
            rules,
            phase: GroupPhase::Off(Why::New),
            members: Vec::new(),
            restarts: VecDeque::new(),
            cohort: None,
            up_since: None,
            live: 0,
            pending: 0,
            stopping: 0,
        }
    }

    fn count(&mut self, before: Flags, now: Flags) {
        let change = |count: &mut usize, was: bool, is: bool| match (was, is) {
            (false, true) => *count += 1,
            (true, false) => *count = count.saturating_sub(1),
            _ => {}
        };
        change(&mut self.live, before.live, now.live);
        change(&mut self.pending, before.pending, now.pending);
        change(&mut self.stopping, before.stopping, now.stopping);
    }
}
