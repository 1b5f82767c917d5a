//! `cargo xtask services`: the real servers that tests run against.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::Args;
use crate::services::{self, Scope};
use crate::workspace::Workspace;

pub(crate) fn run(_: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let action = args.positional();
    let scope = if args.flag("--all") {
        Scope::All
    } else {
        Scope::Tests
    };
    let kubernetes = args.flag("--kubernetes");
    args.finish()?;
    match action.as_deref() {
        Some("install") if kubernetes => services::install_kubernetes()?,
        Some("install") => services::install(scope)?,
        Some("status") => services::status()?,
        _ => bail!(
            "say `cargo xtask services install [--all | --kubernetes]` or `cargo xtask services status`"
        ),
    }
    Ok(ExitCode::SUCCESS)
}
