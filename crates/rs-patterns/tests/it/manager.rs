//! A whole system in a file: breakers among the policies, found by attributes, changed while it runs.

use std::{fs, io::Error};

use rs_patterns::{
    breaker::BreakerKind,
    core::{Action, Condition, Directory, Mandate},
    metrics::Surroundings,
    policies::{OrValue, ResilienceManager},
};

const FILE: &str = r#"
[budgets.bank]
ratio = "10%"

[pipelines.payments]
timeout = "2s"
retry = { attempts = 2, backoff = { constant = "1ms" } }
budget = "bank"
breaker = { trip = [{ consecutive_failures = 3 }] }
bulkhead = { limit = 32, queue = 64, longest_wait = "200ms" }
attempt_timeout = "500ms"

[pipelines.search]
safe_to_repeat = true
hedge = { delay = { quantile = "95%" } }
load_shed = {}
rate_limit = { rate = "500/s" }
"#;

/// Whoever copies the file of the crate page has one that is right.
#[test]
fn the_file_of_the_crate_page_is_right() {
    let page = include_str!("../../../rs-policies/README.md");
    let (_, behind) = page.split_once("```toml\n[budgets.bank]").unwrap();
    let (file, _) = behind.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resilience.toml");
    fs::write(&path, format!("[budgets.bank]{file}")).unwrap();
    let around = Surroundings::apart();
    let manager = ResilienceManager::within(&around).knowing(BreakerKind);
    let changes = manager.load(&path).unwrap();
    assert_eq!(changes.added.len(), 2);

    // And so is what it says of a wrong one.
    let (_, behind) = page
        .split_once("the\nerror says where:\n\n```text\n")
        .unwrap();
    let (shown, _) = behind.split_once("```").unwrap();
    let wrong = fs::read_to_string(&path)
        .unwrap()
        .replace("attempts = 3", "attempts = 0");
    fs::write(&path, wrong).unwrap();
    let error = format!("{:#}", manager.load(&path).unwrap_err());
    let error = error.replace(&path.display().to_string(), "resilience.toml");
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        shown.lines().collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_of_a_file_keeps_what_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resilience.toml");
    fs::write(&path, FILE).unwrap();
    let directory = Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let manager = ResilienceManager::within(&around).knowing(BreakerKind);
    manager.load(&path).unwrap();
    let plan = manager.pipelines().get("payments").unwrap();
    let plan = plan.plan().unwrap().to_string();
    assert!(
        plan.contains("breaker          opens after 3 bad calls at the earliest"),
        "{plan}"
    );

    // Two attempts fail; the third failure opens.
    let fail = || manager.execute("payments", async |_call| Err::<(), _>(Error::other("away")));
    fail().await.unwrap_err();
    assert!(manager.health().is_up());
    fs::write(
        &path,
        FILE.replace("limit = 32", "limit = 16")
            .replace("failures = 3", "failures = 4"),
    )
    .unwrap();
    manager.load(&path).unwrap();
    fail().await.unwrap_err();
    let health = manager.health();
    assert_eq!(health.condition, Condition::Down, "{health}");
    assert!(
        health
            .to_string()
            .contains("payments is down: breaker: open, next probe in "),
        "{health}"
    );

    let refused = manager
        .execute("payments", async |_call| Ok::<u32, Error>(17))
        .await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .starts_with("breaker `payments` refused the call")
    );
    let shown = manager.execute_or("payments", async |_call| Ok::<u32, Error>(17), OrValue(0));
    assert!(shown.await.unwrap().is_degraded());

    // A file that is wrong leaves it open as it is, and says where.
    fs::write(&path, FILE.replace("failures = 3", "failures = 0")).unwrap();
    let wrong = manager.load(&path).unwrap_err();
    assert_eq!(
        (wrong.line(), wrong.column()),
        (Some(9), Some(46)),
        "{wrong:#}"
    );
    assert_eq!(manager.health().condition, Condition::Down);

    // What people order holds, and says who ordered it.
    let by = Mandate::new("anna", "the bank moves");
    directory
        .control("breaker", "payments", &Action::new("isolate"), &by)
        .unwrap();
    assert_eq!(
        manager.health().to_string(),
        "down\npayments is down: breaker: isolated by order of anna: the bank moves"
    );
    directory
        .control("breaker", "payments", &Action::new("reset"), &by)
        .unwrap();
    let charged = manager
        .execute("payments", async |_call| Ok::<u32, Error>(17))
        .await;
    assert_eq!(charged.unwrap(), 17);
    assert!(manager.health().is_up());
}

/// The plan on the crate page is the one that is printed.
#[test]
fn the_plan_of_the_crate_page_is_printed() {
    use std::time::Duration;

    use rs_patterns::policies::{BulkheadConfig, Pipeline, RetryConfig};

    let page = include_str!("../../../rs-policies/README.md");
    let (_, behind) = page
        .split_once("The plan that it prints:\n\n```text\n")
        .unwrap();
    let (shown, _) = behind.split_once("\n```").unwrap();
    let payments = Pipeline::named("payments")
        .within(&Surroundings::apart())
        .timeout(Duration::from_secs(2))
        .retry(RetryConfig::default())
        .bulkhead(BulkheadConfig::of(32).with_queue(64, Duration::from_millis(200)))
        .attempt_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    assert_eq!(payments.plan().to_string(), shown);
}
