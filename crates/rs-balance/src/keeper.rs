//! Housekeeping in a task, for who has one.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use rs_core::{Deadline, Guard};

use crate::{
    common::{Common, NEVER},
    inner::Inner,
};

/// An alarm is looked at not more often than this, so that a storm of failures is one piece of work.
const BREATH: Duration = Duration::from_millis(1);

pub(crate) async fn keep<T, G>(balancer: Weak<Inner<T, G>>, common: Arc<Common>)
where
    T: Send + Sync + 'static,
    G: Guard + 'static,
{
    let _keeping = Keeping::begin(&common);
    loop {
        let news = common.news.notified();
        let Some(next) = balancer.upgrade().map(|inner| {
            inner.look_after(true);
            let view = inner.view();
            view.due.min(view.sweep_at)
        }) else {
            return;
        };
        let now = common.clock.now();
        let due = match next {
            NEVER => None,
            next => common.moment(next),
        };
        // A balancer that was dropped is noticed within an hour, even if nobody says so.
        let hour = Deadline::after(now, Duration::from_secs(3600)).moment();
        let due = due.map_or(hour, |due| due.min(hour));
        let (mut news, mut sleep) = (pin!(news), pin!(common.clock.sleep_until(due)));
        poll_fn(|context| {
            let told = news.as_mut().poll(context).is_ready();
            let slept = sleep.as_mut().poll(context).is_ready();
            if told || slept {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        common.clock.sleep(BREATH).await;
    }
}

/// Says that somebody looks after the endpoints, until it is dropped.
struct Keeping<'a>(&'a Common);

impl<'a> Keeping<'a> {
    fn begin(common: &'a Common) -> Self {
        common.keepers.fetch_add(1, Ordering::Relaxed);
        Self(common)
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        self.0.keepers.fetch_sub(1, Ordering::Relaxed);
    }
}
