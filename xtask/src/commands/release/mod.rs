//! `cargo xtask release`: `plan` looks, `prepare` writes changelogs, `publish` publishes.
//!
//! Nothing leaves the machine without `publish --execute`, and nothing is ever pushed.

mod changelog;
mod order;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};

use crate::args::Args;
use crate::invocation::Invocation;
use crate::workspace::{Package, Workspace};

pub(crate) fn run(workspace: &Workspace, args: &mut Args) -> Result<ExitCode> {
    let action = args.positional();
    let (execute, allow_dirty) = (args.flag("--execute"), args.flag("--allow-dirty"));
    args.finish()?;
    match action.as_deref() {
        Some("plan") => plan(workspace)?,
        Some("prepare") => prepare(workspace)?,
        Some("publish") => publish(workspace, execute, allow_dirty)?,
        _ => bail!("say `cargo xtask release plan`, `… prepare` or `… publish`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// What stands to be released, in the order in which it can be published.
fn plan(workspace: &Workspace) -> Result<()> {
    println!(
        "{:<22} {:<9} {:<16} {:>7}  changelog",
        "crate", "version", "last tag", "commits"
    );
    for package in order::by_dependency(workspace)? {
        let tag = last_tag(package)?;
        let commits = commits_since(package, tag.as_deref())?;
        let entries = changelog::entries(&read_changelog(workspace, package)?);
        let entries = match entries {
            None => "no `## Unreleased` section".to_owned(),
            Some(0) if commits > 0 => {
                "nothing unreleased: write what changed, if it did".to_owned()
            }
            Some(0) => "nothing unreleased".to_owned(),
            Some(1) => "1 unreleased entry".to_owned(),
            Some(entries) => format!("{entries} unreleased entries"),
        };
        let tag = tag.unwrap_or_else(|| "never released".to_owned());
        println!(
            "{:<22} {:<9} {tag:<16} {commits:>7}  {entries}",
            package.name, package.version
        );
    }
    Ok(())
}

/// Gives the unreleased entries of each changelog the version that the manifest states.
fn prepare(workspace: &Workspace) -> Result<()> {
    require_clean_tree()?;
    let today = Invocation::new("date").words("-u +%F").read()?;
    let mut rolled = Vec::new();
    // All is checked before anything is written.
    for package in order::by_dependency(workspace)? {
        let text = read_changelog(workspace, package)?;
        if changelog::entries(&text).unwrap_or(0) == 0 {
            println!("{}: nothing unreleased", package.name);
            continue;
        }
        if tags(package)?.contains(&tag(package)) {
            bail!(
                "{} {} is released already: raise the version in the root Cargo.toml first",
                package.name,
                package.version
            );
        }
        let text = changelog::roll(&text, &package.version, today.trim())
            .with_context(|| package.file("CHANGELOG.md"))?;
        rolled.push((package, text));
    }
    if rolled.is_empty() {
        bail!("no changelog has an entry under `## Unreleased`: there is nothing to release");
    }
    for (package, text) in &rolled {
        let path = package.file("CHANGELOG.md");
        fs::write(workspace.root.join(&path), text)
            .with_context(|| format!("cannot write {path}"))?;
        println!(
            "{}: {} is dated {}",
            package.name,
            package.version,
            today.trim()
        );
    }
    println!(
        "\nNext:\n  cargo xtask ci\n  git commit -a -m 'Release'\n  cargo xtask release publish\n  cargo xtask release publish --execute"
    );
    for (package, _) in &rolled {
        println!("  git tag {}", tag(package));
    }
    println!("  git push --tags");
    Ok(())
}

/// Packages and builds everything as the registry would; publishes only when told to.
fn publish(workspace: &Workspace, execute: bool, allow_dirty: bool) -> Result<()> {
    let mut cargo = Invocation::cargo("publish --workspace");
    for package in workspace.packages.iter().filter(|package| !package.publish) {
        cargo = cargo.args(["--exclude", &package.name]);
    }
    if execute {
        if allow_dirty {
            bail!("what is published must be committed: `--allow-dirty` is for the dry run");
        }
        require_clean_tree()?;
        return cargo.run();
    }
    cargo
        .arg("--dry-run")
        .args(allow_dirty.then_some("--allow-dirty"))
        .run()?;
    println!("\nThat was a dry run; `cargo xtask release publish --execute` publishes.");
    Ok(())
}

fn require_clean_tree() -> Result<()> {
    let changes = Invocation::new("git").words("status --porcelain").read()?;
    if !changes.is_empty() {
        bail!(
            "the tree has changes that are not committed:\n{}",
            changes.trim_end()
        );
    }
    Ok(())
}

fn read_changelog(workspace: &Workspace, package: &Package) -> Result<String> {
    let path = package.file("CHANGELOG.md");
    fs::read_to_string(workspace.root.join(&path)).with_context(|| format!("cannot read {path}"))
}

fn tag(package: &Package) -> String {
    format!("{}-v{}", package.name, package.version)
}

/// All release tags of a crate, newest version first.
fn tags(package: &Package) -> Result<Vec<String>> {
    let pattern = format!("{}-v*", package.name);
    let tags = Invocation::new("git")
        .words("tag --list --sort=-v:refname")
        .arg(pattern)
        .read()?;
    Ok(tags.lines().map(str::to_owned).collect())
}

fn last_tag(package: &Package) -> Result<Option<String>> {
    Ok(tags(package)?.into_iter().next())
}

fn commits_since(package: &Package, tag: Option<&str>) -> Result<usize> {
    let range = tag.map_or_else(|| "HEAD".to_owned(), |tag| format!("{tag}..HEAD"));
    let git = Invocation::new("git")
        .words("rev-list --count")
        .args([&range, "--", &package.dir]);
    let count = git.read()?;
    count
        .trim()
        .parse()
        .map_err(|_| anyhow!("`{git}` answered {count:?}"))
}
