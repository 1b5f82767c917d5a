use std::time::{Duration, Instant};

use proptest::prelude::*;
use rs_core::Clock;

use super::{
    source::{Index, Pace},
    wire,
};
use crate::{InstanceHealth, ServiceInstance};

#[test]
fn the_index_begins_anew_when_it_falls_and_is_never_zero() {
    let mut index = Index::default();
    assert!(!index.heard(Some(12)), "the first continues nothing");
    assert!(index.heard(Some(12)));
    assert!(!index.heard(Some(5)), "data were lost");
    assert_eq!(index.known(), None, "the next asks for everything, now");
    index.heard(Some(0));
    assert_eq!(index.known(), Some(1), "zero would never wait");
    index.heard(None);
    assert_eq!(index.known(), None);
}

#[test]
fn an_agent_that_never_waits_is_asked_twenty_times_in_a_second() {
    let mut pace = Pace::default();
    let (clock, _hand) = Clock::manual();
    let (start, mut asked): (Instant, _) = (clock.now(), 0);
    let mut now = start;
    while now < start + Duration::from_secs(10) {
        now += pace.wait(now).unwrap_or_default() + Duration::from_micros(200);
        asked += 1;
    }
    assert!((190..=210).contains(&asked), "{asked}");
}

fn entry(service: &str) -> String {
    format!(
        r#"{{"Node":{{"Address":"10.0.0.1"}},"Service":{{"ID":"i","Service":"a",{service}}},"Checks":[]}}"#
    )
}

#[track_caller]
fn check(body: &str, instances: usize, skipped: u64) {
    let listed = wire::read("a", body.as_bytes()).unwrap();
    assert_eq!(
        (listed.instances.len(), listed.skipped),
        (instances, skipped),
        "{body}"
    );
}

#[test]
fn one_bad_instance_spoils_nothing() {
    let good = entry(r#""Port":1"#);
    check(&format!("[{good}]"), 1, 0);
    for bad in [
        entry(r#""Port":0"#),
        entry(r#""Port":70000"#),
        entry(r#""Port":-1"#),
        entry(r#""Port":"1""#),
        entry(r#""Port":1,"Tags":3"#),
        entry(r#""Port":1,"Address":"http://x""#),
        entry(r#""Port":1,"Weights":{"Passing":0,"Warning":1}"#),
        entry(r#""Port":1,"Meta":{"rs_ports":"nonsense"}"#),
        entry(r#""Port":1,"Meta":{"rs_ttl":"99999999999999999999"}"#),
        entry(r#""Port":1,"Service":"A""#),
        "3".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
    ] {
        check(&format!("[{good},{bad}]"), 1, 1);
    }
}

#[test]
fn an_answer_that_is_no_list_is_an_error_and_not_empty() {
    for body in ["", "null", "{}", "[", r#"[{"Node""#, "\u{feff}[]", "<html>"] {
        assert!(wire::read("a", body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn what_others_wrote_is_read_too() {
    let null = entry(r#""Port":1,"Tags":null,"Meta":null,"Address":"""#);
    let listed = wire::read("a", format!("[{null}]").as_bytes()).unwrap();
    let instance = &listed.instances[0];
    assert_eq!(
        (instance.host(), instance.id()),
        ("10.0.0.1", "i"),
        "the address of the node"
    );
    let odd = null.replace(
        r#""Checks":[]"#,
        r#""Checks":[{"Status":"passing"},{"Status":"odd"}]"#,
    );
    let listed = wire::read("a", format!("[{odd}]").as_bytes()).unwrap();
    assert_eq!(listed.instances[0].health(), InstanceHealth::Unknown);
}

proptest! {
    #[test]
    fn rubbish_is_no_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wire::read("a", &body);
    }

    #[test]
    fn nearly_right_is_no_panic(
        id in ".{0,20}", service in ".{0,4}", port in any::<i32>(), key in "(rs_)?(x|zone|ports|ttl)?.{0,9}",
        value in ".{0,20}", status in ".{0,9}", cut in 0_usize..400,
    ) {
        let body = serde_json::json!([{
            "Service": {"ID": id, "Service": service, "Port": port, "Address": "h", "Meta": {key: value}},
            "Checks": [{"Status": status}],
        }]).to_string();
        let _ = wire::read(&service, body.as_bytes());
        let _ = wire::read(&service, &body.as_bytes()[..cut.min(body.len())]);
    }

    #[test]
    fn no_two_names_are_one_path(one in "[a%/:.2FE5]{1,6}", other in "[a%/:.2FE5]{1,6}") {
        prop_assert_eq!(wire::escape(&one) == wire::escape(&other), one == other);
        prop_assert!(!wire::escape(&one).contains('/'));
        prop_assert!(!matches!(wire::escape(&one).as_str(), "." | ".."));
    }

    #[test]
    fn what_is_written_is_valid(id in "\\PC{1,30}", key in "\\PC{1,14}", value in "\\PC{0,30}") {
        let instance = ServiceInstance::builder("a", "h", 1).id(id).metadata(key, value).build().unwrap();
        let body = wire::registration(&instance, Duration::from_secs(60)).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        for key in json["Meta"].as_object().unwrap().keys() {
            prop_assert!(key.len() <= 128, "{key}");
            prop_assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        }
    }
}
