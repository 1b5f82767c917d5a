//! Packages of the release that the machine runs.

use anyhow::{Result, bail};

use super::policy::NoServices;
use crate::invocation::Invocation;
use crate::stopwatch::{Stopwatch, humane};

/// Installs packages without questions, without extras and without starting any service.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let _nothing_starts = NoServices::enforce()?;
    let started = Stopwatch::start();
    println!("  apt-get update");
    quietly(apt_get(&["update"]))?;
    println!("  apt-get install {}", packages.join(" "));
    quietly(
        apt_get(&["install", "--yes", "--no-install-recommends"]).args(packages.iter().copied()),
    )?;
    println!("  installed in {}", humane(started.elapsed()));
    Ok(())
}

fn apt_get(args: &[&str]) -> Invocation {
    Invocation::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Another apt at work, as on a machine that was just booted: wait for it, within reason.
        .args([
            "--quiet",
            "-o",
            "DPkg::Lock::Timeout=120",
            "-o",
            "Dpkg::Use-Pty=0",
        ])
        .args(args.iter().copied())
}

/// Runs it out of view; what it said matters only when it fails.
pub(super) fn quietly(invocation: Invocation) -> Result<()> {
    let output = invocation.capture()?;
    if output.success {
        return Ok(());
    }
    let said = output.stdout + &output.stderr;
    let lines: Vec<_> = said.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(20)..].join("\n");
    bail!("`{invocation}` failed:\n{last}")
}
