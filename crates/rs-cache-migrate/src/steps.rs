//! How a migration moves from stage to stage.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use rs_core::{Mandate, Share, Signal, SignalKind};

use crate::{
    CacheAdapter, MigrationKey, MigrationState, Ruling, Side, Stage, StepRefused, event,
    fleet::Ordered,
    inner::Inner,
    ledger::{Decision, Ledger},
    state::{ALL, Word, hundredths},
    sync::Ordering,
};

/// By whose order, if by anybody's, and why.
#[derive(Debug, Clone)]
pub(crate) struct Because {
    pub(crate) by: Option<Mandate>,
    pub(crate) why: String,
    pub(crate) evidence: Vec<Ruling>,
}

impl From<Mandate> for Because {
    fn from(mandate: Mandate) -> Self {
        Self {
            why: "ordered".to_owned(),
            by: Some(mandate),
            evidence: Vec::new(),
        }
    }
}

impl<K, V, L, N> Inner<K, V, L, N> {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exchange(&self, word: Word, next: Word) -> bool {
        let (both, load) = (Ordering::AcqRel, Ordering::Acquire);
        let exchanged = self.word.compare_exchange(word.0, next.0, both, load);
        exchanged.is_ok()
    }

    fn note(&self, kind: &'static SignalKind, from: Word, to: Word, because: Because) {
        self.write_down(kind, (from, to), because, true);
    }

    /// What would have been done, and was not.
    pub(crate) fn note_opinion(
        &self,
        kind: &'static SignalKind,
        from: Word,
        to: Word,
        because: Because,
    ) {
        self.write_down(kind, (from, to), because, false);
    }

    fn write_down(
        &self,
        kind: &'static SignalKind,
        (from, to): (Word, Word),
        because: Because,
        taken: bool,
    ) {
        let Because { by, why, evidence } = because;
        let (from, to) = (from.state(), to.state());
        self.home.record(|| {
            let signal: Signal = event::at(kind, self.name(), &to, &why);
            match &by {
                Some(mandate) => signal.by(Arc::new(mandate.clone())),
                None => signal,
            }
        });
        let at = self.home.around.clock().now();
        self.ledger().note(Decision {
            at,
            from,
            to,
            why,
            by,
            evidence,
            taken,
        });
    }

    /// For how long it has stood where it stands.
    pub(crate) fn stands_for(&self) -> Duration {
        self.ledger().stands_for(self.home.around.clock().now())
    }

    /// Stands somewhere else from now on, unless somebody was faster.
    pub(crate) fn move_to(&self, word: Word, next: Word, because: Because) -> bool {
        // Before anybody can act by it.
        self.stepped.store(self.elapsed(), Ordering::Release);
        if !self.exchange(word, next) {
            return false;
        }
        let went_back = next.is_held() && !word.is_held();
        if went_back {
            self.counters.rollbacks.increment();
        }
        let kind = match (went_back, word.is_held() && !next.is_held()) {
            (true, _) => &event::ROLLED_BACK,
            (_, true) => &event::RELEASED,
            _ => &event::STEPPED,
        };
        self.note(kind, word, next, because);
        true
    }

    /// Takes a step if it is legal, and time.
    fn take(
        &self,
        step: impl FnOnce(Word, &[u16]) -> Result<Word, StepRefused>,
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        let word = self.word();
        let rules = self.rules.get();
        let next = step(word, &rules.shares())?;
        let left = rules.propagation().saturating_sub(self.stands_for());
        let is_first = word.epoch() == rules.epoch() && word.stage() == Stage::Off;
        if !left.is_zero() && !is_first {
            return Err(StepRefused::TooSoon(left));
        }
        match self.move_to(word, next, because) {
            true => Ok(next.state()),
            false => Err(StepRefused::Overtaken),
        }
    }

    pub(crate) fn join(
        &self,
        (stage, share, epoch): (Stage, Share, u32),
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        let share = match stage {
            Stage::Live => hundredths(share).ok_or(StepRefused::NotAShare)?,
            Stage::RampDown | Stage::Complete => ALL,
            _ => 0,
        };
        let first = Word::start(self.rules.get().epoch());
        let next = Word::standing(stage, share, epoch);
        self.stepped.store(self.elapsed(), Ordering::Release);
        if !self.exchange(first, next) {
            return Err(StepRefused::Overtaken);
        }
        self.note(&event::STEPPED, first, next, because);
        Ok(next.state())
    }

    /// Off, at once and for good, whatever else goes on: one store, no lock that a cache can hold, no
    /// network.
    pub(crate) fn roll_back(
        &self,
        by: Option<Mandate>,
        why: String,
    ) -> Result<MigrationState, StepRefused> {
        let evidence = Vec::new();
        self.roll_back_because(Because { by, why, evidence })
    }

    pub(crate) fn roll_back_because(
        &self,
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        loop {
            let word = self.word();
            let next = word.rolled_back()?;
            self.stepped.store(self.elapsed(), Ordering::Release);
            if self.exchange(word, next) {
                self.counters.rollbacks.increment();
                self.note(&event::ROLLED_BACK, word, next, because);
                // The others hear of it as soon as they can.
                self.fleet.woken.notify_one();
                return Ok(next.state());
            }
        }
    }

    pub(crate) fn release(&self, mandate: Mandate) -> bool {
        loop {
            let word = self.word();
            if !word.is_held() {
                return false;
            }
            if self.fleet.is_joined() {
                return self
                    .order_of_fleet(Ordered::Release, mandate.into())
                    .is_ok();
            }
            if self.exchange(word, word.released()) {
                self.note(&event::RELEASED, word, word.released(), mandate.into());
                return true;
            }
        }
    }

    /// Waits until no change is under way that does not know of the last step.
    pub(crate) async fn settle(&self) {
        let word = self.word();
        if !word.is_settled() {
            self.order.pass().await;
            self.exchange(word, word.settled());
        }
    }

    /// The same without waiting.
    pub(crate) fn try_settle(&self) {
        let word = self.word();
        if !word.is_settled() && self.order.try_pass() {
            self.exchange(word, word.settled());
        }
    }

    pub(crate) fn step_back(&self, because: Because) -> Result<MigrationState, StepRefused> {
        if self.fleet.is_joined() {
            return self.order_of_fleet(Ordered::Back, because);
        }
        self.take(Word::back, because)
    }

    pub(crate) fn set_share(
        &self,
        share: Share,
        because: Because,
    ) -> Result<MigrationState, StepRefused> {
        let share = hundredths(share).ok_or(StepRefused::NotAShare)?;
        if self.fleet.is_joined() {
            return self.order_of_fleet(Ordered::Share(share), because);
        }
        self.take(|word, _| word.with_share(share), because)
    }
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    pub(crate) async fn advance(&self, because: Because) -> Result<MigrationState, StepRefused> {
        let at = self.word().bare();
        // Clearing takes time, and whoever comes second must not clear what came after the first.
        let _one = self.stepping.lock().await;
        self.settle().await;
        let word = self.word();
        if word.bare() != at {
            return Err(StepRefused::Overtaken);
        }
        word.forward(&[])?;
        if let Some(joined) = self.fleet.joined() {
            return self
                .step_of_fleet(joined, Ordered::Forward, at, because)
                .await;
        }
        if word.stage() == Stage::Off && !self.new_can.epochs {
            let cleared = self.new.clear().await;
            cleared.map_err(|error| StepRefused::NotCleared(error.to_string()))?;
        }
        let state = self.forward(because)?;
        self.settle().await;
        Ok(state)
    }

    /// The same at once, if nobody need be waited for.
    pub(crate) fn advance_now(&self, because: Because) -> Result<MigrationState, StepRefused> {
        let _one = self
            .stepping
            .try_lock()
            .map_err(|_| StepRefused::Overtaken)?;
        self.try_settle();
        if self.word().stage() == Stage::Off && !self.new_can.epochs {
            let why = "that takes time; use `advance` in code";
            return Err(StepRefused::NotCleared(why.to_owned()));
        }
        if self.fleet.is_joined() {
            return self.order_of_fleet(Ordered::Forward, because);
        }
        let state = self.forward(because)?;
        self.try_settle();
        Ok(state)
    }

    fn forward(&self, because: Because) -> Result<MigrationState, StepRefused> {
        let step = |word: Word, shares: &[u16]| {
            let next = word.forward(shares)?;
            if word.stage() == Stage::Off {
                // Of an earlier try, whose entries nobody reads any more.
                self.doubts.forget(Side::New);
            }
            Ok(next)
        };
        self.take(step, because)
    }
}
