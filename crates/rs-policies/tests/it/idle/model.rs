//! Signs of life and waits by chance: it ends at the first silence that is too long, and nowhere else.

use std::time::Duration;

use super::{idle, silent_for};
use crate::support::{Bench, MS, cases};
use proptest::prelude::*;
use rs_core::{Call, Failure};
use rs_policies::Pulse;

const LIMIT: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
enum Step {
    /// It has to wait so many milliseconds.
    Wait(u32),
    Beat,
    /// The limit is this one from now on.
    Limit(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..140_u32).prop_map(Step::Wait),
        3 => Just(Step::Beat),
        1 => (90..200_u32).prop_map(Step::Limit),
    ]
}

/// When it ends, if it is ended: as simple as can be, a millisecond at a time.
fn model(steps: &[Step]) -> Option<(u32, u32)> {
    let (mut limit, mut now, mut last) = (100, 0, 0);
    // When the timer rings, from the first wait on: a limit that is shorter now is seen then.
    let mut rings = None;
    for step in steps {
        match step {
            Step::Beat => last = now,
            Step::Limit(other) => limit = *other,
            Step::Wait(time) => {
                let mut due = *rings.get_or_insert(last + limit);
                let end = now + time;
                // What ends just then is there in time.
                while due < end {
                    if last + limit <= due {
                        return Some((due, limit));
                    }
                    due = last + limit;
                }
                // Rings at the same moment, looks, and is not over.
                rings = Some(due);
                now = end;
            }
        }
    }
    None
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 0..40)) {
        let bench = Bench::new();
        let idle = idle(&bench, LIMIT);
        let read = async |_: Call, pulse: Pulse| {
            for step in &steps {
                match step {
                    Step::Wait(time) => bench.clock.sleep(MS * *time).await,
                    Step::Beat => pulse.beat(),
                    Step::Limit(limit) => drop(idle.reconfigure(MS * *limit)),
                }
            }
            Ok::<u32, &'static str>(7)
        };
        let (answer, took) = bench.run(idle.call("read", read));
        let waits = steps.iter().map(|step| if let Step::Wait(time) = step { *time } else { 0 });
        let expected = match model(&steps) {
            Some((at, limit)) => (silent_for(MS * limit), MS * at),
            None => (Ok(7), MS * waits.sum::<u32>()),
        };
        prop_assert_eq!((&answer, took), (&expected.0, expected.1));
        let ended = u64::from(matches!(answer, Err(Failure::TimedOut(_))));
        prop_assert_eq!(idle.timed_out(), ended);
    }
}
