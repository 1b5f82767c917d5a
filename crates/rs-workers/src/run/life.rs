use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rs_core::Clock;

use super::Run;
use crate::{
    RunEnd, WorkerContext, WorkerFuture,
    contain::{contained, drop_contained},
    slot::Slot,
};

/// The task of a run: contains its panics, watches how long it holds its thread, and says how it ended,
/// also when it is aborted.
pub(crate) struct Life {
    /// `None` once it has ended.
    work: Option<WorkerFuture<'static>>,
    slot: Arc<Slot>,
    run: Arc<Run>,
    clock: Clock,
}

impl Life {
    pub(crate) fn new(slot: &Arc<Slot>, run: &Arc<Run>, clock: &Clock) -> Self {
        let ctx = WorkerContext::new(Arc::clone(slot), Arc::clone(run), clock.clone());
        let worker = slot.worker();
        Self {
            work: Some(Box::pin(async move {
                match worker {
                    Some(worker) => worker.run(ctx).await,
                    None => Ok(()),
                }
            })),
            slot: Arc::clone(slot),
            run: Arc::clone(run),
            clock: clock.clone(),
        }
    }

    fn end(&mut self, end: RunEnd) {
        let panicked = drop_contained(self.work.take());
        let end = match panicked {
            // What was to be cleared away says more than that it was aborted.
            Some(payload) if !matches!(end, RunEnd::Panicked(_)) => RunEnd::Panicked(payload),
            _ => end,
        };
        if let Some(end) = self.run.brood.end(end) {
            self.slot.ended(&self.run, end);
        }
    }
}

impl Future for Life {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let life = &mut *self;
        let Some(work) = &mut life.work else {
            return Poll::Ready(());
        };
        let began = life.clock.now();
        life.slot.vital.polls(began);
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        let ended = life.clock.now();
        life.slot.polled(ended.saturating_duration_since(began));
        let end = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => {
                contained(|| RunEnd::of(result)).unwrap_or_else(RunEnd::Panicked)
            }
            Err(payload) => RunEnd::Panicked(crate::contain::payload(payload)),
        };
        life.end(end);
        Poll::Ready(())
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if self.work.is_some() {
            self.end(RunEnd::Aborted);
        }
    }
}
