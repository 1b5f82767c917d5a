//! The umbrella as its users see it: guards and policies written outside, awaited in a real handler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod attributes;
mod background;
mod balanced;
mod handler;
mod manager;
mod registries;
mod spans;
mod stack;
mod tower;
