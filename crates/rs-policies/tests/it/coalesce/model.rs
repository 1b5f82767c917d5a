//! Random comings and goings against a naive account of them.

use super::{Door, coalesce, poll, price};
use proptest::prelude::*;
use rs_core::Policy;
use rs_policies::{CoalesceConfig, CoalesceRole};
use std::task::Poll;

#[derive(Debug, Clone)]
enum Step {
    Join,
    /// One of those that are there is polled, goes away, or has its run answered.
    Poll(usize),
    Drop(usize),
    Answer(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Join),
        4 => any::<usize>().prop_map(Step::Poll),
        2 => any::<usize>().prop_map(Step::Drop),
        2 => any::<usize>().prop_map(Step::Answer),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stands {
    /// Not polled yet.
    New,
    Waits,
    /// It is to lead, and does not know it yet.
    Called,
    Leads,
    /// It has this answer, and has not fetched it.
    Told(u32),
    Gone,
}

/// Calls in the order in which they joined the line.
#[derive(Default)]
struct Model {
    stands: Vec<Stands>,
    line: Vec<usize>,
    runs: u32,
}

impl Model {
    fn is_led(&self) -> bool {
        let leads = |stands: &Stands| matches!(stands, Stands::Leads | Stands::Called);
        self.stands.iter().any(leads)
    }

    fn call_next(&mut self) {
        if !self.line.is_empty() {
            let next = self.line.remove(0);
            self.stands[next] = Stands::Called;
        }
    }

    fn leave(&mut self, one: usize) {
        let stood = std::mem::replace(&mut self.stands[one], Stands::Gone);
        match stood {
            Stands::Waits => self.line.retain(|other| *other != one),
            Stands::Called | Stands::Leads => self.call_next(),
            Stands::New | Stands::Told(_) | Stands::Gone => {}
        }
    }

    /// What it gets, if anything, when its run is answered by this.
    fn poll(&mut self, one: usize, answer: Option<u32>) -> Option<u32> {
        match self.stands[one] {
            Stands::New if self.is_led() => {
                self.stands[one] = Stands::Waits;
                self.line.push(one);
            }
            Stands::New | Stands::Called => {
                self.stands[one] = Stands::Leads;
                self.runs += 1;
            }
            _ => {}
        }
        match (self.stands[one], answer) {
            (Stands::Told(told), _) => {
                self.stands[one] = Stands::Gone;
                Some(told)
            }
            (Stands::Leads, Some(answer)) => {
                for other in self.line.drain(..) {
                    self.stands[other] = Stands::Told(answer);
                }
                self.stands[one] = Stands::Gone;
                Some(answer)
            }
            _ => None,
        }
    }
}

proptest! {
    #[test]
    fn calls_come_and_go_as_in_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        let (prices, _hand) = coalesce(CoalesceConfig::default());
        let call = price();
        let doors: Vec<Door> = (0..60).map(|_| Door::default()).collect();
        let mut answers = [None; 60];
        let mut calls = Vec::new();
        let mut model = Model::default();
        for step in steps {
            let there = calls.len();
            match step {
                Step::Join => {
                    calls.push(Some(Box::pin(prices.run(&call, &doors[there]))));
                    model.stands.push(Stands::New);
                }
                _ if there == 0 => {}
                Step::Poll(one) => {
                    let one = one % there;
                    if let Some(running) = &mut calls[one] {
                        let expected = model.poll(one, answers[one]);
                        let expected = expected.map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)));
                        prop_assert_eq!(poll(running.as_mut()), expected.clone());
                        if expected.is_ready() {
                            calls[one] = None;
                        }
                    }
                }
                Step::Drop(one) => {
                    calls[one % there] = None;
                    model.leave(one % there);
                }
                Step::Answer(one) => {
                    let one = one % there;
                    answers[one] = Some(one as u32);
                    doors[one].answer(Ok(one as u32));
                }
            }
            prop_assert_eq!(prices.running(), u32::from(model.is_led()));
            let count = |wanted: fn(&Stands) -> bool| model.stands.iter().filter(|it| wanted(it)).count();
            let waiting = count(|it| matches!(it, Stands::Waits | Stands::Called | Stands::Told(_)));
            prop_assert_eq!(prices.waiting() as usize, waiting);
            let begun: u32 = doors.iter().map(Door::begun).sum();
            prop_assert_eq!(begun, model.runs);
        }
        drop(calls);
        prop_assert_eq!((prices.running(), prices.waiting()), (0, 0));
        let role = |role| prices.calls(role);
        prop_assert_eq!(role(CoalesceRole::Leader) + role(CoalesceRole::Heir), u64::from(model.runs));
    }
}
