use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::cache_migrate::Stage as At;

use super::stage::Stage;
use crate::say::say;

pub(super) async fn to_the_end(stage: &mut Stage) -> Result<()> {
    let demo = Arc::clone(&stage.demo);
    stage.open(100.0).await;
    let before = demo.load.meter.reading();
    stage.cause("cache migrate").await?;
    let migration = &demo.shop.prices.migration;
    let bound = Duration::from_secs(60);
    let complete = stage.until(bound, || migration.is_complete()).await;
    let after = stage.watch(stage.seconds(3.0, 1.0)).await;
    let all = demo.load.meter.reading().since(&before);
    for decision in &migration.report().decisions {
        say!("  {decision}");
    }
    stage.promise_within("the migration is complete", bound, complete);
    stage.promise_none_failed(&all);
    let (new, orders) = (migration.report().new_hits, after.all());
    stage.promise(
        "the new cache answers",
        new > 0 && orders > 0,
        format!("{new} hits on the way"),
    );
    Ok(())
}

pub(super) async fn and_back(stage: &mut Stage) -> Result<()> {
    let demo = Arc::clone(&stage.demo);
    stage.open(100.0).await;
    let before = demo.load.meter.reading();
    stage.cause("cache migrate").await?;
    let migration = &demo.shop.prices.migration;
    let bound = Duration::from_secs(60);
    let live = stage
        .until(bound, || migration.state().stage == At::Live)
        .await;
    stage.cause("cache fail").await?;
    let back = stage
        .until(bound, || migration.state().stage == At::Off)
        .await;
    stage.watch(stage.seconds(5.0, 2.0)).await;
    let stays = migration.state().stage == At::Off;
    let all = demo.load.meter.reading().since(&before);
    for decision in &migration.report().decisions {
        say!("  {decision}");
    }
    stage.promise_within("it reads from the new cache", bound, live);
    stage.promise_within("it rolls back by itself", bound, back);
    stage.promise("and stays there", stays, migration.state().to_string());
    stage.promise_none_failed(&all);
    Ok(())
}
