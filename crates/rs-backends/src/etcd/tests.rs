use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::wire::{self, Change, Said};

const FOLDER: &str = "/rs-backends/a/";

fn pair(key: &str, value: &str) -> Value {
    json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value), "mod_revision": "7" })
}

fn good() -> Value {
    let text = r#"{"service":"a","id":"1","host":"h","port":1}"#;
    pair("/rs-backends/a/1", text)
}

#[track_caller]
fn check(kvs: Value, instances: usize, skipped: u64) {
    let body = json!({ "header": { "cluster_id": "1", "revision": "7" }, "kvs": kvs }).to_string();
    let range = wire::read_range("a", FOLDER, body.as_bytes()).unwrap();
    assert_eq!(
        (range.known.len(), range.skipped),
        (instances, skipped),
        "{body}"
    );
}

#[test]
fn one_bad_instance_spoils_nothing() {
    check(json!([]), 0, 0);
    check(json!([good()]), 1, 0);
    for bad in [
        good(),
        Value::Null,
        json!({}),
        json!({ "key": "***", "value": "" }),
        json!({ "key": 3 }),
        pair("/rs-backends/a/2", ""),
        pair("/rs-backends/a/2", "nonsense"),
        pair(
            "/rs-backends/b/1",
            r#"{"service":"a","id":"1","host":"h","port":1}"#,
        ),
        pair(
            "/rs-backends/a/2",
            r#"{"service":"a","id":"1","host":"h","port":1}"#,
        ),
        pair(
            "/rs-backends/a/2",
            r#"{"service":"b","id":"2","host":"h","port":1}"#,
        ),
        pair(
            "/rs-backends/a/2",
            r#"{"service":"a","id":"2","host":"h","port":0}"#,
        ),
        pair(
            "/rs-backends/a/2",
            r#"{"service":"a","id":"2","host":"h","port":65536}"#,
        ),
        pair(
            "/rs-backends/a/2",
            r#"{"service":"a","id":"2","host":"http://x","port":1}"#,
        ),
        pair(
            "/rs-backends/a/2",
            r#"{"service":"a","id":"2","host":"h","port":1,"ttl":"999999d"}"#,
        ),
    ] {
        check(json!([good(), bad]), 1, 1);
    }
}

#[test]
fn an_answer_that_is_none_is_an_error_and_not_empty() {
    for body in [
        "",
        "null",
        "{}",
        "[]",
        "{\"header\"",
        r#"{"header":{"revision":"x"}}"#,
        "<html>",
    ] {
        assert!(
            wire::read_range("a", FOLDER, body.as_bytes()).is_err(),
            "{body}"
        );
        assert!(wire::read_watch("a", body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn what_a_watch_says_is_understood() {
    let said = |line: Value| {
        wire::read_watch("a", line.to_string().as_bytes())
            .unwrap()
            .what
    };
    let header = json!({ "cluster_id": "1", "revision": "8" });
    let begun = said(json!({ "result": { "header": header, "created": true } }));
    assert!(matches!(begun, Said::Begun));
    let events = json!([{ "kv": good() }, { "type": "DELETE", "kv": { "key": good()["key"] } }]);
    let changes = said(json!({ "result": { "header": header, "events": events } }));
    let Said::Changes {
        changes,
        more: false,
    } = changes
    else {
        panic!("{changes:?}");
    };
    assert!(matches!(changes[0], (_, 7, Change::Put(_))));
    assert!(
        matches!(changes[1].2, Change::Gone),
        "a removal has no value"
    );
    let compacted = json!({ "header": header, "canceled": true, "compact_revision": "5" });
    assert!(matches!(
        said(json!({ "result": compacted })),
        Said::Compacted
    ));
    let no_leader = said(json!({ "error": { "message": "etcdserver: no leader" } }));
    assert!(matches!(no_leader, Said::Failed(why) if why.contains("no leader")));
}

#[test]
fn a_lease_has_whole_seconds_and_none_too_few() {
    for (ttl, seconds) in [(1_000, 1), (1_001, 2), (15_000, 15)] {
        let asked = wire::grant(Duration::from_millis(ttl));
        assert_eq!(asked, format!("{{\"TTL\":{seconds}}}"));
    }
}

#[test]
fn a_lease_without_time_is_gone() {
    let kept = |body: &str| wire::read_kept(body.as_bytes());
    assert_eq!(kept(r#"{"result":{"ID":"7","TTL":"5"}}"#), Ok(true));
    assert_eq!(kept(r#"{"result":{"ID":"7"}}"#), Ok(false));
    assert_eq!(kept(r#"{"result":{"ID":"7","TTL":"0"}}"#), Ok(false));
    assert!(kept(r#"{"error":{"message":"no leader"}}"#).is_err());
}

#[test]
fn a_token_is_not_repeated_when_it_is_wrong() {
    let error = wire::read_token(br#"{"token":["s3cr3t"]}"#).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("s3cr3t"));
}

proptest! {
    #[test]
    fn no_two_names_are_one_key(
        one in ("[a%/.2FE5]{1,5}", "[a%/.2FE5]{1,5}"), other in ("[a%/.2FE5]{1,5}", "[a%/.2FE5]{1,5}"),
    ) {
        let key = |names: &(String, String)| wire::key("/p", &names.0, &names.1);
        prop_assert_eq!(key(&one) == key(&other), one == other);
        let inside = key(&one).starts_with(&wire::folder("/p", &other.0));
        prop_assert_eq!(inside, one.0 == other.0);
    }

    #[test]
    fn nearly_right_is_no_panic(
        id in ".{0,20}", port in any::<i64>(), revision in ".{0,5}", cut in 0_usize..400,
    ) {
        let text = json!({ "service": "a", "id": id, "host": "h", "port": port }).to_string();
        let kv = pair(&wire::key("/rs-backends", "a", &id), &text);
        let header = json!({ "cluster_id": "1", "revision": revision });
        for body in [
            json!({ "header": header, "kvs": [kv] }).to_string(),
            json!({ "result": { "header": header, "events": [{ "kv": kv }] } }).to_string(),
        ] {
            let half = &body.as_bytes()[..cut.min(body.len())];
            for body in [body.as_bytes(), half] {
                let _ = wire::read_range("a", FOLDER, body);
                let _ = wire::read_watch("a", body);
            }
        }
    }
}
