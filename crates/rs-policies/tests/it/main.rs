//! What `rs-policies` promises, through its public items only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adaptive;
mod shed;
