//! Programs that Debian has as Go source alone: built once on a machine, in a folder of their own
//! with the compiler of the same release, and kept with the user's caches.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::catalogue::Program;
use super::private_apt::{PrivateApt, extract};
use super::programs;
use crate::invocation::Invocation;
use crate::stopwatch::{Stopwatch, humane};

/// How a program is built.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// The release of Debian with the source and the compiler.
    pub(super) release: &'static str,
    /// The package of the compiler.
    pub(super) compiler: &'static str,
    /// What to build, as Go names it.
    pub(super) import: &'static str,
}

/// Builds `program` and keeps it where `programs::find` looks.
pub(super) fn build(program: &Program, recipe: &Recipe) -> Result<()> {
    let started = Stopwatch::start();
    let cache = programs::built().context("without HOME there is nowhere to keep what is built")?;
    println!(
        "  {} from the source in {}: some minutes, 4 GB of disk meanwhile, and kept in {}",
        program.name,
        recipe.release,
        cache.display()
    );
    // Beside its final place, so that a rename is enough. Two builds at once stay apart.
    let workshop = cache.join(format!(".building-{}", std::process::id()));
    let _ = fs::remove_dir_all(&workshop);
    let result = in_workshop(program, recipe, &workshop, &cache);
    let _ = fs::remove_dir_all(&workshop);
    let home = result?;
    println!(
        "  built in {}: {}",
        humane(started.elapsed()),
        home.display()
    );
    Ok(())
}

fn in_workshop(
    program: &Program,
    recipe: &Recipe,
    workshop: &Path,
    cache: &Path,
) -> Result<PathBuf> {
    let root = workshop.join("root");
    let apt = PrivateApt::open(workshop, recipe.release)?;
    let packages = apt.with_needed(&[program.package, recipe.compiler], "golang-")?;
    println!("  apt-get download of {} packages", packages.len());
    let files = apt.download(packages)?;
    let version = version(&files, program.package)?;
    for file in files {
        extract(&file, &root)?;
        // The disk holds the rest more easily.
        let _ = fs::remove_file(file);
    }

    println!("  go build of version {version}");
    let name = format!("{}-{version}", program.name);
    let made = workshop.join("made");
    fs::create_dir_all(made.join("bin"))?;
    compile(program, recipe, workshop, &made)?;
    let home = cache.join(name);
    let _ = fs::remove_dir_all(&home);
    fs::rename(&made, &home).with_context(|| format!("cannot put {} in place", home.display()))?;
    Ok(home)
}

fn compile(program: &Program, recipe: &Recipe, workshop: &Path, made: &Path) -> Result<()> {
    let root = workshop.join("root");
    let goroot = compiler(&root)?;
    let gopath = root.join("usr/share/gocode");
    for folder in ["home", "tmp", "objects"] {
        fs::create_dir_all(workshop.join(folder))?;
    }
    let shown = |path: PathBuf| path.display().to_string();
    let file = shown(made.join("bin").join(program.name));
    let source = gopath.join("src").join(recipe.import);
    let build = Invocation::new("nice")
        .arg("-n")
        .arg("10")
        .arg(shown(goroot.join("bin/go")))
        .words("build -trimpath -ldflags=-s -o")
        .args([file.as_str(), "."])
        .env("GOROOT", shown(goroot))
        .env("GOPATH", shown(gopath))
        .env("GO111MODULE", "off")
        .env("GOFLAGS", "")
        .env("GOENV", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOTMPDIR", shown(workshop.join("tmp")))
        .env("GOCACHE", shown(workshop.join("objects")))
        .env("HOME", shown(workshop.join("home")))
        .env("CGO_ENABLED", "0")
        .dir(source);
    super::apt::quietly(build)?;
    let answer = Invocation::new(file.as_str()).arg("--help").capture()?;
    match answer.success {
        true => Ok(()),
        false => bail!("what was built does not run:\n{}", answer.stderr.trim_end()),
    }
}

/// Where the compiler is: the only one in this root.
fn compiler(root: &Path) -> Result<PathBuf> {
    let mut folders = fs::read_dir(root.join("usr/lib"))?.flatten();
    let folder = folders.find(|entry| entry.file_name().to_string_lossy().starts_with("go-"));
    let folder = folder.ok_or_else(|| anyhow!("the packages have no Go compiler"))?;
    Ok(folder.path())
}

/// The version of a package, from the name of its file: `name_0.36.4-1_all.deb`.
fn version(files: &[PathBuf], package: &str) -> Result<String> {
    let version = files.iter().find_map(|file| {
        let name = file.file_name()?.to_str()?;
        let version = name.strip_prefix(package)?.strip_prefix('_')?;
        Some(version.split_once('_')?.0.replace("%3a", "."))
    });
    version.ok_or_else(|| anyhow!("apt-get did not download {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_name_of_the_file() {
        let files = [
            "a/golang-x-dev-extra_9_all.deb",
            "a/golang-x-dev_0.36.4-1_all.deb",
        ];
        let files = files.map(PathBuf::from);
        assert_eq!(version(&files, "golang-x-dev").unwrap(), "0.36.4-1");
        assert!(version(&files, "golang-y-dev").is_err());
    }
}
