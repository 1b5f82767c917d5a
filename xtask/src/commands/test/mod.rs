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
    let here = install(&mut stages);
    if passed_on.is_empty() {
        every_test(&mut stages, workspace, long, here);
    } else {
        // Whoever filters wants these tests and nothing else.
        units(&mut stages, long, here, passed_on);
    }
    Ok(stages.finish())
}

/// Everything that `ci` runs of this command.
pub(crate) fn stages(stages: &mut Stages, workspace: &Workspace) {
    let here = install(stages);
    every_test(stages, workspace, false, here);
}

/// Which servers are here that a machine may be unable to have.
#[derive(Debug, Clone, Copy)]
struct Here {
    kubernetes: bool,
}

/// What the tests against the API server have in their path, and no other test has.
const KUBERNETES_TESTS: &str = "kubernetes_server::";

fn install(stages: &mut Stages) -> Here {
    stages.check("services", "cargo xtask services install", || {
        services::install(services::Scope::Tests)
    });
    // It is built from source of a release that moves on: that may fail without any fault of ours.
    let kubernetes = stages.wish(
        "kubernetes",
        "cargo xtask services install --kubernetes",
        "NONE of the tests against Kubernetes (`kubernetes_server::`) RAN",
        services::install_kubernetes,
    );
    Here { kubernetes }
}

fn every_test(stages: &mut Stages, workspace: &Workspace, long: bool, here: Here) {
    units(stages, long, here, Vec::new());
    doctests(stages);
    examples::stage(stages, workspace);
    loom::stages(stages, workspace, long);
}

/// Unit and integration tests. Nextest stops a test that hangs (`.config/nextest.toml`), so it is
/// taken wherever it is installed; `cargo test` does the same work without that guard.
fn units(stages: &mut Stages, long: bool, here: Here, passed_on: Vec<String>) {
    let nextest = Invocation::cargo("nextest --version")
        .capture()
        .is_ok_and(|answer| answer.success);
    let (runner, mut cargo) = if nextest {
        let profile = long.then_some("--profile=long");
        let cargo = Invocation::cargo("nextest run")
            .words(ALL)
            .arg("--no-fail-fast")
            .args(profile);
        let without = format!("not test({KUBERNETES_TESTS})");
        let without = (!here.kubernetes).then_some(["-E", without.as_str()]);
        let cargo = cargo.args(without.into_iter().flatten());
        (Runner::Nextest, cargo.args(passed_on))
    } else {
        let cargo = Invocation::cargo("test")
            .words(ALL)
            .words("--no-fail-fast --lib --bins --tests");
        let without = (!here.kubernetes).then_some(["--skip", KUBERNETES_TESTS]);
        let dashes = (!passed_on.is_empty() || !here.kubernetes).then_some("--");
        let cargo = cargo.args(dashes).args(without.into_iter().flatten());
        (Runner::Libtest, cargo.args(passed_on))
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
