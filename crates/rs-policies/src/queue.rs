//! Who waits for a place, in order of arrival.

use std::{mem, task::Waker};

/// A queue of tasks. Joining, leaving from anywhere and being served take the same short time however
/// long it is, and its memory is used again.
#[derive(Debug)]
pub(crate) struct Queue {
    places: Vec<Place>,
    /// The first of the places that nobody has, chained by `next`.
    free: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
}

#[derive(Debug)]
struct Place {
    state: State,
    next: Option<usize>,
    before: Option<usize>,
}

#[derive(Debug)]
enum State {
    Free,
    Waiting(Waker),
    Served,
}

/// A place in the queue; whoever has it must give it back by [`Queue::leave`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(usize);

impl Queue {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: None,
            first: None,
            last: None,
        }
    }

    /// Waits behind all others.
    pub(crate) fn join(&mut self, waker: &Waker) -> Ticket {
        let place = Place {
            state: State::Waiting(waker.clone()),
            next: None,
            before: self.last,
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
        match self.last {
            Some(last) => self.places[last].next = Some(number),
            None => self.first = Some(number),
        }
        self.last = Some(number);
        Ticket(number)
    }

    /// Serves the one that has waited longest: it is to be woken.
    pub(crate) fn serve(&mut self) -> Option<Waker> {
        let number = self.first?;
        self.unlink(number);
        match mem::replace(&mut self.places[number].state, State::Served) {
            State::Waiting(waker) => Some(waker),
            State::Free | State::Served => None,
        }
    }

    /// Whether this one was served; if not, it is to be woken by this.
    pub(crate) fn is_served(&mut self, ticket: Ticket, waker: &Waker) -> bool {
        match &mut self.places[ticket.0].state {
            State::Waiting(known) => {
                known.clone_from(waker);
                false
            }
            State::Free | State::Served => true,
        }
    }

    /// Gives the place back. Whether it was served.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> bool {
        let Ticket(number) = ticket;
        let served = match mem::replace(&mut self.places[number].state, State::Free) {
            State::Waiting(_) => {
                self.unlink(number);
                false
            }
            State::Free | State::Served => true,
        };
        self.places[number].next = self.free;
        self.free = Some(number);
        served
    }

    fn unlink(&mut self, number: usize) {
        let Place { next, before, .. } = self.places[number];
        match before {
            Some(before) => self.places[before].next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => self.places[next].before = before,
            None => self.last = before,
        }
    }
}
