//! Budgets in files.

use super::*;
use rs_core::{Value, config as read};

fn from(text: &str) -> Result<BudgetConfig, String> {
    let value = toml::from_str::<Value>(text).unwrap();
    read::read(value).map_err(|error| error.to_string())
}

#[test]
fn what_is_written_is_read() {
    let whole = "ratio = \"10%\"\nat_least = \"30/min\"\ncosts = { timed_out = 5.0 }";
    let costs = Costs {
        timed_out: 5.0,
        ..Costs::default()
    };
    let expected = config(10, "30/min").with_costs(costs);
    assert_eq!(from(whole), Ok(expected));
    assert_eq!(toml::from_str(whole), Ok(expected));
    assert_eq!(from(""), Ok(BudgetConfig::default()));
    for config in [expected, BudgetConfig::default()] {
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<BudgetConfig>(&json).unwrap(), config);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<BudgetConfig>(&text), Ok(config));
    }
}

#[test]
fn what_is_written_wrongly_is_explained() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(from(text).unwrap_err(), expected);
    }
    check(
        "rato = 1",
        "unknown field `rato`, did you mean `ratio`? known: ratio, at_least, costs",
    );
    check(
        "ratio = \"120%\"",
        "ratio: 120% is out of range; allowed: 0% to 100%",
    );
    check(
        "at_least = 5",
        "at_least: `5` is not a rate; write it like 100/s, 5000/min or 3/10s",
    );
    check(
        "[costs]\npermanent = 1.0",
        "costs: unknown field `permanent`; known: transient, timed_out, throttled",
    );
}

#[test]
fn costs_have_a_range() {
    let bench = Bench::new();
    for wrong in [0.0, -1.0, f64::NAN, 1001.0] {
        let costs = Costs {
            throttled: wrong,
            ..Costs::default()
        };
        let config = config(20, "1/s").with_costs(costs);
        let error = Budget::within(&bench.around, "bank", config).unwrap_err();
        let expected = format!("costs.throttled: {wrong} is out of range; allowed: 0.1 to 1000");
        assert_eq!(error.to_string(), expected);
    }
}
