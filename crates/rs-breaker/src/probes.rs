//! The probes of a half-open breaker: who is out, until when, and how the others ended.

use std::time::Instant;

use crate::{Probing, Ticket};

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Badly,
    /// Cancelled, or it said nothing about the dependency: its place is free again.
    Undecided,
}

#[derive(Debug, Default)]
pub(crate) struct Probes {
    out: Vec<Lease>,
    next: u16,
    good: u32,
    bad: u32,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    number: u16,
    until: Instant,
}

impl Probes {
    pub(crate) const fn good(&self) -> u32 {
        self.good
    }

    pub(crate) const fn bad(&self) -> u32 {
        self.bad
    }

    /// How many are out.
    pub(crate) const fn out(&self) -> usize {
        self.out.len()
    }

    /// When the first of them must have ended.
    pub(crate) fn first_lease(&self) -> Option<Instant> {
        self.out.iter().map(|lease| lease.until).min()
    }

    pub(crate) fn has_place(&self, rule: &Probing) -> bool {
        self.out.len() < self.places(rule) as usize
    }

    /// How many may be out: no more than at once, and no more than can still decide something.
    pub(crate) fn places(&self, rule: &Probing) -> u32 {
        rule.places()
            .min(rule.probes().saturating_sub(self.good + self.bad))
    }

    pub(crate) fn take(&mut self, rule: &Probing, now: Instant) -> Option<u16> {
        if !self.has_place(rule) {
            return None;
        }
        let number = self.next;
        self.next = (self.next + 1) % Ticket::PROBE_NUMBERS;
        self.out.push(Lease {
            number,
            until: now + rule.lease(),
        });
        Some(number)
    }

    /// `false` if nobody of this number is out.
    pub(crate) fn end(&mut self, number: u16, ended: Ended) -> bool {
        let place = self.out.iter().position(|lease| lease.number == number);
        let Some(place) = place else {
            return false;
        };
        self.out.swap_remove(place);
        match ended {
            Ended::Well => self.good += 1,
            Ended::Badly => self.bad += 1,
            Ended::Undecided => {}
        }
        true
    }

    /// Whoever did not end in time is not well.
    pub(crate) fn end_leases(&mut self, now: Instant) {
        let before = self.out.len();
        self.out.retain(|lease| lease.until > now);
        self.bad += (before - self.out.len()) as u32;
    }
}
