//! OTP's supervisors, one thing after the other as in `supervisor.erl`: a stop takes no time, a restart
//! neither. What differs from OTP is said where it does.

use rs_workers::{Restart, Strategy};

#[derive(Debug, Clone)]
pub(crate) enum Spec {
    Worker(Restart),
    Group {
        strategy: Strategy,
        restart: Restart,
        restarts: u32,
        within: u64,
        members: Vec<Spec>,
    },
}

#[derive(Debug)]
pub(crate) struct Child {
    restart: Restart,
    what: What,
    runs: bool,
    /// Somebody stopped it. OTP starts it again with the others; here it stays so.
    ordered: bool,
    /// A temporary child that has gone is forgotten.
    forgotten: bool,
}

#[derive(Debug)]
enum What {
    Worker { who: usize, starts: usize },
    Group(Supervisor),
}

#[derive(Debug)]
struct Supervisor {
    strategy: Strategy,
    restarts: u32,
    within: u64,
    history: Vec<u64>,
    children: Vec<Child>,
}

/// The outermost supervisor.
#[derive(Debug)]
pub(crate) struct Otp {
    root: Supervisor,
    pub(crate) gave_up: bool,
}

impl Child {
    pub(crate) fn worker(who: usize, restart: Restart) -> Self {
        Self::new(restart, What::Worker { who, starts: 0 })
    }

    pub(crate) fn group(
        strategy: Strategy,
        restart: Restart,
        restarts: u32,
        within: u64,
        children: Vec<Self>,
    ) -> Self {
        let group = Supervisor {
            strategy,
            restarts,
            within,
            history: Vec::new(),
            children,
        };
        Self::new(restart, What::Group(group))
    }

    fn new(restart: Restart, what: What) -> Self {
        Self {
            restart,
            what,
            runs: false,
            ordered: false,
            forgotten: false,
        }
    }

    /// Starts it, if it is there to be started.
    fn start(&mut self) {
        if self.runs || self.ordered || self.forgotten {
            return;
        }
        self.runs = true;
        match &mut self.what {
            What::Worker { starts, .. } => *starts += 1,
            // A supervisor that is started has no memory of restarts; it has one of its children's
            // specifications.
            What::Group(group) => group.start(),
        }
    }

    /// Terminates it together with others.
    fn terminate(&mut self) {
        if self.restart == Restart::Temporary && self.runs {
            self.forgotten = true;
        }
        self.runs = false;
        if let What::Group(group) = &mut self.what {
            group.terminate();
        }
    }

    fn holds(&self, whom: usize) -> bool {
        match &self.what {
            What::Worker { who, .. } => *who == whom,
            What::Group(group) => group.children.iter().any(|child| child.holds(whom)),
        }
    }
}

/// Whether a supervisor terminates itself.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    GivesUp,
}

impl Supervisor {
    fn start(&mut self) {
        self.history.clear();
        self.children.iter_mut().for_each(Child::start);
    }

    fn terminate(&mut self) {
        // A supervisor dies with what it knew: its temporary children have gone.
        self.children.iter_mut().rev().for_each(Child::terminate);
    }

    /// A worker somewhere in here ended.
    fn ended(&mut self, who: usize, failed: bool, now: u64) -> Verdict {
        let Some(place) = self.children.iter().position(|child| child.holds(who)) else {
            return Verdict::Stays;
        };
        let child = &mut self.children[place];
        let failed = match &mut child.what {
            What::Worker { .. } => failed,
            What::Group(group) => match group.ended(who, failed, now) {
                Verdict::Stays => return Verdict::Stays,
                // Here a supervisor that gave up has failed. In OTP it exits with `shutdown`, which is a
                // normal end for a transient child.
                Verdict::GivesUp => {
                    group.terminate();
                    true
                }
            },
        };
        child.runs = false;
        match child.restart {
            Restart::Permanent => {}
            Restart::Transient if failed => {}
            Restart::Transient => return Verdict::Stays,
            Restart::Temporary => {
                child.forgotten = true;
                return Verdict::Stays;
            }
        }
        if !self.add_restart(now) {
            return Verdict::GivesUp;
        }
        let from = match self.strategy {
            Strategy::OneForOne => {
                self.children[place].start();
                return Verdict::Stays;
            }
            Strategy::OneForAll => 0,
            Strategy::RestForOne => place,
        };
        self.children[from..]
            .iter_mut()
            .rev()
            .for_each(Child::terminate);
        self.children[from..].iter_mut().for_each(Child::start);
        Verdict::Stays
    }

    /// Whether one more restart is borne.
    fn add_restart(&mut self, now: u64) -> bool {
        self.history.push(now);
        let within = self.within;
        self.history.retain(|then| now - then <= within);
        self.history.len() <= self.restarts as usize
    }

    fn find(&mut self, whom: usize) -> Option<&mut Child> {
        for child in &mut self.children {
            if !child.holds(whom) {
                continue;
            }
            return match child.what {
                What::Worker { .. } => Some(child),
                What::Group(ref mut group) => group.find(whom),
            };
        }
        None
    }

    /// Whether every supervisor above this worker runs.
    fn is_up(&self, whom: usize) -> bool {
        self.children
            .iter()
            .filter(|child| child.holds(whom))
            .all(|child| match &child.what {
                What::Worker { .. } => true,
                What::Group(group) => child.runs && group.is_up(whom),
            })
    }

    fn each(&self, see: &mut impl FnMut(usize, bool, usize)) {
        for child in &self.children {
            match &child.what {
                What::Worker { who, starts } => see(*who, child.runs, *starts),
                What::Group(group) => group.each(see),
            }
        }
    }
}

impl Otp {
    pub(crate) fn new(
        strategy: Strategy,
        restarts: u32,
        within: u64,
        children: Vec<Child>,
    ) -> Self {
        Self {
            root: Supervisor {
                strategy,
                restarts,
                within,
                history: Vec::new(),
                children,
            },
            gave_up: false,
        }
    }

    pub(crate) fn start(&mut self) {
        self.root.start();
    }

    pub(crate) fn ended(&mut self, who: usize, failed: bool, now: u64) {
        if self.root.ended(who, failed, now) == Verdict::GivesUp {
            self.root.terminate();
            self.gave_up = true;
        }
    }

    pub(crate) fn stopped(&mut self, who: usize) {
        if let Some(child) = self.root.find(who) {
            (child.runs, child.ordered) = (false, true);
        }
    }

    /// Here starting a worker by name raises the groups above it, which OTP does not know.
    pub(crate) fn may_start(&self, who: usize) -> bool {
        self.root.is_up(who)
    }

    pub(crate) fn started(&mut self, who: usize) {
        if let Some(child) = self.root.find(who) {
            // By order what has gone for good comes back, too.
            (child.ordered, child.forgotten) = (false, false);
            child.start();
        }
    }

    pub(crate) fn running(&self, workers: usize) -> Vec<bool> {
        let mut all = vec![false; workers];
        self.root.each(&mut |who, runs, _| all[who] = runs);
        all
    }

    pub(crate) fn starts(&self, workers: usize) -> Vec<usize> {
        let mut all = vec![0; workers];
        self.root.each(&mut |who, _, starts| all[who] = starts);
        all
    }
}
