use std::{collections::VecDeque, sync::Arc, time::Instant};

use rs_core::{Backoff, Delays, Name};

use crate::config::{GroupConfig, Restart, Strategy, WorkerConfig};

/// A worker or a group in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(pub(super) u32);

/// One start of a worker; no two are the same, also not of different workers.
pub(crate) type Instance = u64;

pub(super) struct Node {
    pub(super) name: Name,
    pub(super) parent: Option<Id>,
    /// What it, or its members, start after.
    pub(super) after: Vec<Name>,
    pub(super) kind: Kind,
    pub(super) timer: Option<Instant>,
    /// The waits of the present row of failures.
    pub(super) waits: Option<Box<Delays>>,
    pub(super) in_a_row: u32,
    /// As it was last told to its group.
    pub(super) flags: Flags,
    /// Its group restarts several and waits until this one is down.
    pub(super) awaited: bool,
    /// Whom it waits for before it starts, and whose end before it is told to stop.
    pub(super) blocked_on: Option<Id>,
    pub(super) held_by: Option<Id>,
    /// Who waits until this is ready, and until nothing in it is being stopped.
    pub(super) ready_watchers: Vec<Id>,
    pub(super) calm_watchers: Vec<Id>,
}

pub(super) enum Kind {
    Worker(Worker),
    Group(Box<Group>),
}

pub(super) struct Worker {
    pub(super) rules: Arc<WorkerConfig>,
    pub(super) phase: Phase,
}

pub(super) struct Group {
    pub(super) rules: Arc<GroupConfig>,
    pub(super) phase: GroupPhase,
    pub(super) members: Vec<Id>,
    /// When its members were restarted, as far back as it matters.
    pub(super) restarts: VecDeque<Instant>,
    /// Those that are restarted together.
    pub(super) cohort: Option<Cohort>,
    pub(super) up_since: Option<Instant>,
    pub(super) live: usize,
    pub(super) pending: usize,
    pub(super) stopping: usize,
}

/// Members that are stopped and started again together.
pub(super) struct Cohort {
    pub(super) members: Vec<Id>,
    /// How many of them are not down yet.
    pub(super) left: usize,
    pub(super) until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Phase {
    Off(Why),
    /// Starts as soon as what it depends on is ready.
    Waiting,
    /// Starts when its timer rings.
    Delayed,
    Running {
        instance: Instance,
        ready: bool,
        since: Instant,
    },
    Stopping {
        instance: Instance,
        started: Instant,
        since: Instant,
        step: Step,
        then: Then,
        drain: std::time::Duration,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum GroupPhase {
    Off(Why),
    Up,
    Delayed,
    Stopping(Then),
}

/// Why something is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was never started.
    New,
    /// Somebody stopped it: only somebody starts it again.
    Ordered,
    /// It was stopped together with its group, and comes back with it.
    Together,
    /// It returned.
    Finished,
    /// It failed and is not restarted.
    Failed,
    /// Too many restarts, and nobody above to ask.
    GivenUp,
}

/// How far the stop of a worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Others that build on it stop first.
    Held,
    /// It finishes what it has.
    Draining,
    /// It was told to stop.
    Told,
    /// Its task was aborted.
    Aborted,
    /// It goes on nevertheless: it blocks its thread.
    Lost,
}

/// What comes after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Off(Why),
    /// It is started again, by order.
    Again,
    /// It is treated as failed.
    Fail,
}

impl Then {
    /// What comes after a stop that is ordered while another is under way.
    pub(super) const fn overruled_by(self, later: Self) -> Self {
        match (self, later) {
            // Whoever was stopped by order does not come back with the others.
            (Self::Off(Why::Ordered), Self::Off(Why::Together)) => self,
            _ => later,
        }
    }
}

/// What the group of a node counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    /// Something of it runs.
    pub(super) live: bool,
    /// It is on its way and not ready.
    pub(super) pending: bool,
    /// Something of it is being stopped, and will be.
    pub(super) stopping: bool,
    pub(super) ready: bool,
}

impl Node {
    pub(super) fn new(name: Name, parent: Option<Id>, after: Vec<Name>, kind: Kind) -> Self {
        Self {
            name,
            parent,
            after,
            kind,
            timer: None,
            waits: None,
            in_a_row: 0,
            flags: Flags::default(),
            awaited: false,
            blocked_on: None,
            held_by: None,
            ready_watchers: Vec::new(),
            calm_watchers: Vec::new(),
        }
    }

    pub(super) fn restart(&self) -> Restart {
        match &self.kind {
            Kind::Worker(worker) => worker.rules.restart(),
            Kind::Group(group) => group.rules.restart(),
        }
    }

    pub(super) fn backoff(&self) -> &Backoff {
        match &self.kind {
            Kind::Worker(worker) => worker.rules.backoff(),
            Kind::Group(group) => group.rules.backoff(),
        }
    }

    pub(super) fn group(&self) -> Option<&Group> {
        match &self.kind {
            Kind::Group(group) => Some(group),
            Kind::Worker(_) => None,
        }
    }

    pub(super) fn group_mut(&mut self) -> Option<&mut Group> {
        match &mut self.kind {
            Kind::Group(group) => Some(group),
            Kind::Worker(_) => None,
        }
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        match &self.kind {
            Kind::Worker(worker) => Some(worker.phase),
            Kind::Group(_) => None,
        }
    }

    pub(super) fn group_phase(&self) -> Option<GroupPhase> {
        self.group().map(|group| group.phase)
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.group()
            .is_some_and(|group| group.rules.strategy() == Strategy::RestForOne)
    }

    /// A restart of its group does not bring it back.
    pub(super) fn stays_away(&self) -> bool {
        let off = match &self.kind {
            Kind::Worker(worker) => match worker.phase {
                Phase::Off(why) => why,
                _ => return false,
            },
            Kind::Group(group) => match group.phase {
                GroupPhase::Off(why) => why,
                _ => return false,
            },
        };
        match off {
            Why::Ordered => true,
            Why::New => false,
            _ => self.restart() == Restart::Temporary,
        }
    }

    pub(super) fn present_flags(&self) -> Flags {
        let comes_back = self.restart() != Restart::Temporary;
        match &self.kind {
            Kind::Worker(worker) => match worker.phase {
                Phase::Off(why) => Flags {
                    pending: why.is_pending(comes_back),
                    ready: why == Why::Finished,
                    ..Flags::default()
                },
                Phase::Waiting | Phase::Delayed => Flags {
                    pending: true,
                    ..Flags::default()
                },
                Phase::Running { ready, .. } => Flags {
                    live: true,
                    pending: !ready,
                    stopping: false,
                    ready,
                },
                Phase::Stopping { step, .. } => Flags {
                    live: true,
                    pending: true,
                    stopping: step != Step::Lost,
                    ready: false,
                },
            },
            Kind::Group(group) => {
                let pending = match group.phase {
                    GroupPhase::Off(why) => why.is_pending(comes_back),
                    GroupPhase::Up => group.pending > 0,
                    GroupPhase::Delayed | GroupPhase::Stopping(_) => true,
                };
                Flags {
                    live: group.live > 0 || matches!(group.phase, GroupPhase::Stopping(_)),
                    pending,
                    stopping: group.stopping > 0,
                    ready: group.phase == GroupPhase::Up && group.pending == 0,
                }
            }
        }
    }
}

impl Why {
    const fn is_pending(self, comes_back: bool) -> bool {
        match self {
            Self::New => true,
            Self::Together => comes_back,
            Self::Ordered | Self::Finished | Self::Failed | Self::GivenUp => false,
        }
    }
}
