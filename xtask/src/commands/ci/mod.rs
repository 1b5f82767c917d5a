//! `cargo xtask ci`: everything that must hold before a merge.
//!
//! The cheap checks come first and every stage runs whatever happened to those before it, so that
//! one run tells everything. All stages share one target folder, one set of flags and, as far as
//! they can, one selection of crates and features: only then does cargo build the world once for
//! checking and once for running.

mod features;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::Args;
use crate::commands::{artefacts, test, tidy};
use crate::invocation::Invocation;
use crate::stages::Stages;
use crate::tools;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let advisories = args.flag("--advisories");
    args.finish()?;

    let mut stages = Stages::default();
    if env::var_os("CI").is_some() {
        stages.check(
            "lock file",
            "git diff -- Cargo.lock",
            lock_file_is_committed,
        );
    }
    stages.program("fmt", &Invocation::cargo("fmt --all --check"));
    stages.check("tidy", "cargo xtask tidy", || tidy::check(workspace));
    // The benches are linted with the rest: apart from it, every peer would be built once more.
    stages.program(
        "clippy",
        &Invocation::cargo("clippy --workspace --all-targets --all-features -- -D warnings"),
    );
    stages.check("features", features::COMMAND, || features::check(workspace));
    let docs = Invocation::cargo("doc --workspace --no-deps --all-features");
    stages.program("docs", &docs.env("RUSTDOCFLAGS", "-D warnings"));
    deny(&mut stages, workspace, advisories);
    stages.check("artefacts", "cargo xtask artefacts --check", || {
        artefacts::check(workspace)
    });
    test::stages(&mut stages, workspace);
    Ok(stages.finish())
}

/// The first `cargo xtask` of a clean clone quietly completes a stale lock file.
fn lock_file_is_committed() -> Result<()> {
    let changes = Invocation::new("git")
        .words("diff --stat -- Cargo.lock")
        .capture()?;
    if !changes.success {
        println!("not asked, for this is no git repository");
    } else if !changes.stdout.is_empty() {
        bail!("Cargo.lock does not fit the manifests: commit the one that `cargo check` writes");
    }
    Ok(())
}

/// Licences, duplicate versions and sources. Advisories change while the code does not and need the
/// network, so they are asked for.
fn deny(stages: &mut Stages, workspace: &Workspace, advisories: bool) {
    let mut program = None;
    stages.check("tools", &tools::DENY.by_hand(), || {
        program = Some(tools::DENY.ensure(workspace)?);
        Ok(())
    });
    if let Some(program) = program {
        let checks = Invocation::new(program.to_string_lossy())
            .words("--all-features check licenses bans sources");
        stages.program("deny", &checks.args(advisories.then_some("advisories")));
    }
}
