//! `cargo xtask demo`: all the patterns working together.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Args;
use crate::invocation::Invocation;
use crate::workspace::Workspace;

pub(crate) fn run(_: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let status = Invocation::cargo("run --release --quiet -p orders --")
        .args(args.everything())
        .run_attended()?;
    // The demo says by its status whether a story's promises held, and whether it was asked well.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
