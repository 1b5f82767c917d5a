use super::{FlightRecorder, Recorded, recorder::OBSERVER, ring::Found};
use crate::sync::Ordering;

/// Hears the signals of a [`FlightRecorder`] in their order.
///
/// It reads the recorder's ring at its own pace. One that falls a whole ring behind loses the oldest
/// signals and knows how many; whoever records never waits for it.
///
/// ```
/// # use rs_core::{FlightRecorder, Name, Severity, SignalKind};
/// # static OPENED: SignalKind = SignalKind::new("breaker", "opened", Severity::Warning, "opened");
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let recorder = FlightRecorder::new(64);
/// let mut observer = recorder.observe();
/// recorder.record(|| OPENED.signal(Name::of("payments")));
/// assert_eq!(observer.next().await.signal.source(), Name::of("payments"));
/// # }
/// ```
#[derive(Debug)]
pub struct Observer {
    recorder: FlightRecorder,
    next: u64,
    lost: u64,
}

impl Observer {
    pub(super) fn new(recorder: FlightRecorder) -> Self {
        recorder.0.listeners.fetch_add(OBSERVER, Ordering::SeqCst);
        let next = recorder.0.ring.end();
        Self {
            recorder,
            next,
            lost: 0,
        }
    }

    /// The next signal, waiting for it.
    ///
    /// # Cancel safety
    /// Dropping the future loses no signal.
    pub async fn next(&mut self) -> Recorded {
        loop {
            if let Some(recorded) = self.try_next() {
                return recorded;
            }
            let recorder = self.recorder.clone();
            let _waiting = Waiting::at(&recorder);
            let arrived = recorder.0.arrived.notified();
            if let Some(recorded) = self.try_next() {
                return recorded;
            }
            arrived.await;
        }
    }

    /// The next signal, if there is one by now.
    pub fn try_next(&mut self) -> Option<Recorded> {
        loop {
            let ring = &self.recorder.0.ring;
            let overtaken = ring.start().saturating_sub(self.next);
            self.next += overtaken;
            self.lost += overtaken;
            if self.next == ring.end() {
                return None;
            }
            match ring.at(self.next) {
                Found::Entry(recorded) => {
                    self.next += 1;
                    return Some(recorded);
                }
                Found::Gone => {
                    self.next += 1;
                    self.lost += 1;
                }
                Found::NotYet => return None,
            }
        }
    }

    /// How many signals this observer did not hear.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.recorder
            .0
            .listeners
            .fetch_sub(OBSERVER, Ordering::AcqRel);
    }
}

/// Tells those who record that somebody is to be woken.
struct Waiting<'a>(&'a FlightRecorder);

impl<'a> Waiting<'a> {
    fn at(recorder: &'a FlightRecorder) -> Self {
        recorder.0.waiting.fetch_add(1, Ordering::SeqCst);
        Self(recorder)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
