use std::sync::Arc;

use rs_core::{Clock, Directory, FlightRecorder};
use rs_metrics::{Registry, Surroundings};

use crate::{Fleet, Supervisor};

/// What breakers live in, made once for all that are made in the same [`Surroundings`].
#[derive(Clone)]
pub(crate) struct Around(Arc<Parts>);

#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) recorder: FlightRecorder,
    pub(crate) directory: Option<Directory>,
    pub(crate) metrics: Option<Registry>,
    pub(crate) supervisor: Supervisor,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) seed: Option<u64>,
}

impl Around {
    pub(crate) fn of(surroundings: &Surroundings) -> Self {
        let supervisor = Supervisor::of(surroundings);
        surroundings.helper_or(|_of_process| {
            Self(Arc::new(Parts {
                clock: supervisor.clock().clone(),
                recorder: surroundings.recorder().clone(),
                directory: surroundings.directory().cloned(),
                metrics: surroundings.metrics().cloned(),
                supervisor,
                fleet: surroundings.helper::<Fleet>().cloned(),
                seed: surroundings.seed(),
            }))
        })
    }

    pub(crate) fn without_fleet(mut self) -> Self {
        if self.fleet.is_some() {
            Arc::make_mut(&mut self.0).fleet = None;
        }
        self
    }
}

impl std::ops::Deref for Around {
    type Target = Parts;

    #[inline]
    fn deref(&self) -> &Parts {
        &self.0
    }
}
