//! Pipelines of a configuration: what stays when it changes, and what is refused whole.

mod ends;
#[cfg(feature = "file")]
mod file;
mod kinds;

use rs_core::{Call, Guard, Name, Policy, Rate, Value};
use rs_policies::{
    AdaptiveConfig, Backoff, BudgetConfig, BulkheadConfig, HedgeConfig, LoadShedConfig, Pipeline,
    PipelineConfig, RateLimitConfig, ResilienceConfig, ResilienceManager, RetryConfig,
};

use crate::{
    pipeline::Broken,
    support::{Bench, MS, SECOND, at_once, percent, poll},
};

fn manager(bench: &Bench) -> ResilienceManager {
    ResilienceManager::within(&bench.around)
}

fn one(name: &str, pipeline: PipelineConfig) -> ResilienceConfig {
    ResilienceConfig::default().with_pipeline(name, pipeline)
}

fn bulkhead(limit: u32) -> PipelineConfig {
    PipelineConfig::default().with_bulkhead(BulkheadConfig::of(limit))
}

fn execute(manager: &ResilienceManager, name: &'static str) -> Result<u32, String> {
    let called = at_once(manager.execute(name, async |_call| Ok::<_, Broken>(17)));
    called.map_err(|failure| failure.to_string())
}

#[track_caller]
fn refused(manager: &ResilienceManager, config: ResilienceConfig) -> String {
    manager.apply(config).unwrap_err().to_string()
}

fn shown(bench: &Bench, kind: &str, name: &str, field: &str) -> String {
    let entry = bench.directory.find(kind, name).unwrap();
    entry.snapshot().get(field).unwrap().to_string()
}

fn names(names: &[Name]) -> Vec<&'static str> {
    names.iter().map(|name| name.as_str()).collect()
}

#[test]
fn a_pipeline_has_the_parts_that_it_is_given_in_the_right_order() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let rate = RateLimitConfig::gcra(Rate::new(100.0, SECOND).unwrap());
    let retry = RetryConfig::new(2, Backoff::constant(10 * MS));
    let config = PipelineConfig::default()
        .safe_to_repeat()
        .with_timeout(10 * SECOND)
        .with_retry(retry.clone())
        .with_hedge(HedgeConfig::after(200 * MS))
        .with_load_shed(LoadShedConfig::default())
        .with_rate_limit(rate)
        .with_bulkhead(BulkheadConfig::of(4))
        .with_attempt_timeout(SECOND);
    let changes = manager.apply(one("bank", config)).unwrap();
    assert_eq!(names(&changes.added), ["bank"]);
    assert_eq!(execute(&manager, "bank"), Ok(17));

    let by_hand = Pipeline::named("bank")
        .within(&Bench::new().around)
        .safe_to_repeat()
        .timeout(10 * SECOND)
        .retry(retry)
        .hedge(HedgeConfig::after(200 * MS))
        .load_shed(LoadShedConfig::default())
        .rate_limit(rate)
        .bulkhead(BulkheadConfig::of(4))
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let pipeline = manager.pipelines().get("bank").unwrap();
    assert_eq!(pipeline.plan(), Some(by_hand.plan()));

    let parts = manager.metrics("bank").unwrap().parts;
    let kinds: Vec<_> = parts.iter().map(|part| part.kind).collect();
    let expected = [
        "timeout",
        "retry",
        "budget",
        "hedge",
        "load_shed",
        "rate_limit",
        "bulkhead",
        "timeout",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn what_stays_keeps_its_calls_and_its_counts() {
    let bench = Bench::new();
    let manager = manager(&bench);
    manager.apply(one("bank", bulkhead(2))).unwrap();
    let held = [(); 2].map(|()| {
        let mut call = Box::pin(manager.execute("bank", async |_call| {
            std::future::pending::<()>().await;
            Ok::<_, Broken>(0)
        }));
        assert!(poll(call.as_mut()).is_pending());
        call
    });
    let full = "bulkhead `bank` refused the call: full";
    assert!(execute(&manager, "bank").unwrap_err().starts_with(full));

    let changes = manager.apply(one("bank", bulkhead(3))).unwrap();
    assert_eq!(names(&changes.changed), ["bank"]);
    assert_eq!(shown(&bench, "bulkhead", "bank", "in_flight"), "2");
    assert_eq!(execute(&manager, "bank"), Ok(17));
    assert!(shown(&bench, "bulkhead", "bank", "refused").starts_with("{full: 1, "));
    drop(held);
    assert_eq!(shown(&bench, "bulkhead", "bank", "in_flight"), "0");

    // The same again changes nothing and says nothing.
    let said = bench.said().len();
    let changes = manager.apply(one("bank", bulkhead(3))).unwrap();
    assert_eq!(names(&changes.unchanged), ["bank"]);
    assert_eq!(bench.said().len(), said);
}

#[test]
fn parts_come_and_go() {
    let bench = Bench::new();
    let manager = manager(&bench);
    manager.apply(one("bank", bulkhead(1))).unwrap();
    let limited = bulkhead(1).with_timeout(SECOND);
    manager.apply(one("bank", limited.clone())).unwrap();
    let slow = async |_call: Call| {
        std::future::pending::<()>().await;
        Ok::<_, Broken>(0)
    };
    let (called, took) = bench.run(manager.execute("bank", slow));
    assert_eq!(called.unwrap_err().to_string(), "not done within 1s");
    assert_eq!(took, SECOND);

    manager.apply(one("bank", bulkhead(1))).unwrap();
    let mut endless = Box::pin(manager.execute("bank", slow));
    assert!(poll(endless.as_mut()).is_pending());
    bench.wait(5 * SECOND);
    assert!(poll(endless.as_mut()).is_pending());

    // A pipeline that is gone refuses; a call that it has goes on.
    let changes = manager.apply(ResilienceConfig::default()).unwrap();
    assert_eq!(names(&changes.removed), ["bank"]);
    assert!(poll(endless.as_mut()).is_pending());
    assert_eq!(
        execute(&manager, "bank").unwrap_err(),
        "pipeline `bank` refused the call: not_registered"
    );
    assert!(manager.metrics("bank").is_none());
    manager.apply(one("bank", limited)).unwrap();
    assert_eq!(execute(&manager, "bank"), Ok(17));
}

#[test]
fn one_mistake_refuses_all_of_it() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let right = one("bank", bulkhead(2)).with_pipeline("shop", bulkhead(5));
    manager.apply(right.clone()).unwrap();
    let wrong = one("bank", bulkhead(7)).with_pipeline("shop", bulkhead(0));
    let error = refused(&manager, wrong);
    assert!(
        error.starts_with("pipelines.shop.bulkhead.limit: 0 is out of range"),
        "{error}"
    );
    assert_eq!(*manager.config(), right);
    assert_eq!(shown(&bench, "bulkhead", "bank", "limit"), "2");
    let said = bench.said();
    let last = said.last().unwrap();
    assert!(
        last.contains("keeps its pipelines, the new configuration is wrong")
            && last.contains(&error),
        "{last}"
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let config = PipelineConfig::default()
        .with_timeout(SECOND)
        .with_attempt_timeout(2 * SECOND);
    assert_eq!(
        refused(&manager, one("bank", config)),
        "pipelines.bank: pipeline `bank` cannot work: total timeout and attempt timeout: 2s inside 1s is never reached",
    );
    let config = bulkhead(2).with_adaptive_limit(AdaptiveConfig::default());
    assert_eq!(
        refused(&manager, one("bank", config)),
        "pipelines.bank.adaptive_limit: a pipeline has a bulkhead or an adaptive limit",
    );
    let config = bulkhead(2).with_budget(BudgetConfig::default());
    assert_eq!(
        refused(&manager, one("bank", config)),
        "pipelines.bank.budget: nothing spends it: there is no retry and no hedge",
    );
    let config = PipelineConfig::default().with_hedge(HedgeConfig::after(10 * MS));
    assert_eq!(
        refused(&manager, one("bank", config)),
        "pipelines.bank: pipeline `bank` cannot work: hedge and calls: the pipeline's calls are not declared safe to repeat",
    );
    let config = bulkhead(2).with_guard("breaker", Value::Null);
    assert_eq!(
        refused(&manager, one("bank", config)),
        "pipelines.bank: unknown field `breaker`; known: safe_to_repeat, timeout, retry, budget, hedge, \
         load_shed, rate_limit, bulkhead, adaptive_limit, attempt_timeout",
    );
    assert!(bench.directory.find("bulkhead", "bank").is_none());
}

fn retried() -> PipelineConfig {
    PipelineConfig::default().with_retry(RetryConfig::new(3, Backoff::constant(MS)))
}

#[test]
fn budgets_are_shared_by_name() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let config = |ratio| {
        ResilienceConfig::default()
            .with_budget("bank", BudgetConfig::of(percent(ratio)))
            .with_pipeline("pay", retried().sharing_budget("bank"))
            .with_pipeline("refund", retried().sharing_budget("bank"))
            .with_pipeline("other", retried())
    };
    manager.apply(config(10)).unwrap();
    let fail = |name: &'static str| {
        let broken = async |_call| Err::<(), _>(Broken);
        let (called, _) = bench.run(manager.execute(name, broken));
        called.unwrap_err();
    };
    fail("pay");
    fail("refund");
    let spent: u64 = shown(&bench, "budget", "bank", "withdrawn")
        .parse()
        .unwrap();
    assert!(spent > 0);
    assert_eq!(shown(&bench, "budget", "other", "withdrawn"), "0");
    assert!(bench.directory.find("budget", "pay").is_none());

    // Of those who share it, the rules change; what it counted stays.
    let changes = manager.apply(config(30)).unwrap();
    assert_eq!(names(&changes.changed), ["pay", "refund"]);
    assert_eq!(names(&changes.unchanged), ["other"]);
    assert_eq!(
        shown(&bench, "budget", "bank", "withdrawn"),
        spent.to_string()
    );
    let plan = manager.pipelines().get("pay").unwrap();
    assert!(plan.plan().unwrap().to_string().contains("budget 30%"));

    // Whoever spends another budget from now on spends that one.
    let alone = ResilienceConfig::default()
        .with_pipeline("pay", retried().with_budget(BudgetConfig::of(percent(50))));
    manager.apply(alone).unwrap();
    fail("pay");
    assert!(
        shown(&bench, "budget", "pay", "withdrawn")
            .parse::<u64>()
            .unwrap()
            > 0
    );

    let error = refused(&manager, one("pay", retried().sharing_budget("bnak")));
    assert_eq!(
        error,
        "pipelines.pay.budget: unknown budget `bnak`; there are none"
    );
}

#[test]
fn code_and_configuration_keep_out_of_each_others_way() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let by_code = || {
        Pipeline::named("mine")
            .within(&bench.around)
            .build()
            .unwrap()
    };
    assert!(manager.add("mine", by_code()).unwrap().is_none());
    assert!(manager.add("mine", by_code()).unwrap().is_some());
    assert_eq!(
        refused(&manager, one("mine", bulkhead(1))),
        "pipelines.mine: code has added a pipeline of this name"
    );
    manager.apply(one("bank", bulkhead(1))).unwrap();
    assert_eq!(
        manager.add("bank", by_code()).unwrap_err().to_string(),
        "the configuration has a pipeline `bank`"
    );
    manager.apply(ResilienceConfig::default()).unwrap();
    assert_eq!(execute(&manager, "mine"), Ok(17));
    let known: Vec<_> = manager.all_metrics().into_keys().collect();
    assert_eq!(names(&known), ["mine"]);
}

/// Four threads call while the configuration changes all the time: no call is lost, no place is kept.
#[test]
fn calls_go_on_while_it_changes() {
    const CALLS: u64 = 2_000;
    let bench = Bench::new();
    let manager = manager(&bench);
    manager.apply(one("bank", bulkhead(4))).unwrap();
    std::thread::scope(|scope| {
        let calling: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..CALLS)
                        .filter(|_| execute(&manager, "bank").is_ok())
                        .count() as u64
                })
            })
            .collect();
        let mut limit = 4;
        while calling.iter().any(|thread| !thread.is_finished()) {
            limit = 4 + (limit + 1) % 4;
            let config = match limit % 2 {
                0 => bulkhead(limit),
                _ => bulkhead(limit)
                    .with_timeout(SECOND)
                    .with_retry(RetryConfig::default()),
            };
            manager.apply(one("bank", config)).unwrap();
        }
        let done: u64 = calling
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        let counted = manager.metrics("bank").unwrap();
        assert_eq!((done, counted.succeeded), (4 * CALLS, 4 * CALLS));
    });
    assert_eq!(shown(&bench, "bulkhead", "bank", "in_flight"), "0");
}

/// The manager, the pipelines and what they live in do not keep each other alive.
#[test]
fn what_is_dropped_is_gone() {
    let bench = Bench::new();
    let manager = manager(&bench);
    manager.apply(one("bank", bulkhead(1))).unwrap();
    assert_eq!(execute(&manager, "bank"), Ok(17));
    let directory = bench.directory.clone();
    assert!(!directory.list().is_empty());
    drop((manager, bench));
    assert!(directory.list().is_empty(), "{directory:?}");
}

#[test]
fn a_guard_that_waits_waits_in_a_pipeline_of_a_configuration() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let config = BulkheadConfig::of(1).with_queue(1, 10 * SECOND);
    let waiting = PipelineConfig::default().with_bulkhead(config);
    manager.apply(one("bank", waiting)).unwrap();
    let first = manager.pipelines().get("bank").unwrap();
    let clock = bench.clock.clone();
    let slow = async |_call: Call| {
        clock.sleep(SECOND).await;
        Ok::<_, Broken>(1)
    };
    let both = async { tokio::join!(first.call("a", slow), manager.execute("bank", slow)) };
    let ((a, b), took) = bench.run(both);
    assert_eq!((a, b), (Ok(1), Ok(1)));
    assert_eq!(took, 2 * SECOND);
    // Guards of a list are asked at once where they can tell at once.
    let any = rs_core::AnyGuard::new(());
    assert!(any.enter_at_once(&Call::new("x")).is_some());
}
