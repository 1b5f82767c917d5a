//! A replica in its fleet: visits, follows, proposes.

use std::{sync::atomic::Ordering, time::Duration};

use rs_core::Mandate;

use super::{Heard, Joined, Known, Ordered, Proposal, Refused, Seen, Standing, Visit, Waiting};
use crate::{
    CacheAdapter, MigrationKey, MigrationState, Side, Stage, StepRefused, event, inner::Inner,
    state::Word, steps::Because,
};

impl<K, V, L, N> Inner<K, V, L, N> {
    /// The others may go on without this one, and may have.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.fleet.is_joined() && !self.fleet.is_good(self.elapsed())
    }

    /// Where nobody can wait: what is legal is done at the next visit, which comes at once.
    pub(crate) fn order_of_fleet(
        &self,
        what: Ordered,
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        let word = self.word();
        if let Some(why) = &self.fleet.heard().away {
            return Err(StepRefused::RecordAway(why.clone()));
        }
        next(what, word.settled(), &self.rules.get().shares())?;
        let since = self.elapsed();
        let order = Waiting {
            what,
            because,
            at: word.bare(),
            since,
        };
        if !self.fleet.order(order) {
            return Err(StepRefused::Overtaken);
        }
        self.fleet.woken.notify_one();
        Ok(word.state())
    }

    /// Why the last step here was taken, for those who hear of it.
    fn why_last(&self) -> String {
        let ledger = self.ledger();
        let last = ledger.decisions().rfind(|decision| decision.taken);
        last.map(|last| told(&last.why, last.by.as_ref()))
            .unwrap_or_default()
    }
}

fn told(why: &str, by: Option<&Mandate>) -> String {
    match by {
        Some(by) => format!("{why}, {by}"),
        None => why.to_owned(),
    }
}

fn next(what: Ordered, word: Word, shares: &[u16]) -> Result<Word, StepRefused> {
    match what {
        Ordered::Forward => word.forward(shares),
        Ordered::Back => word.back(shares),
        Ordered::Share(share) => word.with_share(share),
        Ordered::Release if word.is_held() => Ok(word.released()),
        Ordered::Release => Err(StepRefused::Off),
    }
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    /// Visits again and again, and does what was ordered in between; for ever.
    pub(crate) async fn stay_in_fleet(&self) {
        let clock = self.home.around.clock();
        loop {
            let Some(joined) = self.fleet.joined() else {
                self.fleet.woken.notified().await;
                continue;
            };
            let heard = self.visit(joined).await;
            self.carry_out(joined).await;
            // While some wait for others to acknowledge.
            let soon = heard.is_ok_and(|behind| behind || self.fleet.heard().waiting > 0);
            let pause = match soon {
                true => joined.every / 10,
                false => joined.every,
            };
            tokio::select! {
                () = clock.sleep(pause) => {}
                () = self.fleet.woken.notified() => {}
            }
        }
    }

    /// What was ordered; again, if others are not ready for it, but not for ever.
    async fn carry_out(&self, joined: &Joined) {
        let Some(order) = self.fleet.ordered().take() else {
            return;
        };
        let because = order.because.clone();
        let Err(refused) = self.propose(joined, order.what, order.at, because).await else {
            return;
        };
        let waited = Duration::from_nanos(self.elapsed().saturating_sub(order.since));
        match refused {
            StepRefused::Behind(_) | StepRefused::TooSoon(_) | StepRefused::Unsettled
                if waited < joined.lease * 2 =>
            {
                self.fleet.order(order);
            }
            refused => self.pilot.course().refused(refused.to_string()),
        }
    }

    /// Says where it stands, hears where all shall stand, and goes there; whether there is something to
    /// acknowledge yet.
    ///
    /// # Errors
    /// Why the record could not be reached.
    pub(crate) async fn visit(&self, joined: &Joined) -> Result<bool, String> {
        let mut known = self.fleet.known.lock().await;
        self.try_settle();
        let word = self.word();
        let stands = word.bare() == known.word.bare();
        let acknowledges = stands && word.is_settled();
        let why = self.why_last();
        let began = self.elapsed();
        let visit = Visit {
            replica: &joined.replica,
            lease: joined.lease,
            revision: known.revision,
            acknowledges,
            standing: known.word.standing_of(),
            rolled_back: (!stands && word.is_held()).then_some((word.epoch(), why.as_str())),
        };
        let seen = match joined.store.visit(visit).await {
            Ok(seen) => seen,
            Err(error) => {
                self.missed(error.to_string());
                return Err(error.to_string());
            }
        };
        // Before the others may think so, by clocks that go nearly alike.
        let good = u64::try_from(joined.lease.as_nanos() * 3 / 4).unwrap_or(u64::MAX);
        self.fleet
            .until
            .store(began.saturating_add(good), Ordering::Release);
        self.hear(&seen);
        if seen.revision == known.revision {
            if acknowledges && seen.waiting == 0 && !seen.young {
                self.fleet
                    .agreed
                    .store(known.word.bare(), Ordering::Release);
            }
            return Ok(!acknowledges);
        }
        self.go_to(&mut known, &seen).await;
        self.try_settle();
        Ok(true)
    }

    fn hear(&self, seen: &Seen) {
        let mut heard = self.fleet.heard();
        if heard.away.is_some() {
            self.home.record(|| event::RECORD_BACK.signal(self.name()));
        }
        *heard = Heard {
            live: seen.live,
            waiting: seen.waiting,
            lost: seen.lost,
            revision: seen.revision,
            away: None,
            cut_off: false,
        };
    }

    fn missed(&self, why: String) {
        let mut heard = self.fleet.heard();
        if heard.away.is_none() {
            self.home.record(|| event::record_away(self.name(), &why));
        }
        if self.is_cut_off() && !heard.cut_off {
            heard.cut_off = true;
            self.home.record(|| event::CUT_OFF.signal(self.name()));
        }
        heard.away = Some(why);
    }

    /// Stands where the record says.
    async fn go_to(&self, known: &mut Known, seen: &Seen) {
        let target = seen.standing;
        loop {
            let word = self.word();
            let strayed = word.is_held() && word.bare() != known.word.bare();
            if target.is(&word.state(), word.share()) {
                (known.revision, known.word) = (seen.revision, word);
                return;
            }
            let next = word.moved_to(target);
            if strayed && !target.held && target.stage != Stage::Complete {
                // It went back while this was on its way, and says so at the next visit.
                (known.revision, known.word) = (seen.revision, next);
                return;
            }
            if self.clears_before(word, next).await.is_err() {
                // It acknowledges nothing before that has worked.
                return;
            }
            if word.stage() == Stage::Off {
                self.doubts.forget(Side::New);
            }
            let because = Because {
                by: None,
                why: format!("by the fleet: {}", seen.why),
                evidence: Vec::new(),
            };
            if self.move_to(word, next, because) {
                (known.revision, known.word) = (seen.revision, next);
                return;
            }
        }
    }

    /// A cache of this process alone that cannot keep the number of the try.
    async fn clears_before(&self, word: Word, next: Word) -> Result<(), crate::CacheError> {
        let begins = word.stage() == Stage::Off || word.epoch() != next.epoch();
        match begins && next.writes_both() && !self.new_can.epochs && !self.shared {
            true => self.new.clear().await,
            false => Ok(()),
        }
    }

    /// Wants all to take a step from where this one stood when that was decided. Two pilots that see enough at the
    /// same moment must not take two steps.
    pub(crate) async fn propose(
        &self,
        joined: &Joined,
        what: Ordered,
        at: u64,
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        // What it has not acknowledged nobody can build on.
        if self.visit(joined).await.map_err(StepRefused::RecordAway)? {
            self.visit(joined).await.map_err(StepRefused::RecordAway)?;
        }
        let mut known = self.fleet.known.lock().await;
        let word = self.word();
        if word.bare() != known.word.bare() || word.bare() != at {
            return Err(StepRefused::Overtaken);
        }
        let rules = self.rules.get();
        let step = next(what, word, &rules.shares())?;
        let at_once = matches!(what, Ordered::Release);
        let left = rules.propagation().saturating_sub(self.stands_for());
        let is_first = word.epoch() == rules.epoch() && word.stage() == Stage::Off;
        if !left.is_zero() && !is_first && !at_once {
            return Err(StepRefused::TooSoon(left));
        }
        let proposal = Proposal {
            lease: joined.lease,
            revision: known.revision,
            standing: step.standing_of(),
            why: &told(&because.why, because.by.as_ref()),
            at_once,
        };
        let answer = joined.store.propose(proposal).await;
        let answer = answer.map_err(|error| StepRefused::RecordAway(error.to_string()))?;
        answer.map_err(|refused| match refused {
            Refused::Overtaken => StepRefused::Overtaken,
            Refused::Waiting(count) => StepRefused::Behind(count),
            Refused::Young(left) => StepRefused::TooSoon(left),
            Refused::Lost(count) => StepRefused::Lost(count),
        })?;
        if word.stage() == Stage::Off && step.writes_both() {
            self.doubts.forget(Side::New);
        }
        known.revision += 1;
        known.word = step;
        // If it went back at this moment, it says so at the next visit. Nobody else moves it meanwhile, but it
        // may settle.
        let mut now = word;
        while now.bare() == word.bare() && !self.move_to(now, step, because.clone()) {
            now = self.word();
        }
        drop(known);
        self.try_settle();
        // The others need not wait for the next visit; if this one fails, that will do.
        let _ = self.visit(joined).await;
        Ok(self.word().state())
    }

    /// The same after an order that waits for the answer.
    pub(crate) async fn step_of_fleet(
        &self,
        joined: &Joined,
        what: Ordered,
        at: u64,
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        if matches!(what, Ordered::Forward) && self.word().stage() == Stage::Off {
            self.word().forward(&[])?;
            if !self.new_can.epochs {
                let cleared = self.new.clear().await;
                cleared.map_err(|error| StepRefused::NotCleared(error.to_string()))?;
            }
        }
        let state = self.propose(joined, what, at, because).await?;
        self.settle().await;
        Ok(state)
    }

    #[cfg(feature = "redis")]
    pub(crate) async fn join_fleet(
        &self,
        fleet: super::RedisFleet,
    ) -> Result<MigrationState, super::FleetError> {
        use super::FleetError;
        fleet.check().map_err(FleetError::Config)?;
        let start = Word::start(self.rules.get().epoch());
        let joined = fleet.member(self.name().as_str());
        if self.word() != start || self.fleet.joined.set(joined).is_err() {
            return Err(FleetError::TooLate);
        }
        self.fleet.woken.notify_one();
        let Some(joined) = self.fleet.joined() else {
            return Err(FleetError::Alone);
        };
        while self.visit(joined).await.map_err(FleetError::Away)? {}
        Ok(self.word().state())
    }

    #[cfg(feature = "redis")]
    pub(crate) async fn forget_lost(&self) -> Result<u64, super::FleetError> {
        use super::FleetError;
        let joined = self.fleet.joined().ok_or(FleetError::Alone)?;
        let forgotten = joined.store.forget().await;
        forgotten.map_err(|error| FleetError::Away(error.to_string()))
    }

    /// Writes nothing any more, and need not be waited for.
    pub(crate) async fn leave_fleet(&self) {
        if let Some(joined) = self.fleet.joined() {
            let _known = self.fleet.known.lock().await;
            self.fleet.until.store(0, Ordering::Release);
            // If it cannot be told, the lease tells.
            let _ = joined.store.leave(&joined.replica).await;
        }
    }
}

impl Word {
    /// What a record says of it.
    pub(crate) fn standing_of(self) -> Standing {
        Standing {
            stage: self.stage(),
            share: self.share(),
            epoch: self.epoch(),
            held: self.is_held(),
        }
    }
}
