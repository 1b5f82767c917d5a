use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rs_core::{Clock, Health, Name, Severity, SignalKind};
use rs_metrics::{Counter, Family, Histogram, Surroundings, pattern::Home};
use tokio::{select, sync::watch};

use crate::{
    BackendError, BackendHealth,
    metrics::{self, Answered, Operation, Told},
};

static DOUBTED: SignalKind = SignalKind::new(
    "backend",
    "emptied",
    Severity::Warning,
    "says that a service has no instances any more; the known ones are kept for the grace",
);

/// What every backend keeps beside its registry: name, time, numbers, and whether it is still open.
#[derive(Debug)]
pub(crate) struct Station {
    kind: &'static str,
    home: Home,
    open: watch::Sender<bool>,
    contact: Mutex<Contact>,
    operations: Family<Counter, (Operation, Answered)>,
    times: Family<Histogram, Operation>,
    updates: Family<Counter, Told>,
    lost: Family<Counter>,
    skipped: Family<Counter>,
}

/// When the registry answered last, and why it has not since.
#[derive(Debug, Default)]
struct Contact {
    last: Option<Instant>,
    trouble: Option<BackendError>,
}

/// Tells when the backend is closed.
pub(crate) struct Open(watch::Receiver<bool>);

impl Open {
    pub(crate) async fn closed(&mut self) {
        // A backend that is gone without having been closed is closed too.
        let _ = self.0.wait_for(|open| !open).await;
    }
}

impl Station {
    pub(crate) fn new(around: &Surroundings, kind: &'static str, name: Name) -> Self {
        let home = Home::new(around, name);
        let registry = home.metrics();
        Self {
            kind,
            open: watch::Sender::new(true),
            contact: Mutex::default(),
            operations: metrics::OPERATIONS.bind_in(&registry, name),
            times: metrics::OPERATION_TIME.bind_in(&registry, name),
            updates: metrics::UPDATES.bind_in(&registry, name),
            lost: metrics::LOST.bind_in(&registry, name),
            skipped: metrics::SKIPPED.bind_in(&registry, name),
            home,
        }
    }

    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) const fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) const fn name(&self) -> Name {
        self.home.name
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.home.around.clock()
    }

    pub(crate) fn open(&self) -> Result<Open, BackendError> {
        let open = self.open.subscribe();
        let is_open = *open.borrow();
        is_open.then_some(Open(open)).ok_or(BackendError::Closed)
    }

    /// Closes it; whether it was open.
    pub(crate) fn close(&self) -> bool {
        self.open.send_replace(false)
    }

    /// Does this for at most so long, and counts it.
    pub(crate) async fn ask<T>(
        &self,
        operation: Operation,
        limit: Duration,
        work: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let started = self.clock().now();
        let work = in_span(self.kind, operation, work);
        let result = select! {
            biased;
            result = work => result,
            () = self.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        };
        let answered = match &result {
            Ok(_) => {
                let now = self.clock().now();
                self.times[operation].record((now - started).as_secs_f64());
                self.contacted(now);
                Answered::Ok
            }
            Err(error) => {
                if error.may_pass() {
                    self.troubled(error);
                }
                Answered::Failed
            }
        };
        self.operations[(operation, answered)].increment();
        result
    }

    /// What this answer, asked for just now, says of the registry.
    pub(crate) fn health(
        &self,
        started: Instant,
        said: Result<Health, BackendError>,
    ) -> BackendHealth {
        let latency = said.is_ok().then(|| self.clock().now() - started);
        let health = said.unwrap_or_else(|error| Health::down(error.to_string()));
        BackendHealth::new(health, latency, self.last_contact())
    }

    pub(crate) fn last_contact(&self) -> Option<Instant> {
        self.contact().last
    }

    pub(crate) fn contacted(&self, now: Instant) {
        let mut contact = self.contact();
        contact.last = Some(now);
        contact.trouble = None;
    }

    fn troubled(&self, error: &BackendError) {
        self.contact().trouble = Some(error.clone());
    }

    /// How the registry seemed when it was asked last, for whoever does not want to ask.
    pub(crate) fn seems(&self) -> Health {
        match &self.contact().trouble {
            Some(why) => Health::degraded(why.to_string()),
            None => Health::UP,
        }
    }

    fn contact(&self) -> MutexGuard<'_, Contact> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lost(&self, error: &BackendError) {
        self.troubled(error);
        self.lost.increment();
    }

    pub(crate) fn skipped(&self, count: u64) {
        if count > 0 {
            self.skipped.add(count);
        }
    }

    pub(crate) fn published(&self, doubted: bool) {
        let told = if doubted { Told::Doubted } else { Told::Known };
        self.updates[told].increment();
        if doubted {
            self.home.record(|| DOUBTED.signal(self.home.name));
        }
    }

    /// Three quarters of this to all of it: those that began together do not stay together.
    pub(crate) fn spread(&self, time: Duration) -> Duration {
        time.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
    }
}

#[cfg(feature = "tracing")]
fn in_span<F: Future>(
    kind: &'static str,
    operation: Operation,
    work: F,
) -> tracing::instrument::Instrumented<F> {
    use tracing::Instrument as _;

    // Collectors show `otel.name`; a span's own name must be known when it is compiled.
    let name = format!("sdm.backend.{kind}.{operation}");
    work.instrument(tracing::info_span!(
        "sdm.backend",
        otel.name = name.as_str()
    ))
}

#[cfg(not(feature = "tracing"))]
fn in_span<F: Future>(_kind: &'static str, _operation: Operation, work: F) -> F {
    work
}
