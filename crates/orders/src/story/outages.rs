use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::{breaker::BreakerState, core::Clock};

use super::stage::Stage;
use crate::{control, say::say, view::millis};

pub(super) async fn payments(stage: &mut Stage) -> Result<()> {
    let demo = Arc::clone(&stage.demo);
    demo.load.audit();
    stage.open(100.0).await;
    let before = demo.load.meter.reading();
    // First the worst kind: it charges, and nobody hears of it.
    stage.cause("payments close").await?;
    let (breaker, bound) = (&demo.shop.payments.breaker, Duration::from_secs(5));
    let opened = stage
        .until(bound, || breaker.state() == BreakerState::Open)
        .await;
    stage.watch(stage.seconds(3.0, 1.0)).await;
    stage.cause("payments fail").await?;
    stage.watch(stage.seconds(5.0, 1.0)).await;
    stage.cause("payments kill").await?;
    stage.watch(stage.seconds(5.0, 1.0)).await;
    let outage = demo.load.meter.reading().since(&before);
    stage.cause("payments start").await?;
    stage.promise_none_failed(&outage);
    stage.promise_within("the breaker opens", bound, opened);
    let queued = outage.counts.queued;
    stage.promise(
        "orders are queued",
        queued > 0,
        format!("{queued} of {}", outage.all()),
    );

    let bound = Duration::from_secs(30);
    let closed = stage
        .until(bound, || breaker.state() == BreakerState::Closed)
        .await;
    stage.promise_within("the breaker closes", bound, closed);
    stage.promise_all_charged_once().await
}

pub(super) async fn slow_instance(stage: &mut Stage) -> Result<()> {
    let second = Duration::from_secs(1);
    let mut normal = stage.open(100.0).await.quantile(0.99);
    for _ in 0..stage.seconds(5.0, 3.0).as_secs() {
        normal = normal.max(stage.watch(second).await.quantile(0.99));
    }
    // Below that, it is the machine's own noise.
    let limit = 2 * normal.max(Duration::from_millis(5));
    let before = stage.demo.load.meter.reading();
    // So slow that it would show, if calls went there as before: also on a machine that is slow itself.
    let slow = (4 * normal).clamp(Duration::from_millis(200), Duration::from_millis(450));
    stage
        .cause(&format!("inventory-2 slow {}ms", slow.as_millis()))
        .await?;
    let clock = Clock::default();
    let begun = clock.now();
    let (mut back, mut last) = (None, Duration::MAX);
    // The last second that is looked at ends when the five are over.
    while back.is_none() && clock.now() - begun <= Duration::from_secs(4) {
        last = stage.watch(second).await.quantile(0.99);
        back = (last <= limit).then(|| clock.now() - begun);
    }
    let stays = stage.watch(stage.seconds(5.0, 2.0)).await.quantile(0.99);
    let all = stage.demo.load.meter.reading().since(&before);
    let seen = |time| format!("{}, normal {}", millis(time), millis(normal));
    let after = back.map_or(String::new(), |back| format!(", after {}", millis(back)));
    stage.promise(
        "p99 within 2 x normal in 5s",
        back.is_some(),
        seen(last) + &after,
    );
    stage.promise("and it stays there", stays <= limit, seen(stays));
    stage.promise_none_failed(&all);
    Ok(())
}

pub(super) async fn killed_instance(stage: &mut Stage) -> Result<()> {
    stage.open(100.0).await;
    let before = stage.demo.load.meter.reading();
    stage.cause("inventory-2 kill").await?;
    stage.watch(stage.seconds(4.0, 2.0)).await;
    stage.cause("inventory-2 start").await?;
    let demo = Arc::clone(&stage.demo);
    let calls = || {
        demo.fleet
            .named("inventory-2")
            .iter()
            .map(|one| one.calls())
            .sum::<u64>()
    };
    let restarted = calls();
    let bound = Duration::from_secs(30);
    let back = stage.until(bound, || calls() > restarted + 10).await;
    // And one that nobody hears from: it is stopped, its sockets stay.
    stage.cause("inventory-3 stop").await?;
    stage.watch(stage.seconds(4.0, 2.0)).await;
    stage.cause("inventory-3 continue").await?;
    stage.watch(stage.seconds(2.0, 1.0)).await;
    stage.demo.load.settle().await;
    let all = stage.demo.load.meter.reading().since(&before);
    stage.promise_none_failed(&all);
    stage.promise_within("it gets calls again", bound, back);
    Ok(())
}

pub(super) async fn flapping_instance(stage: &mut Stage) -> Result<()> {
    stage.open(100.0).await;
    let demo = Arc::clone(&stage.demo);
    let changes = stage.demo.shop.payments.breaker.snapshot().state_changes;
    let calls = || {
        demo.fleet
            .named("payments-2")
            .iter()
            .map(|one| one.calls())
            .sum::<u64>()
    };
    let called = calls();
    let before = stage.demo.load.meter.reading();
    let times = stage.seconds(10.0, 4.0).as_secs();
    say!("  > payments-2 fail, payments-2 ok, in turns, {times} times, 400ms each");
    for _ in 0..times {
        control::apply(&demo, "payments-2 fail").await?;
        stage.watch(Duration::from_millis(400)).await;
        control::apply(&demo, "payments-2 ok").await?;
        stage.watch(Duration::from_millis(400)).await;
    }
    stage.demo.load.settle().await;
    let all = stage.demo.load.meter.reading().since(&before);
    stage.promise_none_failed(&all);
    let called = calls() - called;
    stage.promise(
        "10% of the calls at most go to it",
        called * 10 <= all.all(),
        format!("{called} of {}", all.all()),
    );
    let changes = stage.demo.shop.payments.breaker.snapshot().state_changes - changes;
    stage.promise(
        "the breaker of the service stays closed",
        changes == 0,
        format!("{changes} changes"),
    );
    let queued = all.counts.queued;
    let few = queued * 100 <= all.all();
    stage.promise(
        "1% of the orders wait at most",
        few,
        format!("{queued} of {}", all.all()),
    );
    Ok(())
}
