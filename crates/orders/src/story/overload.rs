use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::policies::BulkheadConfig;

use super::stage::Stage;
use crate::{
    meter::OrderWindow,
    say::say,
    service::{Kind, Mood},
    view::millis,
};

pub(super) async fn overload(stage: &mut Stage) -> Result<()> {
    let demo = Arc::clone(&stage.demo);
    // What this machine can do without effort: payments get half of it as their capacity, so that they are
    // what is overloaded, and not the machine.
    stage.open(400.0).await;
    let instances = demo.fleet.of(Kind::Payments);
    let work = Duration::from_secs_f64(instances.len() as f64 * 2.0 / demo.load.rate());
    let capacity = instances.len() as f64 / work.as_secs_f64();
    let mood = Mood {
        capacity: Some((1, work)),
        ..Mood::default()
    };
    for instance in instances {
        instance.set(mood, Duration::from_secs(5)).await?;
    }
    say!("  > payments can charge {capacity:.0} orders a second, one after the other");
    // As many at once as are charged in 0.3 s: what is let in is done in time.
    let door = BulkheadConfig::of((capacity * 0.3).ceil() as u32);
    demo.shop
        .door
        .reconfigure(door.with_queue(1024, Duration::from_millis(300)))?;

    demo.load.set_rate(capacity * 1.1);
    say!("  > {:.0} orders a second come", capacity * 1.1);
    stage.watch(stage.seconds(3.0, 1.0)).await;
    let normal = stage.watch(stage.seconds(5.0, 3.0)).await;
    demo.load.set_rate(capacity * 3.0);
    say!("  > {:.0} orders a second come", capacity * 3.0);
    stage.watch(stage.seconds(2.0, 1.0)).await;
    let overload = stage.watch(stage.seconds(10.0, 4.0)).await;

    let goodput = |window: &OrderWindow| window.counts.charged as f64 / window.seconds;
    let (could, can) = (goodput(&normal), goodput(&overload));
    let seen = format!("{can:.0}/s of {could:.0}/s");
    stage.promise(
        "goodput is 80% of capacity at least",
        can >= 0.8 * could && could > 0.0,
        seen,
    );
    let came = overload.all() as f64 / overload.seconds;
    let seen = format!("{came:.0}/s, {:.1} x", came / could);
    stage.promise("2.5 x the capacity came", came >= 2.5 * could, seen);
    let others = overload.counts.queued + overload.counts.failed;
    let seen = format!(
        "{} refused, {others} lost on the way",
        overload.counts.refused
    );
    let few = others as f64 <= 0.01 * overload.all() as f64;
    stage.promise("what is too much is refused at the door", few, seen);
    let p99 = overload.quantile(0.99);
    stage.promise(
        "nobody waits for long: p99 within 2s",
        p99 < Duration::from_secs(2),
        millis(p99),
    );
    Ok(())
}
