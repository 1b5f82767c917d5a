//! A call against a naive account of what should become of it.

use super::{Answer, Lanes, MS, bad, hedge, poll, read};
use proptest::prelude::*;
use rs_core::{Label, Policy};
use rs_policies::{HedgeConfig, HedgeEnd};
use std::task::Poll;

const DELAY: u32 = 50;

#[derive(Debug, Clone)]
enum Step {
    Wait(u32),
    Answer(usize, bool),
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..120_u32).prop_map(Step::Wait),
        4 => (0..4_usize, any::<bool>()).prop_map(|(lane, good)| Step::Answer(lane, good)),
        1 => Just(Step::Drop),
    ]
}

/// Attempts as a list of what became of each.
#[derive(Default)]
struct Model {
    /// `None` runs, `Some(false)` failed.
    attempts: Vec<Option<bool>>,
    next: u32,
    now: u32,
    end: Option<HedgeEnd>,
    answer: Option<Answer>,
}

impl Model {
    fn poll(&mut self, most: usize, told: &[Option<bool>]) {
        loop {
            for (lane, attempt) in self.attempts.iter_mut().enumerate() {
                if attempt.is_none() && told[lane].is_some() {
                    *attempt = told[lane];
                    if told[lane] == Some(true) {
                        let won = if lane == 0 {
                            HedgeEnd::Lost
                        } else {
                            HedgeEnd::Won
                        };
                        return self.finish(won, Ok(lane as u32));
                    }
                }
            }
            if self.attempts.iter().all(|attempt| *attempt == Some(false)) {
                return self.finish(HedgeEnd::Failed, bad("0"));
            }
            if self.attempts.len() > most || self.now < self.next {
                return;
            }
            self.attempts.push(None);
            self.next = self.now + DELAY;
        }
    }

    fn finish(&mut self, end: HedgeEnd, answer: Answer) {
        self.end = (self.attempts.len() > 1).then_some(end);
        self.answer = Some(answer);
    }
}

proptest! {
    #[test]
    fn a_call_does_what_the_model_does(
        most in 1..=3_u8,
        steps in proptest::collection::vec(step(), 1..20),
    ) {
        let (hedge, hand) = hedge(HedgeConfig::after(MS * DELAY).with_hedges(most));
        let (lanes, call) = (Lanes::default(), read());
        let mut running = Some(Box::pin(hedge.run(&call, &lanes)));
        let mut told = [None; 4];
        let mut model = Model { attempts: vec![None], next: DELAY, ..Model::default() };
        prop_assert!(poll(running.as_mut().unwrap().as_mut()).is_pending());
        for step in steps {
            match step {
                Step::Wait(time) => {
                    hand.advance(MS * time);
                    model.now += time;
                }
                Step::Answer(lane, good) if told[lane].is_none() => {
                    told[lane] = Some(good);
                    let error = ["0", "1", "2", "3"][lane];
                    lanes.answer(lane, if good { Ok(lane as u32) } else { bad(error) });
                }
                Step::Answer(..) => continue,
                Step::Drop => {
                    if model.attempts.len() > 1 {
                        model.end = Some(HedgeEnd::Cancelled);
                    }
                    break;
                }
            }
            model.poll(most.into(), &told);
            let found = poll(running.as_mut().unwrap().as_mut());
            prop_assert_eq!(found, model.answer.clone().map_or(Poll::Pending, Poll::Ready));
            if model.answer.is_some() {
                prop_assert_eq!(lanes.alive(), Vec::<usize>::new(), "dropped before the answer");
                break;
            }
            let alive = (0..model.attempts.len()).filter(|lane| model.attempts[*lane].is_none());
            prop_assert_eq!(lanes.alive(), alive.collect::<Vec<_>>());
        }
        if model.answer.is_none() && model.attempts.len() > 1 {
            model.end = Some(HedgeEnd::Cancelled);
        }
        running = None;
        drop(running);
        prop_assert_eq!(hedge.running(), 0);
        prop_assert_eq!(hedge.started(), model.attempts.len() as u64 - 1);
        for end in HedgeEnd::ALL {
            prop_assert_eq!(hedge.ended(*end), u64::from(model.end == Some(*end)), "{}", end);
        }
    }
}
