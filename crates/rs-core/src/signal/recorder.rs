use std::{
    fmt,
    io::Write,
    sync::{LazyLock, Once},
};

use tokio::sync::Notify;

use super::{
    Observer, Recorded, Signal,
    ring::{Found, Ring},
};
use crate::{
    Clock,
    sync::{Arc, AtomicUsize, Ordering},
};

/// Keeps the last few thousand signals of the process, for observers and for the time after a crash.
///
/// Recording takes well under 100 ns, allocates nothing and never waits for another thread; with the
/// recorder off and nobody observing it costs a load and a branch. Patterns record into
/// [`FlightRecorder::global`] unless they are given another, as a test does.
///
/// ```
/// use rs_core::{FlightRecorder, Name, Severity, SignalKind};
///
/// static OPENED: SignalKind = SignalKind::new("breaker", "opened", Severity::Warning, "opened");
///
/// let recorder = FlightRecorder::new(1024);
/// recorder.record(|| OPENED.signal(Name::of("payments")));
/// let last = recorder.recent(10);
/// assert_eq!(last[0].signal.to_string(), "breaker payments: opened");
/// ```
#[derive(Clone)]
pub struct FlightRecorder(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) ring: Ring<Recorded>,
    pub(super) arrived: Notify,
    /// How many observers wait for a signal.
    pub(super) waiting: AtomicUsize,
    clock: Clock,
    /// Who wants the signals: [`ON`] while the recorder keeps them, and an [`OBSERVER`] for each.
    pub(super) listeners: AtomicUsize,
}

/// In one number, so that nobody ever sees one half of a change.
const ON: usize = 1;
pub(super) const OBSERVER: usize = 2;

impl FlightRecorder {
    /// How many signals the recorder of the process keeps.
    pub const GLOBAL_CAPACITY: usize = 4096;

    /// A recorder of its own that keeps this many signals, at least one. It is on.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with_clock(capacity, Clock::default())
    }

    /// A recorder of its own that takes the time from this clock.
    #[must_use]
    pub fn with_clock(capacity: usize, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            ring: Ring::new(capacity),
            arrived: Notify::new(),
            waiting: AtomicUsize::new(0),
            clock,
            listeners: AtomicUsize::new(ON),
        }))
    }

    /// The recorder of the process.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<FlightRecorder> =
            LazyLock::new(|| FlightRecorder::new(FlightRecorder::GLOBAL_CAPACITY));
        &GLOBAL
    }

    /// Records a signal. It is only made when somebody wants it.
    #[inline]
    pub fn record(&self, signal: impl FnOnce() -> Signal) {
        if self.0.listeners.load(Ordering::Relaxed) > 0 {
            self.keep(signal());
        }
    }

    fn keep(&self, signal: Signal) {
        let at = self.0.clock.now();
        self.0.ring.push(|place| Recorded { signal, place, at });
        // Waking takes a lock, so it is done only for an observer that waits. One that this does not
        // see has yet to look into the ring a last time, and finds the signal there.
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.0.arrived.notify_waiters();
        }
    }

    /// Stops recording, except for observers.
    pub fn switch_off(&self) {
        self.0.listeners.fetch_and(!ON, Ordering::AcqRel);
    }

    /// Records again.
    pub fn switch_on(&self) {
        self.0.listeners.fetch_or(ON, Ordering::AcqRel);
    }

    /// The last signals, at most this many, the oldest first.
    #[must_use]
    pub fn recent(&self, most: usize) -> Vec<Recorded> {
        let ring = &self.0.ring;
        let end = ring.end();
        let start = ring.start().max(end.saturating_sub(most as u64));
        (start..end)
            .filter_map(|place| match ring.at(place) {
                Found::Entry(recorded) => Some(recorded),
                Found::Gone | Found::NotYet => None,
            })
            .collect()
    }

    /// How many signals were dropped because their slot was being read or written at that moment.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.ring.lost()
    }

    /// Hears every signal from now on.
    #[must_use]
    pub fn observe(&self) -> Observer {
        Observer::new(self.clone())
    }

    /// The last signals in words, the oldest first, each with how long ago it was.
    #[must_use]
    pub fn log(&self, most: usize) -> impl fmt::Display + use<> {
        Log {
            now: self.0.clock.now(),
            signals: self.recent(most),
        }
    }

    /// When a thread panics, prints the last signals after the panic's own message. Opt-in; calling it
    /// again changes nothing.
    pub fn dump_on_panic(&self) {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let recorder = self.clone();
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                before(panic);
                // A panic here would abort the process: nobody may be reading.
                let _ = writeln!(std::io::stderr(), "{}", recorder.log(100));
            }));
        });
    }
}

impl fmt::Debug for FlightRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightRecorder")
            .field("recorded", &self.0.ring.end())
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}

struct Log {
    now: std::time::Instant,
    signals: Vec<Recorded>,
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.signals.len();
        write!(f, "flight recorder, the last {count} signals:")?;
        for recorded in &self.signals {
            let ago = self.now.saturating_duration_since(recorded.at);
            let severity = recorded.signal.kind().severity();
            write!(
                f,
                "\n{:>8} ago  {severity:<7}  {}",
                crate::humane::show_duration(ago).to_string(),
                recorded.signal
            )?;
        }
        Ok(())
    }
}
