//! Durations, rates, shares and sizes as people write them in configuration: `"1m30s"`, `"100/s"`,
//! `"50%"`, `"64KiB"`.
//!
//! With the `serde` feature, [`Share`], [`Rate`] and [`Size`] read themselves; a [`Duration`](std::time::Duration) field says
//! `#[serde(with = "rs_core::humane::duration")]`.

#[cfg(feature = "serde")]
pub mod duration;
mod number;
mod rate;
mod share;
mod size;
mod time;

pub(crate) use number::split_number;
pub use rate::Rate;
pub use share::Share;
pub use size::Size;
pub use time::{parse_duration, show_duration, write_duration};
