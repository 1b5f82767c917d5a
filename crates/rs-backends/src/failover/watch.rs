use std::{
    sync::Arc,
    task::{Context, Poll},
};

use rs_core::{Severity, SignalKind};
use rs_metrics::{Counter, Family};

use super::{
    FailoverConfig,
    side::{Choice, Side, Sight},
};
use crate::{
    Backend, BackendError, InstanceSet, Standing, in_force::InForce, metrics::Believed, part::Part,
    set::Shown, station::Station, timer::Timer, watch::Watching,
};

static GIVEN_UP: SignalKind = SignalKind::new(
    "backend",
    "failed_over",
    Severity::Warning,
    "has given its primary registry up for the secondary",
);

static TAKEN_BACK: SignalKind = SignalKind::new(
    "backend",
    "failed_back",
    Severity::Info,
    "believes its primary registry again",
);

/// A watch of the primary, and of the secondary while it is needed.
pub(super) struct Pair {
    pub(super) station: Arc<Station>,
    pub(super) service: String,
    pub(super) primary: Part,
    pub(super) backup: Arc<dyn Backend>,
    pub(super) secondary: Option<Part>,
    pub(super) choice: Choice,
    pub(super) config: Arc<InForce<FailoverConfig>>,
    pub(super) timer: Timer,
    pub(super) shown: Shown,
    pub(super) switches: Family<Counter, Believed>,
}

impl Pair {
    fn sight(&self) -> Sight {
        let known = self.primary.latest();
        let answers = |set: &InstanceSet| !matches!(set.standing(), Standing::Kept(_));
        let primary = known.as_ref().is_some_and(answers);
        let kept = known.as_ref().is_some_and(|set| !set.is_empty());
        let second = self.secondary.as_ref().and_then(Part::latest);
        // One that does not know the service must not empty what is kept.
        let secondary = second
            .as_ref()
            .is_some_and(|set| answers(set) && (!set.is_empty() || !kept));
        // Before the first failure nobody knows whether it is away.
        let undecided = known.is_none() && self.primary.trouble().is_none();
        Sight {
            primary: primary || undecided,
            kept: known.is_some(),
            secondary,
        }
    }

    fn view(&self) -> Option<InstanceSet> {
        let secondary = self.secondary.as_ref().and_then(Part::latest);
        let secondary = secondary.filter(|_| self.choice.side() == Side::Secondary);
        secondary.or_else(|| self.primary.latest())
    }

    /// Looks at both until nothing changes any more.
    fn look(&mut self, context: &mut Context<'_>) {
        let clock = self.station.clock().clone();
        self.choice.go_by(&self.config.get());
        loop {
            self.primary.poll(context);
            if let Some(secondary) = &mut self.secondary {
                secondary.poll(context);
            }
            let sight = self.sight();
            if self.choice.see(clock.now(), sight) {
                self.announce();
            }
            if self.choice.wants_secondary() != self.secondary.is_some() {
                // Nobody is asked who is not needed.
                let wanted = self.choice.wants_secondary();
                let watch = wanted.then(|| self.backup.watch(&self.service).ok());
                self.secondary = watch.flatten().map(Part::new);
                if self.secondary.is_some() {
                    continue;
                }
            }
            let due = self.choice.due().filter(|due| *due > clock.now());
            if self.timer.poll(&clock, due, context).is_pending() {
                return;
            }
        }
    }

    fn announce(&self) {
        let home = self.station.home();
        let (kind, believed) = match self.choice.side() {
            Side::Primary => (&TAKEN_BACK, Believed::Primary),
            Side::Secondary => (&GIVEN_UP, Believed::Secondary),
        };
        home.record(|| kind.signal(home.name));
        self.switches[believed].increment();
    }
}

impl Watching for Pair {
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        if self.station.open().is_ok() {
            self.look(context);
        }
        let second_ended = self.secondary.as_ref().is_none_or(Part::has_ended);
        if self.station.open().is_err() || (self.primary.has_ended() && second_ended) {
            return Poll::Ready(None);
        }
        match self.view().and_then(|set| self.shown.news(set)) {
            Some(set) => {
                self.station.published(*set.standing() == Standing::Doubted);
                Poll::Ready(Some(set))
            }
            None => Poll::Pending,
        }
    }

    fn latest(&self) -> Option<InstanceSet> {
        self.view().map(|set| self.shown.alike(set))
    }

    fn trouble(&self) -> Option<BackendError> {
        self.primary.trouble()
    }
}
