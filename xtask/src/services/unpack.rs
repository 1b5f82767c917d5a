//! Packages of an earlier release, unpacked for this workspace alone: apt is asked with its own
//! sources, lists and cache, and the machine's configuration stays as it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::apt::quietly;
use super::archive::Archive;
use super::catalogue::Program;
use super::programs;
use crate::invocation::Invocation;
use crate::stopwatch::{Stopwatch, humane};

/// Fetches the package of `program` from `release` and unpacks it where `programs::find` looks.
pub(super) fn unpack(program: &Program, release: &str) -> Result<()> {
    let started = Stopwatch::start();
    let package = program.package;
    let home = programs::unpacked().join(package);
    println!(
        "  {package} from {release}, unpacked into {}",
        home.display()
    );

    // Next to its final place, so that a rename is enough and an interrupted run leaves no half.
    let workshop = home.with_extension("partial");
    let _ = fs::remove_dir_all(&workshop);
    let result = fetch(package, release, &workshop)
        .and_then(|()| verify(program, &workshop))
        .and_then(|()| {
            let _ = fs::remove_dir_all(&home);
            fs::rename(workshop.join("root"), &home)
                .with_context(|| format!("cannot put {} in place", home.display()))
        });
    let _ = fs::remove_dir_all(&workshop);
    result?;
    println!("  unpacked in {}", humane(started.elapsed()));
    Ok(())
}

fn fetch(package: &str, release: &str, workshop: &Path) -> Result<()> {
    let path = |name: &str| workshop.join(name).display().to_string();
    for folder in [
        "lists/partial",
        "cache/archives/partial",
        "download",
        "root",
    ] {
        let folder = workshop.join(folder);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(
        workshop.join("debian.sources"),
        Archive::of_this_machine()?.source_for(release),
    )?;

    let apt_get = |args: &[&str]| {
        let settings = [
            format!("Dir::Etc::SourceList={}", path("debian.sources")),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            format!("Dir::State::Lists={}", path("lists")),
            format!("Dir::Cache={}", path("cache")),
            // apt's own user may not be able to enter the workspace.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ];
        let settings = settings
            .into_iter()
            .flat_map(|setting| ["-o".to_owned(), setting]);
        Invocation::new("apt-get")
            .arg("--quiet")
            .args(settings)
            .args(args.iter().copied())
            .dir(workshop.join("download"))
    };
    quietly(apt_get(&["update"]))?;
    quietly(apt_get(&["download", package]))?;

    let mut files = fs::read_dir(workshop.join("download"))?.flatten();
    let file = files
        .next()
        .ok_or_else(|| anyhow!("apt-get downloaded nothing for {package}"))?
        .path();
    quietly(Invocation::new("dpkg-deb").args([
        "--extract",
        &file.display().to_string(),
        &path("root"),
    ]))
}

fn verify(program: &Program, workshop: &Path) -> Result<()> {
    let file = workshop.join("root/usr/bin").join(program.name);
    let version = program.version(&file);
    version
        .map(drop)
        .map_err(|error| anyhow!("the unpacked {} does not run: {error}", program.name))
}
