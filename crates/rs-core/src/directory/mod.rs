mod health;
mod inspect;
mod list;
mod mandate;

pub use health::{Condition, Health};
pub use inspect::{Action, ActionSpec, ControlError, Inspect, Snapshot};
pub use list::Directory;
pub use mandate::Mandate;
