//! A queue before a dependency that gets three times as much as it can do, on paused time.

use std::{cell::RefCell, rc::Rc, time::Duration};

use rs_core::{Call, Clock, Criticality, Guard, Outcome};
use rs_policies::{AdaptiveLimit, Surroundings, Waiting};

use super::{MS, fixed};

/// Ten places, ten milliseconds each: a thousand calls a second, and three thousand come.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn waits_stay_short_and_work_gets_done_however_much_comes() {
    let around = Surroundings::apart().with_clock(Clock::tokio());
    let rules = fixed(10).with_queue(Waiting::at_most(1000));
    let limit = AdaptiveLimit::within(&around, "search", rules).unwrap();
    let waits: Rc<RefCell<Vec<(u32, Duration)>>> = Rc::default();
    let local = tokio::task::LocalSet::new();
    let total = 30_000;
    local
        .run_until(async {
            let clock = Clock::tokio();
            for number in 0..total {
                if number % 3 == 0 {
                    clock.sleep(MS).await;
                }
                let (limit, waits, clock) = (limit.clone(), Rc::clone(&waits), clock.clone());
                tokio::task::spawn_local(async move {
                    let class = Criticality::Critical;
                    let call = Call::new("x").with_criticality(class);
                    let came = clock.now();
                    if let Ok(permit) = limit.admit(&call).await {
                        waits.borrow_mut().push((number, clock.now() - came));
                        clock.sleep(10 * MS).await;
                        permit.finish(Outcome::Success);
                    }
                });
            }
            clock.sleep(Duration::from_secs(2)).await;
        })
        .await;
    assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    let waits = waits.borrow();
    let share = waits.len() as f64 / f64::from(total / 3);
    let late: Vec<Duration> = waits
        .iter()
        .filter(|(number, _)| *number > total / 10)
        .map(|(_, wait)| *wait)
        .collect();
    let longest = late.iter().max().unwrap();
    println!("done {share:.2} of what can be, longest wait {longest:?}");
    // Tokio's timers round up to a millisecond: ten take eleven.
    assert!(share > 0.85, "{share}");
    assert!(*longest <= 12 * MS, "{longest:?}");
}
