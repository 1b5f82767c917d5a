//! What `rs-policies` promises, through its public items only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod per_key;
mod rate_limit;
mod shared_rate_limit;
