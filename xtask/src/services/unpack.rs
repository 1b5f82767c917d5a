//! Packages of an earlier release, unpacked for this workspace alone.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::catalogue::Program;
use super::private_apt::{PrivateApt, extract};
use super::programs;
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
    let apt = PrivateApt::open(workshop, release)?;
    for file in apt.download([package])? {
        extract(&file, &workshop.join("root"))?;
    }
    Ok(())
}

fn verify(program: &Program, workshop: &Path) -> Result<()> {
    let file = workshop.join("root/usr/bin").join(program.name);
    let version = program.version(&file);
    version
        .map(drop)
        .map_err(|error| anyhow!("the unpacked {} does not run: {error}", program.name))
}
