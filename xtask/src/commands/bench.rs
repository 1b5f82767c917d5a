//! `cargo xtask bench`: every crate beside its peers, in one run.
//!
//! The harness is in `rs-bench`; each of its benches prints a table, or with `--json` one object
//! per line. Cargo's own messages go to the error stream, so the output holds results only.

use std::process::ExitCode;

use anyhow::{Result, anyhow, bail};

use crate::args::Args;
use crate::invocation::Invocation;
use crate::workspace::{BENCH, Workspace};

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let (list, json) = (args.flag("--list"), args.flag("--json"));
    let chosen = args.positional();
    let passed_on = args.passed_on();
    args.finish()?;

    let bench = workspace
        .package(BENCH)
        .ok_or_else(|| anyhow!("there is no crate `{BENCH}`"))?;
    let names: Vec<&str> = bench
        .targets("bench")
        .map(|target| target.name.as_str())
        .collect();
    if list {
        names.iter().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    let chosen = match &chosen {
        Some(name) if !names.contains(&name.as_str()) => {
            bail!(
                "there is no bench `{name}`; there are: {}",
                names.join(", ")
            )
        }
        Some(name) => vec![name.as_str()],
        None if names.is_empty() => bail!("`{BENCH}` has no benches yet"),
        None => names,
    };

    // Naming each bench keeps cargo from running the library's unit tests as benches as well.
    let mut cargo = Invocation::cargo("bench")
        .args(json.then_some("--quiet"))
        .args(["-p", BENCH]);
    // A peer of `balance` is built by cmake: who has none is told, and gets the others.
    if chosen.contains(&"balance") {
        if has_program("cmake") {
            cargo = cargo.env("RUSTFLAGS", "--cfg pingora");
        } else {
            eprintln!("cmake is missing: `balance` is measured without pingora");
        }
    }
    for name in chosen {
        cargo = cargo.args(["--bench", name]);
    }
    let harness = json
        .then(|| "--json".to_owned())
        .into_iter()
        .chain(passed_on);
    let status = cargo.arg("--").args(harness).run_attended()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}
