//! What `rs-attributes` promises, through what people write.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod blocking;
mod cached;
mod cost;
mod hygiene;
mod instrumented;
mod limits;
mod methods;
mod params;
mod refused;
mod single;
mod stacked;
