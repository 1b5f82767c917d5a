//! Configuration from files: what is wrong, at which line and column, and what happens when they change.

use std::{fs, path::PathBuf, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use rs_core::{Action, ControlError, Mandate};
use rs_policies::{LoadError, LoadProblem, PipelineConfig, ResilienceConfig, ResilienceManager};

use super::{execute, manager, names, one};
use crate::support::{Bench, cases, poll};

/// A folder that is gone afterwards.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

const RIGHT: &str = r#"
[budgets.bank]
ratio = "10%"

[pipelines.payments]
timeout = "2s"
attempt_timeout = { limit = "500ms", enforcement = "dark" }
budget = "bank"
retry = { attempts = 3, backoff = { exponential = "100ms" } }
bulkhead = { limit = 32, queue = 64 }

[pipelines."v1.orders"]
safe_to_repeat = true
budget = { ratio = "5%" }
hedge = { delay = { fixed = "50ms" } }
rate_limit = { rate = "100/s" }
"#;

fn load(manager: &ResilienceManager, name: &str, text: &str) -> Result<(), LoadError> {
    let folder = Folder::new();
    manager.load(folder.write(name, text)).map(drop)
}

#[test]
fn a_file_says_what_code_can_say() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let folder = Folder::new();
    let changes = manager.load(folder.write("all.toml", RIGHT)).unwrap();
    assert_eq!(names(&changes.added), ["payments", "v1.orders"]);
    assert_eq!(execute(&manager, "payments"), Ok(17));
    assert_eq!(execute(&manager, "v1.orders"), Ok(17));

    // The same as JSON is the same.
    let config = serde_json::to_string_pretty(&*manager.config()).unwrap();
    let changes = manager.load(folder.write("all.json", &config)).unwrap();
    assert_eq!(
        names(&changes.unchanged),
        ["payments", "v1.orders"],
        "{config}"
    );
}

/// The file, with `‸` where the place is, and what is said of it.
#[track_caller]
fn check(name: &str, marked: &str, expected: &str) {
    let before = marked.find('‸').unwrap();
    let line = marked[..before].matches('\n').count() + 1;
    let start = marked[..before].rfind('\n').map_or(0, |end| end + 1);
    let column = marked[start..before].chars().count() + 1;
    let text = marked.replace('‸', "");
    let bench = Bench::new();
    let manager = manager(&bench);
    let error = load(&manager, name, &text).unwrap_err();
    assert_eq!(
        error.problem().to_string().trim_end(),
        expected,
        "of {text}"
    );
    assert_eq!(
        (error.line(), error.column()),
        (Some(line), Some(column)),
        "of {error:#}"
    );
    let shown = error.to_string();
    assert!(
        shown.ends_with(&format!("{name}:{line}:{column}: {}", error.problem())),
        "{shown}"
    );
    let caret = format!("{error:#}");
    let (mark, above) = {
        let mut lines = caret.lines().rev();
        (lines.next().unwrap(), lines.next().unwrap())
    };
    let at = |line: &str| line.find(" | ").unwrap() + 3;
    assert_eq!(
        mark.chars().count() - at(mark),
        column,
        "the mark is below the place:\n{caret}"
    );
    assert_eq!(
        above[at(above)..],
        *text.lines().nth(line - 1).unwrap().trim_end()
    );
    assert!(manager.all_metrics().is_empty());
}

#[test]
fn what_is_wrong_in_toml_is_shown_where_it_stands() {
    check(
        "a.toml",
        "[pipelines.pay]\nretry = { attempts = ‸0 }\n",
        "pipelines.pay.retry.attempts: 0 is out of range; allowed: 1 to 1000",
    );
    check(
        "a.toml",
        "[pipelines.pay]\ntimeout = ‸\"2 sec onds\"\n",
        "pipelines.pay.timeout: `2 sec onds` is not a time: no number; write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "a.toml",
        "[pipelines.pay]\n‸retyr = { attempts = 2 }\n",
        "pipelines.pay: unknown field `retyr`, did you mean `retry`? known: safe_to_repeat, timeout, retry, budget, \
         hedge, load_shed, rate_limit, bulkhead, adaptive_limit, attempt_timeout",
    );
    check(
        "a.toml",
        "[pipelines.pay.retry]\nattempts = 2\n‸atempts = 2\n",
        "pipelines.pay.retry: unknown field `atempts`, did you mean `attempts`? known: attempts, backoff, \
         total_time, honour_hints_up_to, shortest_attempt, rejections, timeouts",
    );
    check(
        "a.toml",
        "[pipelines.\"v1.pay\"]\nbulkhead = { limit = 4 }\n\n[pipelines.\"v1.pay\".retry]\nattempts = ‸-1\n",
        "pipelines.v1.pay.retry.attempts: found -1, expected a whole number from 0 to 4294967295",
    );
    check(
        "a.toml",
        "# A comment with ü.\n[pipelines.‸pay]\ntimeout = \"1s\"\nattempt_timeout = \"2s\"\n",
        "pipelines.pay: pipeline `pay` cannot work: total timeout and attempt timeout: 2s inside 1s is never reached",
    );
    check(
        "a.toml",
        "[pipelines.pay]\n‸bulkhead = { queue = 4 }\n",
        "pipelines.pay.bulkhead.limit: is missing",
    );
    check(
        "a.toml",
        "[pipelines.pay]\nbudget = ‸\"bank\"\nretry = {}\n[budgets.bnak]\n",
        "pipelines.pay.budget: unknown budget `bank`, did you mean `bnak`? known: bnak",
    );
    check(
        "a.toml",
        "‸pipeline = 3\n",
        "unknown field `pipeline`, did you mean `pipelines`? known: budgets, pipelines",
    );
}

#[test]
fn what_is_not_toml_is_shown_where_it_ends_to_be() {
    let bench = Bench::new();
    let error = load(&manager(&bench), "a.toml", "[pipelines.pay\nretry = {}").unwrap_err();
    assert!(matches!(error.problem(), LoadProblem::Syntax(_)), "{error}");
    assert_eq!(
        (error.line(), error.column()),
        (Some(1), Some(15)),
        "{error:#}"
    );
    let error = load(&manager(&bench), "a.json", "{\n  \"pipelines\": {]\n}").unwrap_err();
    assert!(matches!(error.problem(), LoadProblem::Syntax(_)), "{error}");
    assert_eq!(
        (error.line(), error.column()),
        (Some(2), Some(17)),
        "{error:#}"
    );
}

#[test]
fn what_is_wrong_in_json_is_shown_where_it_stands() {
    check(
        "a.json",
        "{ \"pipelines\": {\n  \"pay.v1\": { \"retry\": {\n    \"attempts\": ‸0 } } } }\n",
        "pipelines.pay.v1.retry.attempts: 0 is out of range; allowed: 1 to 1000",
    );
    check(
        "a.json",
        "{ \"pipelines\": {\n  \"pay\": {\n    ‸\"retyr\": {} } } }\n",
        "pipelines.pay: unknown field `retyr`, did you mean `retry`? known: safe_to_repeat, timeout, retry, budget, \
         hedge, load_shed, rate_limit, bulkhead, adaptive_limit, attempt_timeout",
    );
    check(
        "a.json",
        "{ \"pipelines\": {\n  \"pay\": ‸[1] } }\n",
        "pipelines.pay: found a list, expected a table",
    );
}

#[test]
fn files_that_are_no_configuration_at_all() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let error = load(&manager, "a.yaml", "").unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("a.yaml: the name must end in .toml or .json")
    );
    let error = manager.load("no/such/file.toml").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such/file.toml: cannot be read: "),
        "{error}"
    );
    assert_eq!((error.line(), error.column()), (None, None));
    assert_eq!(bench.said().len(), 2, "{:?}", bench.said());
    load(&manager, "empty.toml", "").unwrap();
}

#[tokio::test]
async fn a_file_is_followed() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let folder = Folder::new();
    let limit = |limit: u32| format!("[pipelines.bank]\nbulkhead = {{ limit = {limit} }}\n");
    let path = folder.write("a.toml", &limit(1));
    manager.load(&path).unwrap();
    let in_force = || {
        let entry = bench.directory.find("bulkhead", "bank").unwrap();
        entry.snapshot().get("limit").unwrap().to_string()
    };
    let mut following = Box::pin(manager.follow(Duration::from_secs(2)));
    // Reading is done by threads of the runtime: each look is given the time that it needs.
    let mut look_until = async |wanted: &dyn Fn() -> bool| {
        let (real, limit) = (rs_core::Clock::default(), Duration::from_secs(30));
        let begin = real.now();
        while !wanted() {
            assert!(real.now() - begin < limit, "nothing happened");
            bench.wait(Duration::from_secs(2));
            assert!(poll(following.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
    };
    folder.write("a.toml", &limit(2));
    look_until(&|| in_force() == "2").await;

    folder.write("a.toml", &limit(0));
    look_until(&|| {
        bench
            .said()
            .iter()
            .any(|said| said.contains("a.toml:2:22: "))
    })
    .await;
    let said = bench.said().len();
    let looks = std::cell::Cell::new(0);
    look_until(&|| looks.replace(looks.get() + 1) == 200).await;
    assert_eq!(bench.said().len(), said, "what is wrong is said once");
    assert_eq!(in_force(), "2");
    let entry = bench.directory.find("resilience", "resilience").unwrap();
    let wrong = entry.snapshot().get("wrong").unwrap().to_string();
    assert!(
        wrong.contains("a.toml:2:22: pipelines.bank.bulkhead.limit: 0"),
        "{wrong}"
    );

    // One that is away for a moment is no news; it comes back by being put in its place, as editors do.
    fs::remove_file(&path).unwrap();
    folder.write("b.toml", &limit(3));
    fs::rename(folder.0.path().join("b.toml"), &path).unwrap();
    look_until(&|| in_force() == "3").await;
    assert_eq!(entry.snapshot().get("wrong").unwrap().to_string(), "-");
}

#[test]
fn the_directory_can_have_it_read_again() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let by = Mandate::new("anna", "a new limit");
    let reload = || {
        let action = Action::new("reload");
        let told = bench
            .directory
            .control("resilience", "resilience", &action, &by);
        told.map_err(Box::new)
    };
    let error = reload().unwrap_err();
    assert_eq!(*error, ControlError::NotNow("it has no file".to_owned()));
    let folder = Folder::new();
    manager
        .load(folder.write("a.toml", "[pipelines.bank]\n"))
        .unwrap();
    folder.write("a.toml", "[pipelines.shop]\n");
    reload().unwrap();
    let known: Vec<_> = manager.all_metrics().into_keys().collect();
    assert_eq!(names(&known), ["shop"]);
    folder.write("a.toml", "[pipelines]\nshop = 3\n");
    let error = reload().unwrap_err().to_string();
    assert!(
        error.contains("a.toml:2:8: pipelines.shop: found 3"),
        "{error}"
    );
}

/// A right file in which some bytes are others: it is taken, or refused with a place that there is.
#[test]
fn rubbish_is_refused_and_never_panics() {
    let bench = Bench::new();
    let manager = manager(&bench);
    let json = {
        let config = toml::from_str::<ResilienceConfig>(RIGHT).unwrap();
        serde_json::to_string_pretty(&config).unwrap()
    };
    let change = (
        any::<prop::sample::Index>(),
        prop::sample::select("[]{}\"'=.,:#\n0-9e azü‸\\".chars().collect::<Vec<_>>()),
    );
    let changes = prop::collection::vec(change, 1..6);
    let folder = Folder::new();
    let strategy = (any::<bool>(), changes);
    let test = |(is_json, changes): (bool, Vec<(prop::sample::Index, char)>)| {
        let (name, right) = if is_json {
            ("a.json", json.as_str())
        } else {
            ("a.toml", RIGHT)
        };
        let mut text: Vec<char> = right.chars().collect();
        for (at, other) in changes {
            let at = at.index(text.len());
            text[at] = other;
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = manager.load(folder.write(name, &text)) {
            if let (Some(line), Some(column)) = (error.line(), error.column()) {
                let lines: Vec<_> = text.split('\n').collect();
                prop_assert!(line <= lines.len(), "{error:#}");
                prop_assert!(column <= lines[line - 1].chars().count() + 1, "{error:#}");
            }
            prop_assert!(!error.problem().to_string().is_empty());
            let _ = format!("{error:#}");
        }
        Ok(())
    };
    TestRunner::new(cases(300)).run(&strategy, test).unwrap();
    // Whatever came of it, it still takes what is right.
    manager
        .apply(one("bank", PipelineConfig::default()))
        .unwrap();
    assert_eq!(execute(&manager, "bank"), Ok(17));
}
