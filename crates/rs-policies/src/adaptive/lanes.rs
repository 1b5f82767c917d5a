//! Who waits for a place: a lane for each class, in order of arrival.

use std::{
    mem,
    task::Waker,
    time::{Duration, Instant},
};

use super::{Waiting, codel::Codel};

pub(super) const CLASSES: usize = rs_core::Criticality::ALL.len();

/// Four queues of tasks over the same memory. Joining, leaving from anywhere and being served take the
/// same short time however many wait.
#[derive(Debug)]
pub(super) struct Lanes {
    places: Vec<Place>,
    /// The first of the places that nobody has, chained by `next`.
    free: Option<usize>,
    lanes: [Lane; CLASSES],
    rules: Waiting,
}

#[derive(Debug, Default)]
struct Lane {
    first: Option<usize>,
    last: Option<usize>,
    length: u32,
    codel: Codel,
    stands: bool,
}

#[derive(Debug)]
struct Place {
    state: State,
    class: usize,
    since: Instant,
    next: Option<usize>,
    before: Option<usize>,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting(Waker),
    Over(End),
}

/// How waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It has a place.
    Served,
    /// It waited too long in a queue that stands.
    Overdue,
    /// Its place in the queue went to a more critical one.
    Displaced,
}

/// A place in a lane; whoever has it must give it back by [`Lanes::leave`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot(usize);

impl Lanes {
    pub(super) fn new(rules: Waiting) -> Self {
        Self {
            places: Vec::new(),
            free: None,
            lanes: Default::default(),
            rules,
        }
    }

    pub(super) fn reconfigure(&mut self, rules: Waiting) {
        self.rules = rules;
    }

    /// Waits behind all others of its class.
    pub(super) fn join(&mut self, class: usize, now: Instant, waker: &Waker) -> Spot {
        let lane = &mut self.lanes[class];
        let place = Place {
            state: State::Waiting(waker.clone()),
            class,
            since: now,
            next: None,
            before: lane.last,
        };
        let number = match self.free {
            Some(number) => {
                self.free = self.places[number].next;
                self.places[number] = place;
                number
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        };
        match lane.last {
            Some(last) => self.places[last].next = Some(number),
            None => lane.first = Some(number),
        }
        lane.last = Some(number);
        lane.length += 1;
        Spot(number)
    }

    /// Whether anybody of this class or a more critical one waits.
    pub(super) fn has_at_least(&self, class: usize) -> bool {
        self.lanes[class..].iter().any(|lane| lane.length > 0)
    }

    /// The most critical class that somebody waits in and that may be served.
    pub(super) fn next_class(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let waits = |class: &usize| self.lanes[*class].length > 0 && may(*class);
        (0..CLASSES).rev().find(waits)
    }

    /// Serves one of this class: the oldest, or the newest while its queue stands.
    pub(super) fn serve(&mut self, class: usize) -> Option<Waker> {
        let lane = &self.lanes[class];
        let number = if lane.stands { lane.last } else { lane.first }?;
        self.end(number, End::Served)
    }

    /// Ends the waiting of one that is less critical than this, the least critical first, and of those
    /// the one that would be served last.
    pub(super) fn displace(&mut self, class: usize) -> Option<Waker> {
        let lane = self.lanes[..class].iter().find(|lane| lane.length > 0)?;
        let number = if lane.stands { lane.first } else { lane.last }?;
        self.end(number, End::Displaced)
    }

    /// Looks which queues stand.
    pub(super) fn look(&mut self, now: Instant) {
        let (target, interval) = (self.rules.target(), self.rules.interval());
        for class in 0..CLASSES {
            let oldest = self.lanes[class].first;
            let age = oldest.map(|oldest| self.age(oldest, now));
            let lane = &mut self.lanes[class];
            lane.stands = lane.codel.stands(now, age, target, interval);
        }
    }

    /// Ends the waiting of one that is overdue in a queue that stands, the least critical first.
    pub(super) fn shed_one(&mut self, now: Instant) -> Option<Waker> {
        let standing = self.lanes.iter().filter(|lane| lane.stands);
        let mut oldest = standing.filter_map(|lane| lane.first);
        let overdue = oldest.find(|oldest| self.age(*oldest, now) > 2 * self.rules.target())?;
        self.end(overdue, End::Overdue)
    }

    /// Whether the queue of any class stands.
    pub(super) fn stands(&self) -> bool {
        self.lanes.iter().any(|lane| lane.stands)
    }

    fn age(&self, number: usize, now: Instant) -> Duration {
        now.saturating_duration_since(self.places[number].since)
    }

    fn end(&mut self, number: usize, end: End) -> Option<Waker> {
        self.unlink(number);
        match mem::replace(&mut self.places[number].state, State::Over(end)) {
            State::Waiting(waker) => Some(waker),
            State::Free | State::Over(_) => None,
        }
    }

    /// How its waiting ended; if it has not, it is to be woken by this.
    pub(super) fn end_of(&mut self, spot: Spot, waker: &Waker) -> Option<End> {
        match &mut self.places[spot.0].state {
            State::Waiting(known) => {
                known.clone_from(waker);
                None
            }
            State::Over(end) => Some(*end),
            State::Free => Some(End::Overdue),
        }
    }

    /// Gives the place in the lane back. How its waiting had ended, if it had.
    pub(super) fn leave(&mut self, spot: Spot) -> Option<End> {
        let Spot(number) = spot;
        let end = match mem::replace(&mut self.places[number].state, State::Free) {
            State::Waiting(_) => {
                self.unlink(number);
                None
            }
            State::Over(end) => Some(end),
            State::Free => Some(End::Overdue),
        };
        self.places[number].next = self.free;
        self.free = Some(number);
        end
    }

    fn unlink(&mut self, number: usize) {
        let Place {
            class,
            next,
            before,
            ..
        } = self.places[number];
        let lane = &mut self.lanes[class];
        lane.length -= 1;
        match before {
            Some(before) => self.places[before].next = next,
            None => lane.first = next,
        }
        match next {
            Some(next) => self.places[next].before = before,
            None => lane.last = before,
        }
    }
}
