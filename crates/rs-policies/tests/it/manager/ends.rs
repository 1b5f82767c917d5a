//! What became of the calls, and how the pipelines are.

use rs_core::{Call, Condition, Label, Outcome, Policy, operation};
use rs_policies::{
    BulkheadConfig, FromFn, OrElse, OrValue, Pipeline, PipelineConfig, PipelineEnd, Served, metrics,
};

use super::{bulkhead, execute, manager, one};
use crate::{
    pipeline::Broken,
    support::{Bench, SECOND, at_once, poll},
};

#[test]
fn every_call_ends_one_way() {
    let bench = Bench::new();
    let manager = manager(&bench);
    manager
        .apply(one("bank", bulkhead(1).with_timeout(SECOND)))
        .unwrap();
    let named = manager.named("bank");
    assert_eq!(execute(&manager, "bank"), Ok(17));
    at_once(named.call("x", async |_call| Err::<(), _>(Broken))).unwrap_err();

    let wrong = operation(async |_call| Err::<(), _>(Broken))
        .classified(|_: Result<&(), &Broken>| Outcome::Ignored);
    at_once(named.run(&Call::new("x"), &wrong)).unwrap_err();

    let pending = async |_call: Call| {
        std::future::pending::<()>().await;
        Ok::<_, Broken>(0)
    };
    let mut held = Box::pin(named.call("x", pending));
    assert!(poll(held.as_mut()).is_pending());
    execute(&manager, "bank").unwrap_err();
    drop(held);
    let (late, _) = bench.run(named.call("x", pending));
    late.unwrap_err();

    let ends = PipelineEnd::ALL
        .iter()
        .map(|how| (how.as_str(), named.ended(*how)));
    let expected = [
        ("succeeded", 1),
        ("failed", 1),
        ("ignored", 1),
        ("rejected", 1),
        ("timed_out", 1),
        ("cancelled", 1),
    ];
    assert_eq!(ends.collect::<Vec<_>>(), expected);
    let counted = manager.metrics("bank").unwrap();
    assert_eq!(counted.calls(), 6);
    assert_eq!(counted.success_rate().unwrap().to_string(), "25%");
    for how in PipelineEnd::ALL {
        let exported = metrics::PIPELINE_CALLS.read(&bench.registry, "bank", *how);
        assert_eq!(exported, Some(1), "{how:?}");
    }
    // A call to nobody is counted, too.
    execute(&manager, "nobody").unwrap_err();
    let nobody = manager.named("nobody");
    assert_eq!(nobody.ended(PipelineEnd::Rejected), 1);
    assert!(manager.metrics("nobody").is_none());
}

#[test]
fn a_pipeline_is_as_well_as_the_worst_of_its_parts() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let config = one("bank", bulkhead(1)).with_pipeline("shop", bulkhead(9));
    manager.apply(config).unwrap();
    assert_eq!(manager.health().to_string(), "up");
    let mut held = Box::pin(manager.execute("bank", async |_call| {
        std::future::pending::<()>().await;
        Ok::<_, Broken>(0)
    }));
    assert!(poll(held.as_mut()).is_pending());
    let summary = manager.health();
    assert_eq!(summary.condition, Condition::Degraded);
    assert_eq!(
        summary.to_string(),
        "degraded\nbank is degraded: bulkhead: full, 1 run and 0 wait"
    );
    let listed = bench.directory.snapshots();
    let of_pipeline = listed.iter().find(|one| one.kind == "pipeline").unwrap();
    assert_eq!(of_pipeline.health.why(), "bulkhead: full, 1 run and 0 wait");
    let of_all = listed.iter().find(|one| one.kind == "resilience").unwrap();
    assert_eq!(
        of_all.health.to_string(),
        "degraded: bank: bulkhead: full, 1 run and 0 wait"
    );
    drop(held);
    assert!(manager.health().is_up());
}

/// The parts of a pipeline that code made are those that have its name.
#[test]
fn parts_of_a_pipeline_of_code_are_found_by_its_name() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let made = Pipeline::named("mine")
        .within(&bench.around)
        .timeout(SECOND)
        .bulkhead(BulkheadConfig::of(1))
        .build()
        .unwrap();
    manager.add("mine", made.clone()).unwrap();
    let counted = manager.metrics("mine").unwrap();
    let mut kinds: Vec<_> = counted.parts.iter().map(|part| part.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["bulkhead", "timeout"]);
    let mut held = Box::pin(made.call("x", async |_call| {
        std::future::pending::<()>().await;
        Ok::<_, Broken>(0)
    }));
    assert!(poll(held.as_mut()).is_pending());
    assert_eq!(manager.health().condition, Condition::Degraded);
}

#[test]
fn what_answers_instead_says_so() {
    let bench = Bench::new();
    let manager = manager(&bench);
    manager
        .apply(one("bank", PipelineConfig::default()))
        .unwrap();
    let broken = async |_call: Call| Err::<u32, _>(Broken);
    let fine = async |_call: Call| Ok::<u32, Broken>(1);

    let served = at_once(manager.execute_or("bank", fine, OrValue(2))).unwrap();
    assert_eq!(served, Served::Fresh(1));
    let served = at_once(manager.execute_or("bank", broken, OrValue(2))).unwrap();
    assert!(served.is_degraded() && served.into_value() == 2);
    let asked = OrElse(async |_call: Call, _why| Ok::<u32, Broken>(3));
    let served = at_once(manager.execute_or("bank", broken, asked)).unwrap();
    assert_eq!(served.into_value(), 3);
    let nothing = FromFn(|_: &rs_core::Failure<Broken>| None::<u32>);
    at_once(manager.execute_or("bank", broken, nothing)).unwrap_err();
    let served = at_once(manager.execute_or("nobody", fine, OrValue(4))).unwrap();
    assert_eq!(served.into_value(), 4);

    let counted = manager.metrics("bank").unwrap();
    assert_eq!((counted.succeeded, counted.failed), (1, 3));
    let source = rs_policies::FallbackSource::Value;
    let answered = metrics::FALLBACK_CALLS.read(&bench.registry, "bank", source);
    assert_eq!(answered, Some(1));
}
