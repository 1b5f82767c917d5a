//! What a hedge costs, and what it shows of itself.

use super::{Lanes, MS, hedge, now, poll, read, still};
use allocation_counter::measure;
use rs_core::{Action, Call, Directory, Mandate, Policy, Value, operation};
use rs_metrics::Registry;
use rs_policies::{Hedge, HedgeConfig, Surroundings};
use std::pin::pin;

#[test]
fn an_answer_at_once_takes_nothing_from_the_heap() {
    let quantile = HedgeConfig::at_quantile("95%".parse().unwrap()).with_samples(1);
    for config in [HedgeConfig::after(MS * 50), quantile] {
        for call in [read(), Call::new("charge")] {
            let hedge = Hedge::within(&Surroundings::apart(), "prices", config).unwrap();
            let ready = operation(async |_call| Ok::<_, ()>(1));
            let run = || assert_eq!(now(hedge.run(&call, &ready)), Ok(1));
            run();
            let found = measure(|| (0..100).for_each(|_| run()));
            assert_eq!(found.count_total, 0);
        }
    }
}

#[test]
fn an_answer_at_once_needs_no_timer() {
    // Outside a runtime a timer would panic.
    let hedge = Hedge::within(
        &Surroundings::apart(),
        "prices",
        HedgeConfig::after(MS * 50),
    )
    .unwrap();
    assert_eq!(now(hedge.call(read(), async |_call| Ok::<_, ()>(1))), Ok(1));
}

#[test]
fn the_future_is_the_operations_own_and_eight_words() {
    let (hedge, _hand) = hedge(HedgeConfig::after(MS * 50));
    let call = read();
    let sixty_four = operation(async |_call: Call| {
        let kept = [0_u64; 8];
        std::future::pending::<()>().await;
        Ok::<_, ()>(kept)
    });
    let alone = size_of_val(&rs_core::Operation::attempt(&sixty_four, &call));
    let hedged = size_of_val(&hedge.run(&call, &sixty_four));
    assert!(
        hedged <= alone + size_of::<[usize; 8]>(),
        "{hedged}, {alone}"
    );
}

#[test]
fn what_it_does_is_exported_and_shown() {
    let (around, hand) = still();
    let (registry, directory) = (Registry::new(), Directory::new());
    let around = around
        .with_metrics(registry.clone())
        .with_directory(directory.clone());
    let config = HedgeConfig::after(MS * 50);
    let hedge = Hedge::with_budget(&around, "prices", config, None).unwrap();
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 50);
    assert!(poll(running.as_mut()).is_pending());
    let exported = |name: &str| {
        let all = registry.gather();
        let found = all.iter().find(|metric| metric.description.name == name);
        format!("{:?}", found.unwrap().series)
    };
    assert!(exported("hedge_delay_seconds").contains("0.05"));
    let snapshot = |field: &str| {
        let found = directory.find("hedge", "prices").unwrap();
        found.snapshot().get(field).unwrap().clone()
    };
    assert_eq!(snapshot("running"), Value::Count(1));
    lanes.answer(1, Ok(2));
    assert!(poll(running).is_ready());
    assert_eq!(snapshot("running"), Value::Count(0));
    assert_eq!(snapshot("ended").get("won"), Some(&Value::Count(1)));
    assert_eq!(snapshot("delay"), Value::from("50ms"));
    let nobody = Action::new("explode");
    let mandate = Mandate::new("anna", "a drill");
    assert!(
        directory
            .control("hedge", "prices", &nobody, &mandate)
            .is_err()
    );
}
