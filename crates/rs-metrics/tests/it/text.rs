use std::{
    io::{ErrorKind, Write},
    process::{Command, Stdio},
    time::Duration,
};

use proptest::prelude::*;
use rs_core::{Name, Unit, label_set};
use rs_metrics::{Counter, Gauge, Histogram, LATENCY, Metric, Registry};

use crate::{outside::text, page::parse};

label_set! {
    /// How an order went.
    enum Order: "order" {
        /// It went out.
        Sent = "sent",
        /// It came back.
        Returned = "returned",
    }
}

static ORDERS: Metric<Counter, Order, 2> =
    Metric::counter("shop_orders_total", "Orders.").by(["shop", "clerk"]);
static STOCK: Metric<Gauge, (), 1> =
    Metric::gauge("shop_stock", "What is there.", Unit::Count).by(["shop"]);
static PACKED: Metric<Histogram, Order, 1> =
    Metric::histogram("shop_pack_seconds", "Time to pack.", Unit::Seconds, LATENCY).by(["shop"]);
static WEIRD: Metric<Counter, (), 1> = Metric::counter(
    "weird_total",
    "Help with a \\ and \\n, \"quotes\",\na second line and ü.",
)
.by(["shop"]);

/// Gives the page to Prometheus' own checker, which also knows what good names are.
#[track_caller]
pub(crate) fn promtool_accepts(page: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("promtool is not installed; run `cargo xtask services install`")
        }
        Err(error) => panic!("promtool does not start: {error}"),
    };
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(
        output.status.success() && said.is_empty(),
        "promtool: {said}\n{page}"
    );
}

#[test]
fn a_page_is_what_prometheus_reads() {
    let registry = Registry::new();
    let orders = ORDERS.bind_in(&registry, ("north", "ann"));
    orders[Order::Sent].add(3);
    STOCK.bind_in(&registry, "north");
    let stock = STOCK.bind_in(&registry, "south");
    stock.set(-2.5);
    let packed = PACKED.bind_in(&registry, "north");
    packed[Order::Sent].record_time(Duration::from_millis(300));
    packed[Order::Sent].record(100.0);

    let text = registry.render();
    let page = parse(&text).unwrap();
    promtool_accepts(&text);

    let labels = |order| [("shop", "north"), ("clerk", "ann"), ("order", order)];
    assert_eq!(page.value("shop_orders_total", &labels("sent")), 3.0);
    assert_eq!(page.value("shop_orders_total", &labels("returned")), 0.0);
    assert_eq!(page.value("shop_stock", &[("shop", "south")]), -2.5);
    assert_eq!(
        page.find("shop_stock", &[("shop", "north")]),
        None,
        "nobody holds it"
    );
    let kinds = ["shop_orders_total", "shop_stock", "shop_pack_seconds"]
        .map(|name| page.0[name].kind.clone());
    assert_eq!(kinds, ["counter", "gauge", "histogram"]);
    let bucket = |le| {
        let labels = [("shop", "north"), ("order", "sent"), ("le", le)];
        page.value("shop_pack_seconds_bucket", &labels)
    };
    assert_eq!(
        [bucket("0.25"), bucket("0.5"), bucket("30"), bucket("+Inf")],
        [0.0, 1.0, 1.0, 2.0]
    );
    let sent = [("shop", "north"), ("order", "sent")];
    assert_eq!(page.value("shop_pack_seconds_sum", &sent), 100.3);
    assert_eq!(page.value("shop_pack_seconds_count", &sent), 2.0);
}

#[test]
fn a_page_of_nothing_is_empty() {
    assert_eq!(Registry::new().render(), "");
}

#[test]
fn numbers_at_the_edge_are_written_as_prometheus_reads_them() {
    let registry = Registry::new();
    let stock = STOCK.bind_in(&registry, "north");
    for value in [
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        -0.0,
        0.1,
        9_007_199_254_740_993.0,
    ] {
        stock.set(value);
        let text = registry.render();
        let read = parse(&text)
            .unwrap()
            .value("shop_stock", &[("shop", "north")]);
        assert!(
            read == value || (read.is_nan() && value.is_nan()),
            "{value} in {text}"
        );
        promtool_accepts(&text);
    }
    let orders = ORDERS.bind_in(&registry, ("a", "b"));
    orders[Order::Sent].add(u64::MAX);
    assert!(registry.render().contains("} 18446744073709551615\n"));
}

const WEIRD_NAMES: [&str; 18] = [
    "",
    " ",
    "a\"b",
    "a\nb",
    "a\\nb",
    "a\\b",
    "a\\\\b",
    "a\\\"b",
    "a\\\nb",
    "\\",
    "\\\\",
    "\"",
    "\n",
    "\r\t\0",
    "ünïcödé 名前 🦀",
    "} 1\nfake_total{x=\"",
    "a,b=\"c\"",
    "\u{2028}\u{feff}",
];

#[test]
fn names_come_out_as_they_went_in() {
    let registry = Registry::new();
    for (count, name) in (1..).zip(WEIRD_NAMES) {
        WEIRD.bind_in(&registry, name).add(count);
    }
    let text = registry.render();
    let page = parse(&text).unwrap();
    for (count, name) in (1..).zip(WEIRD_NAMES) {
        assert_eq!(
            page.value("weird_total", &[("shop", name)]),
            f64::from(count),
            "{name:?}"
        );
    }
    assert_eq!(page.0.len(), 1, "no name makes a metric of its own");
    assert_eq!(
        page.0["weird_total"].help.as_deref(),
        Some("Help with a \\ and \\n, \"quotes\",\na second line and ü."),
    );
    promtool_accepts(&text);
}

proptest! {
    #[test]
    fn any_two_names_stay_two(names in prop::collection::btree_set("[a\\\\\"\nn]{0,4}|.{0,6}", 0..6)) {
        let registry = Registry::new();
        for name in &names {
            WEIRD.bind_in(&registry, Name::new(name)).increment();
        }
        let page = parse(&registry.render()).map_err(TestCaseError::fail)?;
        for name in &names {
            prop_assert_eq!(page.find("weird_total", &[("shop", name)]), Some(1.0));
        }
    }
}
