//! `cargo xtask artefacts`: the files that are generated from code.
//!
//! The README of each published crate comes from the docs of its `lib.rs`; `docs/metrics.md` from
//! the metric catalogue, through the example `artefacts` of `rs-patterns`.

mod difference;
mod links;
mod readme;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::binaries::Binaries;
use crate::workspace::Workspace;

/// The crate and the example that print what comes from the catalogue.
const PRINTER: (&str, &str) = ("rs-patterns", "artefacts");

/// What the example prints when asked for the first, and where it belongs.
const PRINTED: &[(&str, &str)] = &[("metrics", "docs/metrics.md")];

struct Artefact {
    /// Relative to the root.
    path: String,
    text: String,
}

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let check_only = args.flag("--check");
    args.finish()?;
    if check_only {
        check(workspace)?;
        println!("all generated files are fresh");
    } else {
        write(workspace)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails when a generated file is not what the code says.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut stale = Vec::new();
    for artefact in generate(workspace)? {
        let written = fs::read_to_string(workspace.root.join(&artefact.path)).unwrap_or_default();
        if written != artefact.text {
            println!(
                "{}:\n{}",
                artefact.path,
                difference::short(&written, &artefact.text)
            );
            stale.push(artefact.path);
        }
    }
    if !stale.is_empty() {
        bail!("stale: {} — run `cargo xtask artefacts`", stale.join(", "));
    }
    Ok(())
}

fn write(workspace: &Workspace) -> Result<()> {
    for artefact in generate(workspace)? {
        let path = workspace.root.join(&artefact.path);
        let fresh = fs::read_to_string(&path).is_ok_and(|written| written == artefact.text);
        if !fresh {
            fs::write(&path, artefact.text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        println!(
            "{:<9} {}",
            if fresh { "fresh" } else { "written" },
            artefact.path
        );
    }
    Ok(())
}

fn generate(workspace: &Workspace) -> Result<Vec<Artefact>> {
    let mut artefacts = Vec::new();
    for package in workspace.published() {
        let source = package.file("src/lib.rs");
        let text = fs::read_to_string(workspace.root.join(&source))
            .with_context(|| format!("cannot read {source}"))?;
        let text = readme::from_source(&package.name, &text).with_context(|| source)?;
        artefacts.push(Artefact {
            path: package.file("README.md"),
            text,
        });
    }
    artefacts.extend(printed(workspace)?);
    Ok(artefacts)
}

fn printed(workspace: &Workspace) -> Result<Vec<Artefact>> {
    let (package, example) = PRINTER;
    let printer = workspace
        .package(package)
        .filter(|package| package.has_target("example", example));
    let Some(package) = printer else {
        println!("`{package}` has no example `{example}`: nothing is generated from the catalogue");
        return Ok(Vec::new());
    };
    let binary =
        Binaries::build(&format!("--example {example}"))?.example(workspace, package, example)?;
    let artefact = |&(name, path): &(&str, &str)| {
        Ok(Artefact {
            path: path.to_owned(),
            text: binary.clone().arg(name).read_noisily()?,
        })
    };
    PRINTED.iter().map(artefact).collect()
}
