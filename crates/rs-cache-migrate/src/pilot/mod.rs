//! Who takes the steps when nobody does: the gates judge what is measured, and the pilot acts on it.

pub(crate) mod config;
pub(crate) mod course;
mod flight;
pub(crate) mod log;

pub(crate) use self::flight::Pilot;
pub use self::{
    config::{PilotConfig, PilotMode},
    log::StageSeen,
};
