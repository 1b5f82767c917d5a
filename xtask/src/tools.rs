//! Separate programs, each pinned to a version and kept under `target/tools`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::invocation::Invocation;
use crate::workspace::Workspace;

#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// More arguments to `cargo install`.
    pub(crate) install: &'static str,
}

/// Licences, duplicate versions, sources.
/// Without its default features it needs no C compiler. It works for a second, so it is built
/// without optimisation: one minute instead of four on two cores.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    install: "--no-default-features --debug",
};

/// Rubbish into decoders, guided by what it reaches.
pub(crate) const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
    install: "--debug",
};

impl Tool {
    /// The program: from the PATH if its version fits, else from `target/tools`, built if it is
    /// not there. Nothing is written outside of the target folder.
    pub(crate) fn ensure(&self, workspace: &Workspace) -> Result<PathBuf> {
        let root = workspace.target.join("tools");
        let root = root.strip_prefix(&workspace.root).unwrap_or(&root);
        let own = root
            .join("bin")
            .join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX));
        for candidate in [Path::new(self.name), &own] {
            if self.fits(candidate) {
                return Ok(candidate.to_owned());
            }
        }
        println!(
            "{} {} is not here: building it into {}",
            self.name,
            self.version,
            root.display()
        );
        let build = root.join("build");
        self.installation(root, &build).run().with_context(|| {
            format!(
                "could not build {}; put {} {} on the PATH",
                self.name, self.name, self.version
            )
        })?;
        std::fs::remove_dir_all(&build)
            .with_context(|| format!("cannot remove {}", build.display()))?;
        Ok(own)
    }

    /// How a person would install it.
    pub(crate) fn by_hand(&self) -> String {
        format!(
            "cargo install --locked {} --version {}",
            self.name, self.version
        )
    }

    fn installation(&self, root: &Path, build: &Path) -> Invocation {
        Invocation::cargo("install --quiet --locked --force")
            .words(self.install)
            .args([self.name, "--version", self.version, "--root"])
            .arg(root.to_string_lossy())
            .env("CARGO_TARGET_DIR", build.to_string_lossy())
    }

    fn fits(&self, program: &Path) -> bool {
        let version = Invocation::new(program.to_string_lossy())
            .arg("--version")
            .read();
        version.is_ok_and(|text| fits(&text, self.version))
    }
}

/// Whether `name 0.20.3 (commit)` may stand in for the wanted `0.20.2`: the same major and minor
/// version, and no older a patch.
fn fits(found: &str, wanted: &str) -> bool {
    let found = found.split_whitespace().nth(1).and_then(numbers);
    match (found, numbers(wanted)) {
        (Some(found), Some(wanted)) => found[..2] == wanted[..2] && found[2] >= wanted[2],
        _ => false,
    }
}

fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn only_a_near_version_fits() {
        assert!(fits("cargo-deny 0.20.2\n", "0.20.2"));
        assert!(fits("cargo-deny 0.20.9 (abc 2026-01-01)", "0.20.2"));
        assert!(!fits("cargo-deny 0.20.1", "0.20.2"));
        assert!(!fits("cargo-deny 0.21.0", "0.20.2"));
        assert!(!fits("cargo-deny 0.20.2-rc.1", "0.20.2"));
        assert!(!fits("", "0.20.2"));
    }
}
