//! Every crate beside its peers, in one run.
//!
//! A figure alone says little on a machine that does other things as well: what is compared is
//! measured in one process, in turns, and what counts is the ratio. Time is the thread's own time on
//! a processor; the wall clock stands beside it. For two threads, rounds in which they did not really
//! run side by side are thrown away; where too few are left, the table says so and judges no goal.
//!
//! ```
//! use rs_bench::{Bench, Goal};
//! use std::{hint::black_box, sync::atomic::{AtomicU64, Ordering::Relaxed}};
//!
//! let (ours, theirs) = (AtomicU64::new(0), std::sync::Mutex::new(0));
//! let mut bench = Bench::quick("example");
//! bench
//!     .case("count")
//!     .ours(|| { black_box(ours.fetch_add(1, Relaxed)); })
//!     .peer("mutex", || { *theirs.lock().unwrap() += 1; })
//!     .goal(Goal::at_most(5_000.0))
//!     .run();
//! assert!(bench.report().table().contains("count"));
//! ```

mod bench;
mod measure;
mod report;

pub use bench::{Bench, Case, Goal};
pub use report::{Figure, Report, Row};
