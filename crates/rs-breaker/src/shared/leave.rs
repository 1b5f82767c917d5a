//! How a call comes out.

use std::time::Duration;

use rs_core::{Ending, Outcome};

use super::{Shared, moment::Moment, settle::slice_at};
use crate::{
    Ticket,
    cause::nanos,
    gate::Gate,
    probes::Ended,
    sync::Ordering,
    tally::{Added, Counted, End, Tag, Tally},
    ticket::{Place, Started},
};

impl Shared {
    #[inline]
    pub(crate) fn leave(&self, ticket: Ticket, ending: Ending) {
        if let Ending::Finished {
            outcome: Outcome::Success,
            elapsed: None,
        } = ending
            && ticket.place() == Place::Counted
        {
            if let Some(started) = ticket.started() {
                return self.leave_timed(ticket, started);
            }
            let gate = self.gate();
            if gate.generation() == ticket.generation() && !gate.has(Gate::SLICED) {
                let tag = Tag::new(ticket.generation(), 0);
                match self.tallies.local().counted.add_fine(tag) {
                    Added::Alone => return,
                    Added::Contended => return self.spread(),
                    Added::Stale | Added::Behind | Added::Full => {}
                }
            }
        }
        self.leave_with_care(ticket, ending);
    }

    /// A success that is timed: most of them have but to be counted.
    #[inline(never)]
    fn leave_timed(&self, ticket: Ticket, started: Started) {
        let (tally, moment) = (self.tallies.local(), Moment::of(self));
        let elapsed = moment.age().saturating_sub(started.age);
        if started.shown {
            tally.took(elapsed);
        }
        let slow = elapsed > self.slower_than.load(Ordering::Relaxed);
        let gate = self.gate();
        if !slow && gate.generation() == ticket.generation() {
            let tag = Tag::new(ticket.generation(), self.slice_of(gate, &moment));
            match tally.counted.add_fine(tag) {
                Added::Alone => return,
                Added::Contended => return self.spread(),
                Added::Stale | Added::Behind | Added::Full => {}
            }
        }
        self.count(tally, ticket, Outcome::Success, slow, &moment);
    }

    /// The slice of time that it is; none if no rule asks.
    #[inline]
    fn slice_of(&self, gate: Gate, moment: &Moment<'_>) -> u64 {
        if gate.has(Gate::SLICED) {
            slice_at(moment.age(), self.slices.load(Ordering::Relaxed))
        } else {
            0
        }
    }

    #[inline(never)]
    fn leave_with_care(&self, ticket: Ticket, ending: Ending) {
        let tally = self.tallies.local();
        let moment = Moment::of(self);
        let Ending::Finished { outcome, elapsed } = ending else {
            tally.cancelled.bump();
            if let Place::Probe(number) = ticket.place() {
                self.end_probe(ticket, number, Ended::Undecided, None, &moment);
            }
            return;
        };
        let (elapsed, shown) = match (elapsed, ticket.started()) {
            (Some(told), _) => (Some(nanos(told)), true),
            (None, Some(started)) => {
                let elapsed = moment.age().saturating_sub(started.age);
                (Some(elapsed), started.shown)
            }
            (None, None) => (None, false),
        };
        if let Some(elapsed) = elapsed
            && shown
        {
            tally.took(elapsed);
        }
        let slow =
            elapsed.is_some_and(|elapsed| elapsed > self.slower_than.load(Ordering::Relaxed));
        match ticket.place() {
            Place::Counted => self.count(tally, ticket, outcome, slow, &moment),
            Place::Probe(number) => self.leave_probe(tally, ticket, number, outcome, slow, &moment),
            Place::Beside => count_beside(tally, outcome),
        }
    }

    fn count(
        &self,
        tally: &Tally,
        ticket: Ticket,
        outcome: Outcome,
        slow: bool,
        moment: &Moment<'_>,
    ) {
        if outcome == Outcome::Ignored {
            tally.ignored.bump();
            return;
        }
        let gate = self.gate();
        if gate.generation() != ticket.generation() {
            tally.stale.bump();
            return;
        }
        let slice = self.slice_of(gate, moment);
        // Before it counts, so that whoever judges it finds it.
        let hint = outcome.fault().and_then(|fault| fault.retry_after());
        if let Some(delay) = hint {
            self.hint.fetch_max(nanos(delay).max(1), Ordering::Relaxed);
        }
        let end = End::of(outcome.is_failure(), slow);
        match self.add(
            &tally.counted,
            end,
            Tag::new(ticket.generation(), slice),
            moment,
        ) {
            Added::Stale => {
                if hint.is_some() {
                    // It must not lengthen what another generation decides.
                    self.hint.store(0, Ordering::Relaxed);
                }
                tally.stale.bump();
                return;
            }
            Added::Contended => self.spread(),
            _ => {}
        }
        if let Some(fault) = outcome.fault() {
            tally.failures(fault.into()).bump();
        }
        if outcome.is_failure() || slow {
            self.judge(moment);
        }
    }

    fn add(&self, counted: &Counted, end: End, tag: Tag, moment: &Moment<'_>) -> Added {
        let mut added = counted.add(end, tag);
        if matches!(added, Added::Behind | Added::Full) {
            self.judge(moment);
            // If the lock was taken, the call counts for the slice before: its neighbour.
            added = counted.add_anyway(end, tag);
        }
        while added == Added::Full {
            // Whoever has the lock is held up: dozens of bad calls ended meanwhile.
            self.act(moment.get(), |_| ());
            added = counted.add_anyway(end, tag);
        }
        added
    }

    fn leave_probe(
        &self,
        tally: &Tally,
        ticket: Ticket,
        number: u16,
        outcome: Outcome,
        slow: bool,
        moment: &Moment<'_>,
    ) {
        let ended = match outcome {
            Outcome::Success if !slow => Ended::Well,
            Outcome::Success | Outcome::Failure(_) => Ended::Badly,
            Outcome::Ignored => Ended::Undecided,
        };
        let hint = outcome.fault().and_then(|fault| fault.retry_after());
        if self.end_probe(ticket, number, ended, hint, moment) {
            count_beside(tally, outcome);
        } else {
            tally.stale.bump();
        }
    }

    /// `false` if it is over: its lease ran out, or the state has changed.
    fn end_probe(
        &self,
        ticket: Ticket,
        number: u16,
        ended: Ended,
        hint: Option<Duration>,
        moment: &Moment<'_>,
    ) -> bool {
        if self.gate().generation() != ticket.generation() {
            return false;
        }
        let now = moment.get();
        self.act(now, |machine| {
            machine.tick(now);
            machine.generation() == ticket.generation()
                && machine.end_probe(number, ended, hint, now)
        })
    }
}

fn count_beside(tally: &Tally, outcome: Outcome) {
    match outcome {
        Outcome::Success => tally.beside_fine.bump(),
        Outcome::Failure(fault) => {
            tally.failures(fault.into()).bump();
            tally.beside_failed.bump()
        }
        Outcome::Ignored => tally.ignored.bump(),
    };
}
