use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use rs_core::Clock;

/// A wait until a moment that may change before it comes.
#[derive(Default)]
pub(crate) struct Timer(Option<(Instant, Wait)>);

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Timer {
    /// Whether this moment has passed; if not, the task is woken when it does.
    pub(crate) fn poll(
        &mut self,
        clock: &Clock,
        due: Option<Instant>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(due) = due else {
            self.0 = None;
            return Poll::Pending;
        };
        if self.0.as_ref().is_none_or(|(known, _)| *known != due) {
            let clock = clock.clone();
            let wait = async move { clock.sleep_until(due).await };
            self.0 = Some((due, Box::pin(wait)));
        }
        let Some((_, wait)) = &mut self.0 else {
            return Poll::Pending;
        };
        ready!(wait.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(())
    }
}
