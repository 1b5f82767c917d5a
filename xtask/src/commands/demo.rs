//! `cargo xtask demo`: all the patterns working together.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Args;
use crate::invocation::Invocation;
use crate::workspace::Workspace;

pub(crate) fn run(_: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let status = Invocation::cargo("run --release -p rs-patterns --all-features --example demo --")
        .args(args.everything())
        .run_attended()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
