//! What is done under the lock: the machine hears what calls counted, and calls see what it becomes.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::PoisonError,
    time::{Duration, Instant},
};

use rs_core::Share;

use super::{Inner, Shared, enter::packed, moment::Moment};
use crate::{
    BreakerState, OpenTime, Timing,
    cause::nanos,
    error, event,
    gate::Gate,
    state::{Change, Machine, Why},
    sync::{MutexGuard, Ordering, fence},
    tally::Tag,
};

impl Shared {
    /// Takes stock and opens if a rule holds, unless another thread is at it: that one looks again after
    /// it has let the lock go, so whatever was counted before this is seen by somebody.
    ///
    /// The fences make it so: either the holder's second look comes after our counting, or our attempt at
    /// the lock comes after its letting go.
    pub(super) fn judge(&self, moment: &Moment<'_>) {
        fence(Ordering::SeqCst);
        while let Some(mut inner) = self.try_lock() {
            self.take_stock(&mut inner, moment);
            self.let_go(inner, moment.get_if_known());
            fence(Ordering::SeqCst);
            if !self.tallies.any_speaks_against() {
                return;
            }
        }
    }

    /// Does something to the machine, after it was told of all calls that have ended.
    pub(crate) fn act<R>(&self, now: Instant, act: impl FnOnce(&mut Machine) -> R) -> R {
        self.with(now, |inner| act(&mut inner.machine))
    }

    /// Does something under the lock, after the machine was told of all calls that have ended and of the
    /// time.
    pub(crate) fn with<R>(&self, now: Instant, act: impl FnOnce(&mut Inner) -> R) -> R {
        let moment = Moment::at(self, now);
        let mut inner = self.lock();
        self.take_stock(&mut inner, &moment);
        inner.machine.tick(now);
        let result = act(&mut inner);
        self.publish(&mut inner, now);
        self.let_go(inner, Some(now));
        fence(Ordering::SeqCst);
        if self.tallies.any_speaks_against() {
            self.judge(&moment);
        }
        result
    }

    /// Time has come; whoever has the lock meanwhile does not need us.
    pub(crate) fn tick(&self, now: Instant) {
        if let Some(mut inner) = self.try_lock() {
            inner.machine.tick(now);
            self.publish(&mut inner, now);
            self.let_go(inner, Some(now));
            self.judge_leftovers();
        }
    }

    /// The supervisor waits for whoever has the lock: nobody comes after it.
    pub(crate) fn tick_surely(&self, now: Instant) {
        self.act(now, |machine| machine.tick(now));
    }

    /// Whoever let the lock go after doing something else with it looks once more, too.
    pub(super) fn judge_leftovers(&self) {
        fence(Ordering::SeqCst);
        if self.tallies.any_speaks_against() {
            self.judge(&Moment::of(self));
        }
    }

    /// Tells the machine what the tallies counted. The time is read only if a rule asks for it.
    fn take_stock(&self, inner: &mut Inner, moment: &Moment<'_>) {
        let length = self.slice.load(Ordering::Relaxed);
        if length > 0 {
            let slices = self.slices.load(Ordering::Relaxed);
            let slice = slice_at(moment.age(), slices);
            inner.slice = inner.slice.max(slice);
        }
        let slice = inner.slice;
        inner.tag = Tag::new(inner.generation, slice);
        let Inner { machine, ended, .. } = inner;
        let mut against = false;
        for (slice, results) in self.tallies.take(inner.tag, slice).iter() {
            *ended += results;
            against |= results.against() > 0;
            let age = Duration::from_nanos(slice.saturating_mul(length));
            machine.push(self.origin + age, results);
        }
        if against {
            self.open_if_held(machine, || moment.get());
            if machine.has_news() {
                self.publish(inner, moment.get());
            }
        }
    }

    /// Lets calls see what the machine has become.
    pub(super) fn publish(&self, inner: &mut Inner, now: Instant) {
        let Inner { machine, .. } = inner;
        let config = machine.config();
        let length = config.slice().map_or(0, nanos);
        let slower_than = config.slower_than();
        let (state, generation) = (machine.state(), machine.generation());
        let (observed, limit) = decided_by(machine);
        let due = machine.due();
        let plain = matches!(state, BreakerState::Closed | BreakerState::ForcedClosed);
        let why = error::Why::of(state, machine.cause().map(|cause| cause.kind));
        let full = state == BreakerState::HalfOpen && !machine.has_place();
        let gate = Gate::new(state, why, generation);
        let shut = full
            || matches!(
                state,
                BreakerState::Open | BreakerState::ForcedOpen | BreakerState::Isolated
            );
        let carried_out = config.enforced() == Share::ALL || gate.why().by_order;
        let gate = gate
            .with(Gate::PLAIN, plain && due.is_none())
            .with(Gate::SHUT, shut && carried_out)
            .with(Gate::FULL, full)
            .with(Gate::DUE, due.is_some())
            .with(Gate::LENIENT, config.enforced() != Share::ALL)
            .with(Gate::TIMED, slower_than.is_some())
            .with(Gate::SHOWN, config.timing == Timing::Every)
            .with(Gate::SAMPLED, config.timing == Timing::Sampled)
            .with(Gate::SLICED, length > 0);
        self.enforced
            .store(config.enforced().get().to_bits(), Ordering::Relaxed);
        self.slower_than
            .store(slower_than.map_or(u64::MAX, nanos), Ordering::Relaxed);
        self.due
            .store(due.map_or(u64::MAX, |due| self.age(due)), Ordering::Relaxed);
        if !plain {
            // Whoever sees these has seen the generation between this one and the last with such numbers.
            fence(Ordering::Release);
            let until = due.map(|due| due.saturating_duration_since(self.origin));
            let numbers = self.numbers(generation);
            numbers
                .observed
                .store(observed.to_bits(), Ordering::Relaxed);
            numbers.limit.store(limit.to_bits(), Ordering::Relaxed);
            let until = packed(until.unwrap_or_default());
            numbers.until.store(until, Ordering::Relaxed);
        }
        if generation != inner.generation || length != self.slice.load(Ordering::Relaxed) {
            let against = self.retag(inner, generation, length, now);
            if against {
                // Nobody else judges it. The gate has not been published: this may go on to do it.
                self.open_if_held(&mut inner.machine, || now);
                if inner.machine.generation() != generation {
                    return self.publish(inner, now);
                }
            }
        }
        self.gate.store(gate.bits(), Ordering::Release);
        if let Some(due) = due {
            self.around.supervisor.expect(due, self.age(due), self);
        }
    }

    fn open_if_held(&self, machine: &mut Machine, now: impl Fn() -> Instant) {
        let hint = self.hint.swap(0, Ordering::Relaxed);
        let hint = (hint > 0).then(|| Duration::from_nanos(hint));
        machine.judge(hint, now);
    }

    /// The tallies belong to this generation from now on. What was counted since stock was taken still
    /// counts if the generation is the same; whether it speaks against.
    fn retag(&self, inner: &mut Inner, generation: u64, length: u64, now: Instant) -> bool {
        let same = generation == inner.generation;
        inner.generation = generation;
        let slices = slices_of(length);
        inner.slice = slice_at(self.age(now), slices);
        self.slices.store(slices, Ordering::Relaxed);
        inner.tag = Tag::new(generation, inner.slice);
        self.slice.store(length, Ordering::Relaxed);
        let mut against = false;
        for (_, results) in self.tallies.take(inner.tag, inner.slice).iter() {
            inner.ended += results;
            if same {
                against |= results.against() > 0;
                inner.machine.push(now, results);
            }
        }
        if !same {
            // What it belonged to is over.
            self.hint.store(0, Ordering::Relaxed);
        }
        against
    }

    /// Unlocks, and then says what has happened: nobody's code runs under the lock.
    fn let_go(&self, mut inner: MutexGuard<'_, Inner>, now: Option<Instant>) {
        if !inner.machine.has_news() {
            return;
        }
        let mut news = inner.machine.take_news();
        let undecided = inner.machine.take_undecided();
        let decider = inner.machine.config().open_time.decider().cloned();
        let generation = inner.machine.generation();
        drop(inner);
        if let (Some(opening), Some(decide)) = (undecided, decider) {
            let decided = catch_unwind(AssertUnwindSafe(|| decide(&opening)));
            match decided.map(OpenTime::within_reason) {
                Ok(time) => self.stay_open(generation, time, &mut news, now),
                Err(_) => {
                    self.around
                        .recorder
                        .record(|| event::callback_panicked(self.name).in_generation(generation));
                }
            }
        }
        for change in news {
            self.around
                .recorder
                .record(|| event::signal(self.name, change));
        }
        if let Some(fleet) = &self.around.fleet {
            fleet.wake();
        }
    }

    fn stay_open(
        &self,
        generation: u64,
        time: Duration,
        news: &mut [Change],
        now: Option<Instant>,
    ) {
        let now = now.unwrap_or_else(|| self.clock().now());
        let mut inner = self.lock();
        let time = inner.machine.stay_open(generation, time);
        self.publish(&mut inner, now);
        drop(inner);
        for change in news {
            if let Why::Tripped(_, told) = &mut change.why {
                *told = time;
            }
        }
    }

    /// Threads met on a tally.
    #[cold]
    pub(super) fn spread(&self) {
        if let Some(inner) = self.try_lock() {
            self.tallies.spread(inner.tag);
            drop(inner);
            self.judge_leftovers();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Ok(inner) => Some(inner),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// The numbers by which it refuses.
fn decided_by(machine: &Machine) -> (f64, f64) {
    if let Some(cause) = machine.cause() {
        (cause.observed, cause.limit)
    } else if let Some(probes) = machine.probes() {
        (
            probes.out() as f64,
            probes.places(&machine.config().probing).into(),
        )
    } else {
        (machine.admitted(), 1.0)
    }
}

/// How many slices of this length there are in 2^64 nanoseconds; none of none.
const fn slices_of(length: u64) -> u64 {
    match u64::MAX.checked_div(length) {
        Some(slices) => slices,
        None => 0,
    }
}

/// The slice at this age. It may begin some nanoseconds late, but it does so for everybody.
#[inline]
pub(super) const fn slice_at(age: u64, slices: u64) -> u64 {
    ((age as u128 * slices as u128) >> 64) as u64
}
