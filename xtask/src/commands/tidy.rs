//! `cargo xtask tidy`: the house rules that the compiler does not know.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::Args;
use crate::tidy::{self, Level};
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    args.finish()?;
    check(workspace)?;
    println!("tidy");
    Ok(ExitCode::SUCCESS)
}

/// Prints every problem; fails when one of them is more than a warning.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let problems = tidy::problems(workspace)?;
    problems.iter().for_each(|problem| println!("{problem}"));
    match problems
        .iter()
        .filter(|problem| problem.level == Level::Error)
        .count()
    {
        0 => Ok(()),
        1 => bail!("1 house rule is broken"),
        errors => bail!("house rules are broken in {errors} places"),
    }
}
