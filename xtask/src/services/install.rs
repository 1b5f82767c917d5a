//! Puts in place what is missing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::catalogue::{Origin, PROGRAMS, Program};
use super::{Scope, apt, archive, build, unpack};

/// Installs the programs in `scope` that are missing: as root on Debian through apt, otherwise by
/// telling the user what to install.
///
/// When nothing is missing, nothing is asked of the network.
pub(crate) fn install(scope: Scope) -> Result<()> {
    let missing = missing(scope);
    if missing.is_empty() {
        return Ok(());
    }
    println!(
        "services: {} missing",
        listed(&missing, |program| program.name)
    );

    let (unpacked, installed): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|program| program.origin != Origin::Installed);
    if !archive::is_debian() {
        return Err(by_hand(
            &[unpacked, installed].concat(),
            "this is not Debian",
        ));
    }
    for program in unpacked {
        if let Origin::UnpackedFrom(release) = program.origin {
            unpack::unpack(program, release)?;
        }
    }
    if !installed.is_empty() {
        if !is_root()? {
            return Err(by_hand(&installed, "installing packages takes root"));
        }
        apt::install(&packages(&installed))?;
    }
    not_started_at_boot(&installed);

    let missing = self::missing(scope);
    if !missing.is_empty() {
        bail!(
            "still missing after the installation: {}",
            listed(&missing, |program| program.name)
        );
    }
    Ok(())
}

/// Builds the API server of Kubernetes if it is missing, which takes minutes once on a machine.
pub(crate) fn install_kubernetes() -> Result<()> {
    for program in PROGRAMS {
        let Origin::Built(recipe) = program.origin else {
            continue;
        };
        if program.find().is_some() {
            continue;
        }
        if !archive::is_debian() {
            return Err(by_hand(&[program], "this is not Debian"));
        }
        build::build(program, recipe)?;
        if program.find().is_none() {
            bail!("{} is still missing after its build", program.name);
        }
    }
    Ok(())
}

fn missing(scope: Scope) -> Vec<&'static Program> {
    PROGRAMS
        .iter()
        .filter(|program| program.scope <= scope && !matches!(program.origin, Origin::Built(_)))
        .filter(|program| program.find().is_none())
        .collect()
}

fn packages(programs: &[&'static Program]) -> Vec<&'static str> {
    let mut packages: Vec<_> = programs.iter().map(|program| program.package).collect();
    packages.dedup();
    packages
}

fn by_hand(programs: &[&'static Program], why: &str) -> anyhow::Error {
    let list: String = programs
        .iter()
        .map(|program| match program.origin {
            Origin::Installed => format!("\n  {:<16} Debian: {}", program.name, program.package),
            Origin::UnpackedFrom(release) => {
                format!(
                    "\n  {:<16} Debian: {} in {release}",
                    program.name, program.package
                )
            }
            Origin::Built(recipe) => format!(
                "\n  {:<16} built by `go build` in {}",
                program.name, recipe.import
            ),
        })
        .collect();
    anyhow!("{why}, so please put these programs on the PATH yourself:{list}")
}

fn listed(programs: &[&'static Program], name: fn(&Program) -> &'static str) -> String {
    programs
        .iter()
        .map(|program| name(program))
        .collect::<Vec<_>>()
        .join(", ")
}

fn is_root() -> Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

/// Debian enables what it installs; that is for the machine's owner to decide.
fn not_started_at_boot(installed: &[&'static Program]) {
    if !installed.is_empty() && Path::new("/run/systemd/system").exists() {
        println!(
            "  nothing was started; `systemctl disable` what should not start with this machine"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_install_by_hand_is_named_with_its_package() {
        let programs: Vec<_> = PROGRAMS.iter().take(2).collect();
        let text = by_hand(&programs, "this is not Debian").to_string();
        assert_eq!(
            text,
            "this is not Debian, so please put these programs on the PATH yourself:\n  \
             consul           Debian: consul in bullseye\n  \
             etcd             Debian: etcd-server"
        );
    }

    #[test]
    fn a_package_with_two_programs_is_installed_once() {
        let programs: Vec<_> = PROGRAMS
            .iter()
            .filter(|program| program.package == "prometheus")
            .collect();
        assert_eq!(
            (programs.len(), packages(&programs)),
            (2, vec!["prometheus"])
        );
    }
}
