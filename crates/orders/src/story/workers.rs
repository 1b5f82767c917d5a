use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::workers::WorkerState;

use super::stage::Stage;
use crate::workers::{REFRESH, SUMMARY, UNPAID};

pub(super) async fn crash_loop(stage: &mut Stage) -> Result<()> {
    let demo = Arc::clone(&stage.demo);
    let state = |name: &'static str| demo.workers.status(name).map(|status| status.state);
    let restarts = |name: &'static str| {
        demo.workers
            .status(name)
            .map_or(0, |status| status.restarts)
    };
    stage.open(100.0).await;
    let before = demo.load.meter.reading();
    stage.cause("workers fail").await?;
    let bound = Duration::from_secs(20);
    let given_up = stage
        .until(bound, || state(REFRESH) == Some(WorkerState::Off))
        .await;
    let tried = restarts(REFRESH);
    stage.watch(stage.seconds(3.0, 1.0)).await;
    stage.promise_within("it is given up", bound, given_up);
    let more = restarts(REFRESH) - tried;
    stage.promise(
        "after 5 restarts, and no more",
        tried == 5 && more == 0,
        format!("{tried}, {more} more"),
    );
    let others = [UNPAID, SUMMARY].map(|name| (name, state(name), restarts(name)));
    let notices = |(_, state, restarts): &(_, Option<WorkerState>, u64)| {
        *state != Some(WorkerState::Ready) || *restarts > 0
    };
    let troubled: Vec<&str> = others
        .iter()
        .filter(|other| notices(other))
        .map(|(name, ..)| *name)
        .collect();
    stage.promise(
        "no other worker notices",
        troubled.is_empty(),
        match troubled.is_empty() {
            true => "all ready, none restarted".to_owned(),
            false => format!("troubled: {}", troubled.join(", ")),
        },
    );
    let all = demo.load.meter.reading().since(&before);
    stage.promise_none_failed(&all);
    stage.cause("workers ok").await?;
    let well = stage
        .until(bound, || state(REFRESH) == Some(WorkerState::Ready))
        .await;
    stage.promise_within("it is well again when it is started", bound, well);
    Ok(())
}
