//! `cargo xtask demo`: all the patterns working together.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Args;
use crate::invocation::Invocation;
use crate::workspace::Workspace;

pub(crate) fn run(_: &Workspace, args: &mut Args) -> Result<ExitCode> {
    // The demo says by its status whether a story's promises held, and ends in its own way at Ctrl-C.
    Invocation::cargo("run --release --quiet -p orders --")
        .args(args.everything())
        .take_over()
}
