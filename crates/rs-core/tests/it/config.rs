//! Configuration through `Value`, from JSON and TOML: read, written, and refused with an error that
//! says where, what and what instead.

use std::{collections::BTreeMap, fmt::Debug, num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use rs_core::{
    ConfigError, ConfigProblem, Enforcement, Mandate, Name, Rate, Share, Size, Value, config,
    humane,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::support::cases;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    name: Name,
    #[serde(default)]
    breakers: BTreeMap<String, Breaker>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    buffer: Option<Size>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Breaker {
    failure_rate: Share,
    #[serde(with = "humane::duration")]
    window: Duration,
    #[serde(default, with = "humane::duration::option")]
    cooldown: Option<Duration>,
    probes: Option<NonZeroU32>,
    #[serde(default)]
    enforcement: Enforcement,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Step {
    Nothing,
    RateLimit(Rate),
    Retry { attempts: u32, jitter: bool },
    Pair(u8, String),
}

const TOML: &str = r#"
name = "orders"
buffer = "64KiB"
steps = ["nothing", { rate_limit = "100/s" }, { retry = { attempts = 3, jitter = true } }, { pair = [1, "x"] }]

[breakers.payments]
failure_rate = "50%"
window = "1m30s"
cooldown = "2.5s"
probes = 3
enforcement = { partial = 0.25 }

[breakers.stock]
failure_rate = 0.75
window = "0"
enforcement = "dark"
"#;

const JSON: &str = r#"{
    "name": "orders",
    "buffer": "64KiB",
    "steps": ["nothing", {"rate_limit": "100/s"}, {"retry": {"attempts": 3, "jitter": true}}, {"pair": [1, "x"]}],
    "breakers": {
        "payments": {
            "failure_rate": "50%", "window": "90s", "cooldown": "2500ms", "probes": 3,
            "enforcement": {"partial": "25%"}
        },
        "stock": {
            "failure_rate": 0.75, "window": "0s", "cooldown": null, "probes": null,
            "enforcement": "dark"
        }
    }
}"#;

#[track_caller]
fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let value: Value = serde_json::from_str(text).unwrap();
    config::read(value)
}

#[track_caller]
fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let value: Value = toml::from_str(text).unwrap();
    config::read(value)
}

#[test]
fn every_format_says_the_same() {
    let expected = Service {
        name: Name::of("orders"),
        breakers: BTreeMap::from([
            (
                "payments".to_owned(),
                Breaker {
                    failure_rate: Share::of(0.5).unwrap(),
                    window: Duration::from_secs(90),
                    cooldown: Some(Duration::from_millis(2_500)),
                    probes: NonZeroU32::new(3),
                    enforcement: Enforcement::Partial(Share::of(0.25).unwrap()),
                },
            ),
            (
                "stock".to_owned(),
                Breaker {
                    failure_rate: Share::of(0.75).unwrap(),
                    window: Duration::ZERO,
                    cooldown: None,
                    probes: None,
                    enforcement: Enforcement::Dark,
                },
            ),
        ]),
        steps: vec![
            Step::Nothing,
            Step::RateLimit(Rate::new(100.0, Duration::from_secs(1)).unwrap()),
            Step::Retry {
                attempts: 3,
                jitter: true,
            },
            Step::Pair(1, "x".to_owned()),
        ],
        buffer: Some(Size::bytes(65_536)),
    };
    assert_eq!(from_toml(TOML).as_ref(), Ok(&expected));
    assert_eq!(from_json(JSON).as_ref(), Ok(&expected));
    // Straight from the format, without the value in between.
    assert_eq!(serde_json::from_str::<Service>(JSON).unwrap(), expected);
    assert_eq!(toml::from_str::<Service>(TOML).unwrap(), expected);
    // And what is written is read back.
    let written = serde_json::to_string(&expected).unwrap();
    assert_eq!(from_json(&written), Ok(expected));
}

/// One thing is wrong in an otherwise right configuration.
#[test]
fn an_error_names_the_field_and_what_to_write() {
    #[track_caller]
    fn check(right: &str, wrong: &str, expected: &str) {
        assert!(TOML.contains(right));
        let broken = TOML.replacen(right, wrong, 1);
        let error = from_toml::<Service>(&broken).unwrap_err();
        println!("{error}");
        assert_eq!(error.to_string(), expected);
        if !error.field().is_empty() {
            assert!(expected.starts_with(&format!("{}: ", error.field())));
        }
    }
    // Unknown names.
    check(
        "failure_rate = \"50%\"",
        "failure_rte = \"50%\"",
        "breakers.payments: unknown field `failure_rte`, did you mean `failure_rate`? \
         known: failure_rate, window, cooldown, probes, enforcement",
    );
    check(
        "failure_rate = \"50%\"",
        "threshold = \"50%\"",
        "breakers.payments: unknown field `threshold`; \
         known: failure_rate, window, cooldown, probes, enforcement",
    );
    check(
        "name = ",
        "nam = ",
        "unknown field `nam`, did you mean `name`? known: name, breakers, steps, buffer",
    );
    check(
        "\"nothing\"",
        "\"nothnig\"",
        "steps[0]: unknown name `nothnig`, did you mean `nothing`? \
         known: nothing, rate_limit, retry, pair",
    );
    check(
        "jitter = true",
        "jiter = true",
        "steps[2].retry: unknown field `jiter`, did you mean `jitter`? known: attempts, jitter",
    );
    check(
        "enforcement = \"dark\"",
        "enforcement = \"drak\"",
        "breakers.stock.enforcement: unknown name `drak`, did you mean `dark`? \
         known: full, dark, partial",
    );
    // Missing.
    check("name = \"orders\"", "", "name: is missing");
    check(
        "window = \"1m30s\"",
        "",
        "breakers.payments.window: is missing",
    );
    check("attempts = 3, ", "", "steps[2].retry.attempts: is missing");
    // The wrong unit, no unit, no number.
    check(
        "\"1m30s\"",
        "\"90\"",
        "breakers.payments.window: `90` is not a time: no unit; \
         write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "\"1m30s\"",
        "90",
        "breakers.payments.window: `90` is not a time: no unit; \
         write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "\"2.5s\"",
        "2.5",
        "breakers.payments.cooldown: `2.5` is not a time: no unit; \
         write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "\"2.5s\"",
        "\"2.5 parsecs\"",
        "breakers.payments.cooldown: `2.5 parsecs` is not a time: `parsecs` is no unit of time; \
         write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "\"100/s\"",
        "\"100\"",
        "steps[1].rate_limit: `100` is not a rate; write it like 100/s, 5000/min or 3/10s",
    );
    check(
        "\"64KiB\"",
        "\"64 apples\"",
        "buffer: `64 apples` is not a size; write it like 512, 64KiB, 10MB or 1GiB",
    );
    // Out of range.
    check(
        "\"50%\"",
        "\"150%\"",
        "breakers.payments.failure_rate: 150% is out of range; allowed: 0% to 100%",
    );
    check(
        "\"50%\"",
        "50",
        "breakers.payments.failure_rate: 50 is out of range; allowed: 0 to 1, or 0% to 100%",
    );
    check(
        "partial = 0.25",
        "partial = 2.5",
        "breakers.payments.enforcement.partial: 2.5 is out of range; allowed: 0 to 1, or 0% to 100%",
    );
    check(
        "probes = 3",
        "probes = 0",
        "breakers.payments.probes: found 0, expected a whole number from 1 up",
    );
    check(
        "attempts = 3",
        "attempts = -3",
        "steps[2].retry.attempts: found -3, expected a whole number from 0 to 4294967295",
    );
    check(
        "[1, \"x\"]",
        "[300, \"x\"]",
        "steps[3].pair[0]: found 300, expected a whole number from 0 to 255",
    );
    // The wrong type.
    check(
        "\"50%\"",
        "true",
        "breakers.payments.failure_rate: found true, expected a share like \"50%\" or 0.5",
    );
    check(
        "\"1m30s\"",
        "[1]",
        "breakers.payments.window: found a list, expected a time like \"30s\"",
    );
    check(
        "name = \"orders\"",
        "name = 7",
        "name: found 7, expected a text",
    );
    check(
        "{ retry = { attempts = 3, jitter = true } }",
        "3",
        "steps[2]: found `3`, expected a name or a table with one entry",
    );
    check(
        "{ rate_limit = \"100/s\" }",
        "\"rate_limit\"",
        "steps[1].rate_limit: found nothing, expected a rate like \"100/s\"",
    );
    check(
        "\"nothing\"",
        "{ nothing = 1 }",
        "steps[0].nothing: takes no value",
    );
    check(
        "{ rate_limit = \"100/s\" }",
        "{ rate_limit = \"100/s\", nothing = 1 }",
        "steps[1]: expected a table with one entry",
    );
    check(
        "[1, \"x\"]",
        "[1]",
        "steps[3].pair: invalid length 1, expected tuple variant Step::Pair with 2 elements",
    );
}

#[test]
fn what_is_wrong_can_be_asked() {
    let error = from_toml::<Service>("nam = 'x'").unwrap_err();
    assert_eq!(error.field(), "");
    let ConfigProblem::Unknown {
        what,
        name,
        nearest,
        known,
    } = error.problem()
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (&**what, &**name, nearest.as_deref()),
        ("field", "nam", Some("name"))
    );
    assert_eq!(known.len(), 4);

    let error = from_toml::<Service>("buffer = '1KiB'").unwrap_err();
    assert_eq!(
        (error.field(), error.problem()),
        ("name", &ConfigProblem::Missing)
    );
    let outer = error.in_field("services[3]").in_field("file");
    assert_eq!(outer.to_string(), "file.services[3].name: is missing");
    let listed = ConfigError::missing("x")
        .in_field("[1]")
        .in_field("[0]")
        .in_field("rows");
    assert_eq!(listed.field(), "rows[0][1].x");
}

/// What somebody forces by hand ends when they say; a slip of the pen must not make it last.
#[test]
fn a_mandate_with_a_slip_of_the_pen_is_refused() {
    let written = r#"{ "author": "anna", "reason": "drill", "expires_in": "5m" }"#;
    let by: Mandate = from_json(written).unwrap();
    assert_eq!(
        by,
        Mandate::new("anna", "drill").lasting(Duration::from_secs(300))
    );
    assert_eq!(by.to_string(), "by anna (drill) for 5m");
    assert_eq!(from_json(&serde_json::to_string(&by).unwrap()), Ok(by));

    assert_eq!(
        from_json::<Mandate>(&written.replace("expires_in", "expire_in"))
            .unwrap_err()
            .to_string(),
        "unknown field `expire_in`, did you mean `expires_in`? known: author, reason, expires_in",
    );
    let action: rs_core::Action =
        from_json(r#"{ "name": "resize", "arguments": { "places": 64 } }"#).unwrap();
    assert_eq!(action, rs_core::Action::new("resize").with("places", 64));
    assert_eq!(
        from_json::<rs_core::Action>(r#"{ "name": "resize", "argument": {} }"#)
            .unwrap_err()
            .to_string(),
        "unknown field `argument`, did you mean `arguments`? known: name, arguments",
    );
}

/// What is shown may be rounded; what is written may not.
#[test]
fn nothing_is_lost_in_writing() {
    #[track_caller]
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, written: &str) {
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(json, format!("\"{written}\""));
        assert_eq!(from_json::<T>(&json), Ok(value));
    }
    check(Size::bytes(65_537), "65537B");
    check(Size::bytes(65_536), "64KiB");
    check(Size::bytes(0), "0B");
    check(Size::bytes(u64::MAX), "18446744073709551615B");
    check(Share::of(0.123_456_789).unwrap(), "0.123456789");
    check(Share::of(0.5).unwrap(), "50%");
    check(
        Rate::new(3.0, Duration::from_millis(61_500)).unwrap(),
        "3/1m1s500ms",
    );
    check(Rate::new(0.1, Duration::from_secs(1)).unwrap(), "0.1/s");
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[0-9]{1,3}(%|s|ms|/s|KiB|)".prop_map(Value::from),
        prop::sample::select(vec!["nothing", "retry", "dark", "full", "name"])
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        "\\PC{0,4}".prop_map(String::from),
        prop::sample::select(vec![
            "name",
            "breakers",
            "steps",
            "buffer",
            "failure_rate",
            "window",
            "cooldown",
            "probes",
            "enforcement",
            "nothing",
            "rate_limit",
            "retry",
            "pair",
            "attempts",
            "jitter",
            "partial",
        ])
        .prop_map(String::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(Value::map),
        ]
    })
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // JSON knows no such numbers.
        (Value::Number(n), Value::Null) => !n.is_finite(),
        // The reader of JSON is off by the last bits now and then.
        (Value::Number(a), Value::Number(b)) => a == b || (a / b - 1.0).abs() < 1e-9,
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        }
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_value_is_read_or_refused(value in values()) {
        let error_is_said = |error: ConfigError| assert!(!error.to_string().is_empty());
        config::read::<Service>(value.clone()).map_or_else(error_is_said, drop);
        config::read::<Breaker>(value.clone()).map_or_else(error_is_said, drop);
        config::read::<Step>(value.clone()).map_or_else(error_is_said, drop);
        config::read::<Option<Vec<Step>>>(value.clone()).map_or_else(error_is_said, drop);
        config::read::<Mandate>(value.clone()).map_or_else(error_is_said, drop);
        config::read::<(u8, Option<Share>)>(value.clone()).map_or_else(error_is_said, drop);
        config::read::<serde_json::Value>(value.clone()).map_or_else(error_is_said, drop);
        // Anything is a value.
        let again = config::read::<Value>(value.clone()).unwrap();
        let has_nan = format!("{value:?}").contains("NaN");
        prop_assert!(same(&value, &again) || has_nan);
    }

    #[test]
    fn a_value_goes_through_json_unharmed(value in values()) {
        let json = serde_json::to_string(&value).unwrap();
        let again: Value = serde_json::from_str(&json).unwrap();
        prop_assert!(same(&value, &again), "{} became {}", value, again);
    }

    #[test]
    fn what_is_written_is_read_back(bytes: u64, part in 0.0..=1.0, count in 0.0..1e12, nanos in 1_u64..) {
        let size = Size::bytes(bytes);
        let share = Share::of(part).unwrap();
        let rate = Rate::new(count, Duration::from_nanos(nanos)).unwrap();
        let json = serde_json::to_string(&(size, share, rate)).unwrap();
        prop_assert_eq!(from_json(&json), Ok((size, share, rate)), "{}", json);
        // The value that a snapshot shows is no poorer.
        let values = Value::List(vec![size.into(), share.into(), rate.into()]);
        prop_assert_eq!(config::read(values), Ok((size, share, rate)));
    }
}

/// A part that is checked as a whole once it has been read.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
struct Checked(Duration);

#[derive(Deserialize)]
struct Written {
    #[serde(with = "humane::duration")]
    wait: Duration,
}

impl TryFrom<Written> for Checked {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let allowed = Duration::ZERO..=Duration::from_secs(60);
        config::time_in_range("wait", written.wait, allowed).map(Self)
    }
}

#[test]
fn an_error_keeps_its_parts_on_its_way_through_serde() {
    #[track_caller]
    fn check<T: Debug + DeserializeOwned>(json: &str, field: &str, problem: &ConfigProblem) {
        let value: Value = serde_json::from_str(json).unwrap();
        let error = config::read::<T>(value).unwrap_err();
        assert_eq!(
            (error.field(), error.problem()),
            (field, problem),
            "{error}"
        );
    }
    check::<BTreeMap<String, Share>>(
        r#"{ "payments": "150%" }"#,
        "payments",
        &ConfigProblem::OutOfRange {
            value: "150%".to_owned(),
            allowed: "0% to 100%".to_owned(),
        },
    );
    let too_long = |value: &str| ConfigProblem::OutOfRange {
        value: value.to_owned(),
        allowed: "0s to 1m".to_owned(),
    };
    check::<BTreeMap<String, Vec<Checked>>>(
        r#"{ "payments": [{ "wait": "1s" }, { "wait": "2m" }] }"#,
        "payments[1].wait",
        &too_long("2m"),
    );
    // An error that only quotes another is a text.
    let error = <ConfigError as serde::de::Error>::custom(format_args!(
        "no: {}",
        ConfigError::missing("wait")
    ));
    assert_eq!(
        error.problem(),
        &ConfigProblem::Other("no: wait: is missing".to_owned())
    );
    // And one error leaves nothing behind for the next.
    let error = <ConfigError as serde::de::Error>::custom("wait: is missing");
    assert_eq!(error.field(), "");
}
