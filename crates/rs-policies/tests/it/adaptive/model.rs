//! Who is in and who waits, beside a model that is too simple to be wrong.

use proptest::prelude::*;
use rs_core::{Call, Criticality, Guard, Outcome};
use rs_policies::{AdaptiveConfig, ClassShares, Waiting};
use std::task::Poll;

use super::{Bench, Entering, MS, fixed, poll};

#[derive(Debug, Clone, Copy)]
enum Step {
    /// One of this class comes, and waits if it has to.
    Comes(usize),
    /// One of this class comes, and does not wait.
    Tries(usize),
    /// One that is in ends like this.
    Ends(usize, Outcome),
    /// One that waits goes away.
    GoesAway(usize),
    /// One that waits looks whether it is in.
    Looks(usize),
    /// There are so many places from now on.
    Resized(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(Outcome::Success),
        Just(Outcome::Ignored),
        Just(Outcome::TRANSIENT)
    ];
    prop_oneof![
        4 => (0..4_usize).prop_map(Step::Comes),
        2 => (0..4_usize).prop_map(Step::Tries),
        4 => (0..8_usize, outcome).prop_map(|(who, outcome)| Step::Ends(who, outcome)),
        1 => (0..8_usize).prop_map(Step::GoesAway),
        2 => (0..8_usize).prop_map(Step::Looks),
        1 => (1..6_u32).prop_map(Step::Resized),
    ]
}

/// Lists, and nothing clever: numbers of those who are in and who wait, with their classes.
#[derive(Debug, Default)]
struct Model {
    limits: [usize; 4],
    length: usize,
    inside: Vec<usize>,
    /// In order of arrival.
    waiting: Vec<(usize, usize)>,
    /// Served or shed, and has not looked yet.
    over: Vec<(usize, bool)>,
}

#[derive(Debug, PartialEq)]
enum Came {
    In,
    Waits,
    Refused,
}

impl Model {
    fn has_room(&self, class: usize) -> bool {
        let overtakes = self.waiting.iter().any(|(_, other)| *other >= class);
        self.inside.len() < self.limits[class] && !overtakes
    }

    fn comes(&mut self, number: usize, class: usize) -> Came {
        if self.has_room(class) {
            self.inside.push(number);
            return Came::In;
        }
        if self.waiting.len() >= self.length {
            // The last of the least critical makes room for one that is more critical.
            let least = self.waiting.iter().map(|(_, class)| *class).min();
            let Some(least) = least.filter(|least| *least < class) else {
                return Came::Refused;
            };
            let place = self.waiting.iter().rposition(|(_, class)| *class == least);
            let (displaced, _) = self.waiting.remove(place.unwrap());
            self.over.push((displaced, false));
        }
        self.waiting.push((number, class));
        Came::Waits
    }

    fn serve(&mut self) {
        for class in (0..4).rev() {
            while self.inside.len() < self.limits[class]
                && let Some(place) = self.waiting.iter().position(|(_, one)| *one == class)
            {
                let (number, _) = self.waiting.remove(place);
                self.inside.push(number);
                self.over.push((number, true));
            }
        }
    }

    fn resize(&mut self, limit: u32, shares: ClassShares) {
        let shares = [
            shares.sheddable,
            shares.sheddable_plus,
            shares.critical,
            shares.critical_plus,
        ];
        self.limits = shares.map(|share| {
            let part = share.get() * f64::from(limit);
            (part - 1e-9).ceil().max(1.0) as usize
        });
        self.serve();
    }
}

fn config(limit: u32) -> AdaptiveConfig {
    let rules = fixed(limit).with_queue(Waiting::at_most(3));
    rules.with_shares(ClassShares::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn it_does_what_the_model_does(first in 1..6_u32, steps in prop::collection::vec(step(), 1..80)) {
        let bench = Bench::with(config(first));
        let mut model = Model { length: 3, ..Model::default() };
        model.resize(first, ClassShares::default());
        let mut permits = Vec::new();
        let mut waiting: Vec<(usize, Entering<'_>)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            // Never long enough for a queue to stand: that has tests of its own.
            match step {
                Step::Comes(class) => {
                    let call = Call::new("x").with_criticality(Criticality::ALL[class]);
                    let mut entering = bench.entering(call);
                    let came = match poll(&mut entering) {
                        Poll::Ready(Ok(permit)) => {
                            permits.push((number, permit));
                            Came::In
                        }
                        Poll::Ready(Err(_)) => Came::Refused,
                        Poll::Pending => {
                            waiting.push((number, entering));
                            Came::Waits
                        }
                    };
                    prop_assert_eq!(came, model.comes(number, class));
                }
                Step::Tries(class) => {
                    let call = Call::new("x").with_criticality(Criticality::ALL[class]);
                    let permit = bench.limit.try_admit(&call);
                    prop_assert_eq!(permit.is_ok(), model.has_room(class));
                    if let Ok(permit) = permit {
                        permits.push((number, permit));
                        model.inside.push(number);
                    }
                }
                Step::Ends(who, outcome) if !permits.is_empty() => {
                    let (number, permit) = permits.remove(who % permits.len());
                    permit.finish(outcome);
                    model.inside.retain(|one| *one != number);
                    model.serve();
                }
                Step::GoesAway(who) if !waiting.is_empty() => {
                    let (number, entering) = waiting.remove(who % waiting.len());
                    drop(entering);
                    model.waiting.retain(|(one, _)| *one != number);
                    model.over.retain(|(one, _)| *one != number);
                    model.inside.retain(|one| *one != number);
                    model.serve();
                }
                Step::Looks(who) if !waiting.is_empty() => {
                    let who = who % waiting.len();
                    let (number, entering) = &mut waiting[who];
                    let number = *number;
                    let known = model.over.iter().find(|(one, _)| *one == number).copied();
                    let looked = poll(entering);
                    prop_assert_eq!(looked.is_ready(), known.is_some());
                    if let (Poll::Ready(result), Some((_, served))) = (looked, known) {
                        prop_assert_eq!(result.is_ok(), served);
                        model.over.retain(|(one, _)| *one != number);
                        permits.extend(result.ok().map(|permit| (number, permit)));
                        drop(waiting.remove(who));
                    }
                }
                Step::Resized(limit) => {
                    bench.limit.reconfigure(config(limit)).unwrap();
                    model.resize(limit, ClassShares::default());
                }
                _ => {}
            }
            prop_assert_eq!(bench.limit.in_flight() as usize, model.inside.len());
            prop_assert_eq!(bench.limit.waiting() as usize, model.waiting.len());
        }
        drop((permits, waiting));
        prop_assert_eq!((bench.limit.in_flight(), bench.limit.waiting()), (0, 0));
    }
}

/// The same from several threads at once: nothing is lost, and never are more in than may be.
#[test]
fn threads_take_and_give_back_what_there_is() {
    let bench = Bench::with(fixed(4));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let limit = &bench.limit;
            scope.spawn(move || {
                for turn in 0..20_000 {
                    let class = Criticality::ALL[(thread + turn) % 4];
                    let call = Call::new("x").with_criticality(class);
                    if let Ok(permit) = limit.try_admit(&call) {
                        assert!(limit.in_flight() <= 4);
                        if turn % 3 == 0 {
                            drop(permit);
                        } else {
                            permit.finish_after(Outcome::Success, MS);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(bench.limit.in_flight(), 0);
}
