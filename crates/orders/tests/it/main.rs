//! The demo as people run it: real processes, in a folder of their own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod command_line;
mod leftovers;
mod running;
mod stories;
mod tutorial;
