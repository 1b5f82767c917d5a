//! What every storage has to do, and the one in memory.

use std::time::Duration;

use crate::support::SECOND;
use rs_breaker::{FleetOrder, Forced, MemoryStorage, Report, Storage, View};
use rs_core::{Clock, Mandate, Name};
use rs_testkit::wait_until;

const SOON: Duration = Duration::from_secs(5);

fn report(replica: &str) -> Report {
    Report::new(replica, 60 * SECOND)
}

fn opening(replica: &str, open: &[&'static str]) -> Report {
    let mut report = report(replica);
    report.open.extend(open.iter().map(|name| Name::of(name)));
    report
}

fn ordering(id: u64, breaker: &str, forced: Option<Forced>) -> Report {
    let mandate = Mandate::new("anna", "it smokes");
    let mut report = report("orderer");
    report
        .orders
        .push(FleetOrder::new(breaker, id, forced, &mandate));
    report
}

fn aged(mut report: Report, given: Duration, expires_in: Option<Duration>) -> Report {
    for order in &mut report.orders {
        (order.given, order.expires_in) = (given, expires_in);
    }
    report
}

fn open(view: &View) -> Vec<(&str, u32)> {
    let mut open: Vec<_> = view
        .open
        .iter()
        .map(|(name, count)| (&**name, *count))
        .collect();
    open.sort_unstable();
    open
}

/// The id and what it says of the order for this breaker.
fn standing(view: &View, breaker: &str) -> Option<(u64, Option<Forced>)> {
    let order = view.orders.iter().find(|order| order.breaker == breaker)?;
    Some((order.id, order.forced))
}

/// All of it; the storage is empty.
pub(crate) async fn keeps_the_contract(storage: &dyn Storage) {
    counts_replicas_and_what_they_have_open(storage).await;
    forgets_who_is_silent(storage).await;
    takes_any_name(storage).await;
    hands_out_orders(storage).await;
    keeps_the_later_order(storage).await;
    remembers_what_has_ended(storage).await;
    bears_any_time(storage).await;
}

async fn counts_replicas_and_what_they_have_open(storage: &dyn Storage) {
    let view = storage
        .exchange(&opening("one", &["a", "b"]))
        .await
        .unwrap();
    assert_eq!((view.replicas, open(&view)), (1, vec![("a", 1), ("b", 1)]));
    let view = storage.exchange(&opening("two", &["b"])).await.unwrap();
    assert_eq!((view.replicas, open(&view)), (2, vec![("a", 1), ("b", 2)]));
    let view = storage.exchange(&opening("one", &["c"])).await.unwrap();
    assert_eq!(
        (view.replicas, open(&view)),
        (2, vec![("b", 1), ("c", 1)]),
        "it replaces"
    );
    storage.exchange(&report("one")).await.unwrap();
    let view = storage.exchange(&report("two")).await.unwrap();
    assert_eq!((view.replicas, open(&view)), (2, vec![]));
    assert_eq!(view.orders, []);
}

async fn forgets_who_is_silent(storage: &dyn Storage) {
    let mut short = opening("short", &["a"]);
    short.keep = Duration::from_millis(50);
    let view = storage.exchange(&short).await.unwrap();
    assert_eq!((view.replicas, open(&view)), (3, vec![("a", 1)]));
    wait_until("it is forgotten", SOON, async || {
        let view = storage.exchange(&report("one")).await.unwrap();
        view.replicas == 2 && view.open.is_empty()
    })
    .await
    .unwrap();
}

async fn takes_any_name(storage: &dyn Storage) {
    let long = Name::new(&"x".repeat(Name::MAX_LEN));
    let names = [
        "",
        " ",
        "a\nb\r\n$3",
        "\0",
        "{x}:y",
        "zahlung-ü-💶",
        "'\"",
        long.as_str(),
    ];
    let view = storage.exchange(&opening("one", &names)).await.unwrap();
    let mut expected = names.map(|name| (name, 1));
    expected.sort_unstable();
    assert_eq!(open(&view), expected);
    for (id, name) in (100..).zip(names) {
        let view = storage
            .exchange(&ordering(id, name, Some(Forced::Open)))
            .await
            .unwrap();
        assert_eq!(
            standing(&view, name),
            Some((id, Some(Forced::Open))),
            "{name:?}"
        );
    }
    storage.exchange(&report("one")).await.unwrap();
}

async fn hands_out_orders(storage: &dyn Storage) {
    for (id, forced) in (1..).zip([Forced::Open, Forced::Closed, Forced::Isolated]) {
        let ordering = aged(
            ordering(id, "orders", Some(forced)),
            SECOND,
            Some(60 * SECOND),
        );
        storage.exchange(&ordering).await.unwrap();
        let view = storage.exchange(&report("one")).await.unwrap();
        let order = view
            .orders
            .iter()
            .find(|order| order.breaker == "orders")
            .unwrap();
        assert_eq!((&*order.author, &*order.reason), ("anna", "it smokes"));
        assert_eq!((order.id, order.forced), (id, Some(forced)));
        assert!(
            order.given >= SECOND && order.given < 30 * SECOND,
            "{order:?}"
        );
        let left = order.expires_in.unwrap();
        assert!(left > 30 * SECOND && left <= 60 * SECOND, "{order:?}");
    }
    let again = storage
        .exchange(&ordering(3, "orders", Some(Forced::Open)))
        .await
        .unwrap();
    assert_eq!(
        standing(&again, "orders"),
        Some((3, Some(Forced::Isolated))),
        "it is known"
    );
}

async fn keeps_the_later_order(storage: &dyn Storage) {
    let order = |id, given| aged(ordering(id, "late", Some(Forced::Open)), given, None);
    storage.exchange(&order(11, 10 * SECOND)).await.unwrap();
    let view = storage.exchange(&order(12, 20 * SECOND)).await.unwrap();
    assert_eq!(
        standing(&view, "late"),
        Some((11, Some(Forced::Open))),
        "12 was given before"
    );
    let view = storage.exchange(&order(13, 5 * SECOND)).await.unwrap();
    assert_eq!(standing(&view, "late"), Some((13, Some(Forced::Open))));
    let lift = aged(ordering(14, "late", None), 7 * SECOND, None);
    let view = storage.exchange(&lift).await.unwrap();
    assert_eq!(
        standing(&view, "late"),
        Some((13, Some(Forced::Open))),
        "lifted before"
    );
}

async fn remembers_what_has_ended(storage: &dyn Storage) {
    let order = |id, given| aged(ordering(id, "ended", Some(Forced::Open)), given, None);
    storage.exchange(&order(21, SECOND)).await.unwrap();
    let view = storage
        .exchange(&ordering(22, "ended", None))
        .await
        .unwrap();
    assert_eq!(standing(&view, "ended"), Some((22, None)));
    let view = storage.exchange(&order(21, SECOND)).await.unwrap();
    assert_eq!(
        standing(&view, "ended"),
        Some((22, None)),
        "older than its end"
    );

    let short = aged(order(23, Duration::ZERO), Duration::ZERO, Some(SECOND / 20));
    storage.exchange(&short).await.unwrap();
    wait_until("it expires", SOON, async || {
        let view = storage.exchange(&report("one")).await.unwrap();
        let order = view.orders.iter().find(|order| order.breaker == "ended");
        order.unwrap().expires_in == Some(Duration::ZERO)
    })
    .await
    .unwrap();
    let view = storage.exchange(&order(21, 10 * SECOND)).await.unwrap();
    let expired = Some((23, Some(Forced::Open)));
    assert_eq!(standing(&view, "ended"), expired, "21 is older");
}

async fn bears_any_time(storage: &dyn Storage) {
    for (id, time) in (31..).zip([Duration::ZERO, Duration::from_nanos(1), Duration::MAX]) {
        let breaker = format!("time-{id}");
        let mut report = aged(ordering(id, &breaker, Some(Forced::Open)), time, Some(time));
        report.keep = time;
        storage.exchange(&report).await.unwrap();
        let view = storage.exchange(&report).await.unwrap();
        assert_eq!(standing(&view, &breaker), Some((id, Some(Forced::Open))));
    }
}

#[tokio::test]
async fn memory() {
    let storage = MemoryStorage::new();
    keeps_the_contract(&storage).await;
    assert!(format!("{storage:?}").starts_with("MemoryStorage { replicas: 3, orders: "));
}

#[tokio::test]
async fn memory_forgets_what_ended_a_day_ago() {
    let (clock, hand) = Clock::manual();
    let storage = MemoryStorage::with_clock(clock);
    storage
        .exchange(&ordering(1, "a", Some(Forced::Open)))
        .await
        .unwrap();
    storage.exchange(&ordering(2, "b", None)).await.unwrap();
    hand.advance(FleetOrder::REMEMBERED);
    let view = storage.exchange(&report("one")).await.unwrap();
    assert_eq!(
        (standing(&view, "a").is_some(), standing(&view, "b")),
        (true, None)
    );
}
