//! What `rs-attributes` promises, through what people write.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod single;
