//! `cargo xtask test`: one command from a fresh machine to every test passed.

mod examples;
mod loom;

use std::process::ExitCode;

use anyhow::Result;

use crate::args::Args;
use crate::counts::Runner;
use crate::invocation::Invocation;
use crate::services;
use crate::stages::{Stages, run_tests};
use crate::workspace::{ALL, Workspace};

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let long = args.flag("--long");
    let passed_on = args.passed_on();
    args.finish()?;

    let mut stages = Stages::default();
    install(&mut stages);
    if passed_on.is_empty() {
        every_test(&mut stages, workspace, long);
    } else {
        // Whoever filters wants these tests and nothing else.
        units(&mut stages, long, passed_on);
    }
    Ok(stages.finish())
}

/// Everything that `ci` runs of this command.
pub(crate) fn stages(stages: &mut Stages, workspace: &Workspace) {
    install(stages);
    every_test(stages, workspace, false);
}

fn install(stages: &mut Stages) {
    stages.check("services", "cargo xtask services install", || {
        services::install(services::Scope::Tests)
    });
}

fn every_test(stages: &mut Stages, workspace: &Workspace, long: bool) {
    units(stages, long, Vec::new());
    doctests(stages);
    examples::stage(stages, workspace);
    loom::stages(stages, workspace, long);
}

/// Unit and integration tests. Nextest stops a test that hangs (`.config/nextest.toml`), so it is
/// taken wherever it is installed; `cargo test` does the same work without that guard.
fn units(stages: &mut Stages, long: bool, passed_on: Vec<String>) {
    let nextest = Invocation::cargo("nextest --version")
        .capture()
        .is_ok_and(|answer| answer.success);
    let (runner, mut cargo) = if nextest {
        let profile = long.then_some("--profile=long");
        let cargo = Invocation::cargo("nextest run")
            .words(ALL)
            .arg("--no-fail-fast")
            .args(profile);
        (Runner::Nextest, cargo.args(passed_on))
    } else {
        let cargo = Invocation::cargo("test")
            .words(ALL)
            .words("--no-fail-fast --lib --bins --tests");
        let dashes = (!passed_on.is_empty()).then_some("--");
        (Runner::Libtest, cargo.args(dashes).args(passed_on))
    };
    if long {
        cargo = cargo.env("RS_PATTERNS_LONG", "1");
    }
    stages.tests("tests", &cargo.to_string(), || run_tests(&cargo, runner));
}

fn doctests(stages: &mut Stages) {
    let cargo = Invocation::cargo("test --doc")
        .words(ALL)
        .arg("--no-fail-fast");
    stages.tests("doctests", &cargo.to_string(), || {
        run_tests(&cargo, Runner::Libtest)
    });
}
