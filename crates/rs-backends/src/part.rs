use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use crate::{BackendError, InstanceSet, Standing, Watch};

/// A watch within another.
pub(crate) struct Part {
    watch: Watch,
    ended: bool,
}

impl Part {
    pub(crate) const fn new(watch: Watch) -> Self {
        let ended = false;
        Self { watch, ended }
    }

    /// Hears all that is new.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        while !self.ended {
            match Pin::new(&mut self.watch).poll_next(context) {
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => self.ended = true,
                Poll::Pending => return,
            }
        }
    }

    /// What it knows. Of a backend that somebody has closed, what it knew last.
    pub(crate) fn latest(&self) -> Option<InstanceSet> {
        let set = self.watch.latest()?;
        Some(match self.ended {
            true => set.standing_as(Standing::Kept(BackendError::Closed)),
            false => set,
        })
    }

    pub(crate) fn trouble(&self) -> Option<BackendError> {
        match self.ended {
            true => Some(BackendError::Closed),
            false => self.watch.trouble(),
        }
    }

    /// Whether it has answered or failed.
    pub(crate) fn is_decided(&self) -> bool {
        self.watch.latest().is_some() || self.trouble().is_some()
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.ended
    }
}
