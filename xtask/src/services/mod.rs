//! The real servers that tests run against: which they are, whether they are here, and how to get
//! them.

mod apt;
mod archive;
mod build;
mod catalogue;
mod install;
mod policy;
mod private_apt;
// Looks exactly where the tests look, without making xtask wait for an async runtime to compile.
#[path = "../../../crates/rs-testkit/src/programs.rs"]
mod programs;
mod status;
mod unpack;

pub(crate) use self::install::{install, install_kubernetes};
pub(crate) use self::status::status;

/// How much to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// What tests need.
    Tests,
    /// And what demos and comparisons need.
    All,
}
