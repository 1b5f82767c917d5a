//! `cargo xtask fuzz`: rubbish into every decoder, for a while.
//!
//! The targets are in `fuzz/`, a workspace of its own. What a run has found out is kept under `target/fuzz`,
//! so that the next one goes on from there; the real answers that it begins with are in `fuzz/seeds`.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::invocation::Invocation;
use crate::tools::FUZZ;
use crate::workspace::Workspace;

/// For each target, unless `--seconds` says otherwise.
const SECONDS: u32 = 60;

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let seconds = match args.option("--seconds")? {
        Some(text) => text.parse().with_context(|| format!("--seconds {text}"))?,
        None => SECONDS,
    };
    let chosen = args.positional();
    args.finish()?;

    let known = targets(workspace)?;
    let chosen = match chosen {
        Some(name) if !known.contains(&name) => {
            bail!(
                "there is no target `{name}`; there are: {}",
                known.join(", ")
            )
        }
        Some(name) => vec![name],
        None => known,
    };
    let nightly = Invocation::new("rustc")
        .args(["+nightly", "--version"])
        .read();
    nightly.context("fuzzing needs a nightly compiler: rustup toolchain install nightly")?;
    let tool = FUZZ.ensure(workspace)?;
    for name in chosen {
        println!("fuzz {name}, {seconds} s");
        let found = workspace.target.join("fuzz/corpus").join(&name);
        fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
        // Decoders without `unsafe` need no sanitizer; assertions and panics are what is looked for.
        let fuzz = Invocation::new(tool.to_string_lossy())
            .args(["run", "--sanitizer", "none", "--target-dir"])
            .arg(workspace.target.join("fuzz").to_string_lossy())
            .arg(&name)
            .arg(found.to_string_lossy())
            .arg(format!("fuzz/seeds/{name}"))
            .args([
                "--",
                "-rss_limit_mb=1024",
                "-timeout=5",
                "-print_final_stats=1",
            ])
            .arg(format!("-max_total_time={seconds}"))
            .env("RUSTUP_TOOLCHAIN", "nightly")
            .env("CARGO", "cargo");
        fuzz.run()
            .with_context(|| format!("fuzz {name} has found something"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/targets");
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = Vec::new();
    for file in files {
        let path = file?.path();
        if let (Some("rs"), Some(name)) = (
            path.extension().and_then(|end| end.to_str()),
            path.file_stem().and_then(|name| name.to_str()),
        ) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
