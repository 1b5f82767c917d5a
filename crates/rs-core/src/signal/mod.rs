mod kind;
mod observer;
mod record;
mod recorder;
mod ring;

pub use kind::{Severity, SignalKind};
pub use observer::Observer;
pub use record::{Recorded, Signal};
pub use recorder::FlightRecorder;
