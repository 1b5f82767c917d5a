//! Packages of another release: apt is asked with its own sources, lists and cache, and the
//! machine's configuration stays as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apt::quietly;
use super::archive::Archive;
use crate::invocation::Invocation;

/// An apt whose whole world is one folder.
#[derive(Debug)]
pub(super) struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    /// Fetches the list of packages of `release` into `folder`.
    pub(super) fn open(folder: &Path, release: &str) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial", "download"] {
            let part = folder.join(part);
            fs::create_dir_all(&part)
                .with_context(|| format!("cannot create {}", part.display()))?;
        }
        fs::write(
            folder.join("debian.sources"),
            Archive::of_this_machine()?.source_for(release),
        )?;
        let apt = Self {
            folder: folder.to_owned(),
        };
        quietly(apt.run("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// Downloads these packages; the files.
    pub(super) fn download<S: Into<String>>(
        &self,
        packages: impl IntoIterator<Item = S>,
    ) -> Result<Vec<PathBuf>> {
        quietly(self.run("apt-get").arg("download").args(packages))?;
        let files = fs::read_dir(self.folder.join("download"))?.flatten();
        let files: Vec<_> = files.map(|entry| entry.path()).collect();
        match files.is_empty() {
            true => bail!("apt-get downloaded nothing"),
            false => Ok(files),
        }
    }

    /// These packages and all that they need, as far as its name begins so.
    pub(super) fn with_needed(&self, packages: &[&str], prefix: &str) -> Result<BTreeSet<String>> {
        let said = self
            .run("apt-cache")
            .words("depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks")
            .words("--no-replaces --no-enhances")
            .args(packages.iter().copied())
            .read()?;
        Ok(named(&said, prefix))
    }

    fn run(&self, program: &str) -> Invocation {
        let path = |name: &str| self.folder.join(name).display().to_string();
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
        Invocation::new(program)
            .arg("--quiet")
            .args(settings)
            .dir(self.folder.join("download"))
    }
}

/// Unpacks a package into `root`, without installing it.
pub(super) fn extract(package: &Path, root: &Path) -> Result<()> {
    let paths = [package, root].map(|path| path.display().to_string());
    quietly(Invocation::new("dpkg-deb").arg("--extract").args(paths))
}

/// Real packages stand at the beginning of a line, virtual ones in angle brackets.
fn named(said: &str, prefix: &str) -> BTreeSet<String> {
    let names = said.lines().filter(|line| line.starts_with(prefix));
    names
        .map(|name| name.split(':').next().unwrap_or(name).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn real_packages_are_read_from_a_tree_of_dependencies() {
        let said = "golang-b-dev\n  Depends: golang-a-dev\n |Depends: <golang-virtual>\n    libc6\n\
                    golang-a-dev:any\n<golang-virtual>\nlibc6\ngolang-b-dev\n";
        let names: Vec<_> = named(said, "golang-").into_iter().collect();
        assert_eq!(names, ["golang-a-dev", "golang-b-dev"]);
    }
}
