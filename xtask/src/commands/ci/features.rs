//! Each published crate builds without features, with each feature alone, and with all.
//!
//! `cargo hack` does the same, but would have to be built first and edits manifests while it runs.
//! Its `--no-dev-deps` is not needed: for a library alone, resolver 3 leaves the features of
//! dev-dependencies out. Clippy does the checking, for it can refuse warnings in these crates
//! without changing the flags of all their dependencies.

use anyhow::{Result, bail};

use crate::invocation::Invocation;
use crate::workspace::{Package, Workspace};

/// What is run, in general.
pub(crate) const COMMAND: &str =
    "cargo clippy --lib --no-default-features -p CRATE --features FEATURE";

pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut failed = Vec::new();
    for package in workspace.published() {
        for selection in selections(package) {
            println!("--- {}", format!("{} {selection}", package.name).trim_end());
            let cargo = Invocation::cargo("clippy --quiet --lib --no-default-features")
                .args(["-p", &package.name])
                .words(&selection)
                .words("-- -D warnings");
            if cargo.run().is_err() {
                failed.push(cargo.to_string());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!(
        "{} selections do not build:\n{}",
        failed.len(),
        failed.join("\n")
    )
}

/// None, each, all; those that mean the same only once.
///
/// A feature whose name begins with `_` is what others share: nobody asks for it alone.
fn selections(package: &Package) -> Vec<String> {
    let named: Vec<&String> = package
        .features
        .iter()
        .filter(|(name, parts)| !(name.as_str() == "default" && parts.is_empty()))
        .filter(|(name, _)| !name.starts_with('_'))
        .map(|(name, _)| name)
        .collect();
    let mut selections = vec![String::new()];
    selections.extend(named.iter().map(|name| format!("--features {name}")));
    if named.len() > 1 {
        selections.push("--all-features".to_owned());
    }
    selections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(features: &[(&str, &[&str])], expected: &[&str]) {
        let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        let features = features
            .iter()
            .map(|(name, parts)| ((*name).to_owned(), owned(parts)))
            .collect();
        assert_eq!(
            selections(&Package {
                features,
                ..Package::default()
            }),
            expected
        );
    }

    #[test]
    fn none_each_all() {
        check(&[], &[""]);
        check(&[("default", &[])], &[""]);
        check(
            &[("default", &[]), ("serde", &[])],
            &["", "--features serde"],
        );
        check(
            &[("default", &["a"]), ("a", &[]), ("b", &["_c"]), ("_c", &[])],
            &[
                "",
                "--features a",
                "--features b",
                "--features default",
                "--all-features",
            ],
        );
    }
}
