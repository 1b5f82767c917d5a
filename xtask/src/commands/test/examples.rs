//! Runs the examples: each must end well by itself, within a minute, without arguments.
//!
//! One that cannot says so in its crate's manifest, and is then only built:
//!
//! ```toml
//! [package.metadata.house]
//! manual-examples = { demo = "serves until it is stopped" }
//! ```

use std::time::Duration;

use anyhow::Result;

use crate::binaries::Binaries;
use crate::invocation::Invocation;
use crate::stages::{Found, Stages};
use crate::workspace::{ALL, BENCH, Package, Target, Workspace};

const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn stage(stages: &mut Stages, workspace: &Workspace) {
    let build = Invocation::cargo("build --examples").words(ALL);
    stages.tests("examples", &build.to_string(), || run_all(workspace));
}

fn run_all(workspace: &Workspace) -> Result<Found> {
    let binaries = Binaries::build("--examples")?;
    let mut found = Found::default();
    let mut failed = Vec::new();
    for (package, example) in examples(workspace) {
        let name = &example.name;
        if let Some(reason) = package.house.manual_examples.get(name) {
            println!("--- {} {name}: not run, {reason}", package.name);
            found.counts.skipped += 1;
            continue;
        }
        println!("--- {} {name}", package.name);
        let run = binaries
            .example(workspace, package, name)
            .and_then(|example| example.run_within(LIMIT));
        match run {
            Ok(()) => found.counts.passed += 1,
            Err(error) => {
                println!("--- {} {name} FAILED: {error:#}", package.name);
                found.counts.failed += 1;
                failed.push(format!(
                    "cargo run -p {} --all-features --example {name}",
                    package.name
                ));
            }
        }
    }
    if !failed.is_empty() {
        found.failure = Some(format!(
            "{} examples failed:\n{}",
            failed.len(),
            failed.join("\n")
        ));
    }
    Ok(found)
}

fn examples(workspace: &Workspace) -> impl Iterator<Item = (&Package, &Target)> {
    let crates = workspace
        .packages
        .iter()
        .filter(|package| package.name != BENCH);
    crates.flat_map(|package| {
        package
            .targets("example")
            .map(move |target| (package, target))
    })
}
