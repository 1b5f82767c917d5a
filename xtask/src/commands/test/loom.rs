//! Loom models: every interleaving of a lock-free structure, up to a bound.
//!
//! `--cfg loom` changes every crate of the build, so these have a target folder of their own; and
//! they are optimised, for loom runs a model thousands of times. A crate has models when it has a
//! test target `loom`; the features that it requires are switched on and no others, because some
//! dependencies leave parts out under `--cfg loom`.

use std::env;

use crate::counts::Runner;
use crate::invocation::Invocation;
use crate::stages::{Stages, run_tests};
use crate::workspace::{Package, Target, Workspace};

pub(crate) fn stages(stages: &mut Stages, workspace: &Workspace, long: bool) {
    for package in &workspace.packages {
        for target in package
            .targets("test")
            .filter(|target| target.name == "loom")
        {
            let cargo = invocation(workspace, package, target, long);
            let name = format!("loom {}", package.name);
            stages.tests(&name, &cargo.to_string(), || {
                run_tests(&cargo, Runner::Libtest)
            });
        }
    }
}

fn invocation(workspace: &Workspace, package: &Package, target: &Target, long: bool) -> Invocation {
    let flags = env::var("RUSTFLAGS").map(|flags| format!("{flags} --cfg loom"));
    let folder = workspace.target.join("loom");
    let folder = folder.strip_prefix(&workspace.root).unwrap_or(&folder);
    let mut cargo = Invocation::cargo("test --release --test loom")
        .args(["-p", &package.name])
        .env(
            "RUSTFLAGS",
            flags.unwrap_or_else(|_| "--cfg loom".to_owned()),
        )
        .env("CARGO_TARGET_DIR", folder.to_string_lossy());
    if !target.required_features.is_empty() {
        cargo = cargo.args(["--features".to_owned(), target.required_features.join(",")]);
    }
    // Two preemptions find nearly every bug. Each more takes five to ten times as long: four are half a
    // minute for the flight recorder, and all of them more than anybody waits.
    cargo.env("LOOM_MAX_PREEMPTIONS", if long { "4" } else { "2" })
}
