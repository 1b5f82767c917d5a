//! Bulkheads against a list of names: any order of coming, leaving, giving up, waiting and other numbers.

use super::*;
use crate::support::cases;
use proptest::{prelude::*, test_runner::TestRunner};
use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
};

#[derive(Debug, Clone)]
enum Step {
    /// Comes in or is refused, without waiting.
    Try,
    /// Comes in, waits or is refused; has so many milliseconds until its deadline, if it has one.
    Enter(Option<u32>),
    /// One of those inside leaves.
    Leave(usize),
    /// One of those who wait or were just served goes away before it looks again.
    GiveUp(usize),
    /// One of those who wait looks.
    Look(usize),
    Wait(u32),
    Resize(u32, u32),
    Dark(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Try),
        6 => prop::option::of(0..150_u32).prop_map(Step::Enter),
        5 => (0..100_usize).prop_map(Step::Leave),
        3 => (0..100_usize).prop_map(Step::GiveUp),
        4 => (0..100_usize).prop_map(Step::Look),
        2 => (1..80_u32).prop_map(Step::Wait),
        1 => (prop_oneof![3 => 1..6_u32, 1 => 6..40_u32], 0..6_u32).prop_map(|(limit, queue)| Step::Resize(limit, queue)),
        1 => any::<bool>().prop_map(Step::Dark),
    ];
    prop::collection::vec(step, 1..150)
}

/// What anybody would write.
struct Naive {
    limit: usize,
    queue: usize,
    dark: bool,
    now: u32,
    inside: usize,
    /// In order of arrival: the number and when its wait ends.
    waiting: VecDeque<(usize, u32)>,
    /// Whose place waits for them.
    served: Vec<usize>,
    refused: [u64; 3],
    would: u64,
}

#[derive(Debug, PartialEq, Clone, Copy)]
enum Is {
    In,
    Waiting,
    Refused,
}

impl Naive {
    fn taken(&self) -> usize {
        self.inside + self.served.len()
    }

    fn serve(&mut self) {
        while self.taken() < self.limit
            && let Some((number, _)) = self.waiting.pop_front()
        {
            self.served.push(number);
        }
    }

    fn refuse(&mut self, why: usize) -> Is {
        if self.dark {
            self.would += 1;
            self.inside += 1;
            return Is::In;
        }
        self.refused[why] += 1;
        Is::Refused
    }

    fn r#try(&mut self) -> Is {
        if self.taken() < self.limit && self.waiting.is_empty() {
            self.inside += 1;
            return Is::In;
        }
        self.refuse(0)
    }

    fn enter(&mut self, number: usize, deadline: Option<u32>) -> Is {
        if self.taken() < self.limit && self.waiting.is_empty() {
            self.inside += 1;
            return Is::In;
        }
        if self.dark {
            return self.refuse(0);
        }
        if self.waiting.len() >= self.queue {
            return self.refuse(usize::from(self.queue > 0));
        }
        let end = self.now + deadline.map_or(100, |left| left.min(100));
        self.waiting.push_back((number, end));
        self.look(number)
    }

    fn look(&mut self, number: usize) -> Is {
        if let Some(place) = self.served.iter().position(|one| *one == number) {
            self.served.remove(place);
            self.inside += 1;
            return Is::In;
        }
        let place = self
            .waiting
            .iter()
            .position(|(one, _)| *one == number)
            .unwrap();
        if self.now < self.waiting[place].1 {
            return Is::Waiting;
        }
        self.waiting.remove(place);
        self.refuse(2)
    }

    fn give_up(&mut self, number: usize) {
        self.waiting.retain(|(one, _)| *one != number);
        self.served.retain(|one| *one != number);
        self.serve();
    }
}

fn is(polled: &Poll<Result<Permit<&Bulkhead>, Rejection>>) -> Is {
    match polled {
        Poll::Ready(Ok(_)) => Is::In,
        Poll::Ready(Err(_)) => Is::Refused,
        Poll::Pending => Is::Waiting,
    }
}

fn run(steps: Vec<Step>, seen: &RefCell<BTreeMap<&'static str, u32>>) -> Result<(), TestCaseError> {
    let bench = Bench::new();
    let (mut limit, mut queue) = (2, 3);
    let config = |limit, queue, dark| {
        let enforcement = if dark {
            Enforcement::Dark
        } else {
            Enforcement::Full
        };
        BulkheadConfig::of(limit)
            .with_queue(queue, 100 * MS)
            .with_enforcement(enforcement)
    };
    let bulkhead = bulkhead(&bench, config(limit, queue, false));
    let mut naive = Naive {
        limit: 2,
        queue: 3,
        dark: false,
        now: 0,
        inside: 0,
        waiting: VecDeque::new(),
        served: Vec::new(),
        refused: [0; 3],
        would: 0,
    };
    let calls: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Enter(Some(ms)) => (Call::new("x"), Some(*ms)),
            _ => (Call::new("x"), None),
        })
        .collect();
    // A deadline is one from when the call is made.
    let calls: Vec<Call> = calls
        .into_iter()
        .map(|(call, ms)| match ms {
            Some(ms) => call.limited_to(ms * MS),
            None => call,
        })
        .collect();
    let mut inside: Vec<Permit<&Bulkhead>> = Vec::new();
    let mut waiting: Vec<(usize, Entering<'_>)> = Vec::new();
    let saw = |what| *seen.borrow_mut().entry(what).or_default() += 1;
    for (number, step) in steps.into_iter().enumerate() {
        let (found, expected) = match step {
            Step::Try => {
                let entered = Poll::Ready(bulkhead.try_admit(&calls[number]));
                let found = is(&entered);
                if let Poll::Ready(Ok(permit)) = entered {
                    inside.push(permit);
                }
                (found, naive.r#try())
            }
            Step::Enter(deadline) => {
                let mut entering: Entering<'_> = Box::pin(bulkhead.admit(&calls[number]));
                let polled = poll(entering.as_mut());
                let found = is(&polled);
                match polled {
                    Poll::Ready(Ok(permit)) => inside.push(permit),
                    Poll::Ready(Err(_)) => {}
                    Poll::Pending => waiting.push((number, entering)),
                }
                (found, naive.enter(number, deadline))
            }
            Step::Leave(which) if !inside.is_empty() => {
                drop(inside.swap_remove(which % inside.len()));
                naive.inside -= 1;
                naive.serve();
                continue;
            }
            Step::GiveUp(which) if !waiting.is_empty() => {
                let (number, entering) = waiting.swap_remove(which % waiting.len());
                saw(if naive.served.contains(&number) {
                    "served and gone"
                } else {
                    "gone"
                });
                drop(entering);
                naive.give_up(number);
                continue;
            }
            Step::Look(which) if !waiting.is_empty() => {
                let place = which % waiting.len();
                let number = waiting[place].0;
                let polled = poll(waiting[place].1.as_mut());
                let found = is(&polled);
                if found != Is::Waiting {
                    drop(waiting.swap_remove(place));
                }
                if let Poll::Ready(Ok(permit)) = polled {
                    inside.push(permit);
                }
                (found, naive.look(number))
            }
            Step::Wait(ms) => {
                bench.wait(ms * MS);
                naive.now += ms;
                continue;
            }
            Step::Resize(to, other) => {
                (limit, queue) = (to, other);
                bulkhead
                    .reconfigure(config(limit, queue, naive.dark))
                    .unwrap();
                (naive.limit, naive.queue) = (limit as usize, queue as usize);
                naive.serve();
                continue;
            }
            Step::Dark(dark) => {
                bulkhead.reconfigure(config(limit, queue, dark)).unwrap();
                naive.dark = dark;
                continue;
            }
            _ => continue,
        };
        saw(match found {
            Is::In => "in",
            Is::Waiting => "waiting",
            Is::Refused => "refused",
        });
        prop_assert_eq!(found, expected, "step {}", number);
        prop_assert_eq!(bulkhead.in_flight() as usize, naive.taken());
        prop_assert_eq!(bulkhead.waiting() as usize, naive.waiting.len());
        let refused: Vec<_> = Crowded::ALL
            .iter()
            .map(|why| bulkhead.refused(*why))
            .collect();
        prop_assert_eq!(refused, naive.refused);
        prop_assert_eq!(bulkhead.would_have_held_up(), naive.would);
    }
    drop(inside);
    drop(waiting);
    prop_assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
    Ok(())
}

#[test]
fn it_does_what_a_list_of_names_would() {
    let seen = RefCell::default();
    TestRunner::new(cases(250))
        .run(&steps(), |steps| run(steps, &seen))
        .unwrap();
    let seen = seen.into_inner();
    println!("{seen:?}");
    assert!(
        seen.len() == 5 && seen.values().all(|times| *times > 50),
        "{seen:?}"
    );
}
