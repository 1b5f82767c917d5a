//! Programs that tests call.

use std::path::PathBuf;

use crate::error::Error;
use crate::programs;

/// The file of a program that comes with the servers, such as `promtool` or `psql`.
///
/// # Errors
///
/// [`Error::Missing`] names the command that installs it.
pub fn program(name: &'static str) -> Result<PathBuf, Error> {
    programs::find(name).ok_or(Error::Missing { program: name })
}
