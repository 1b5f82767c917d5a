//! Where a server's program is on this machine.
//!
//! `cargo xtask services` compiles this file too, so that it looks exactly where the tests look.

use std::env;
use std::fs;
use std::path::{self, Path, PathBuf};

/// Folders in which Debian keeps programs that it does not put on the `PATH`, or hides there behind
/// a wrapper that insists on the system's own instance. `*` is any one folder.
const DEBIAN_FOLDERS: [&str; 2] = ["/usr/lib/postgresql/*/bin", "/usr/lib/rabbitmq/lib/*/sbin"];

/// Not on everybody's `PATH`, though servers live there.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// The file to start for `program`, if this machine has it.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let unpacked = unpacked().join("*");
    let mut folders = matching(&unpacked.join("usr/bin"));
    folders.extend(matching(&unpacked.join("usr/sbin")));
    folders.extend(
        built()
            .into_iter()
            .flat_map(|built| matching(&built.join("*/bin"))),
    );
    folders.extend(
        DEBIAN_FOLDERS
            .iter()
            .flat_map(|folder| matching(Path::new(folder))),
    );
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    folders.extend(SYSTEM_FOLDERS.map(PathBuf::from));
    let files = folders.into_iter().map(|folder| folder.join(program));
    // A server runs in a folder of its own, where a relative path would mean something else.
    files
        .filter_map(|file| path::absolute(file).ok())
        .find(|file| file.is_file())
}

/// The folder for programs that are unpacked for this workspace alone, one folder for each.
pub(crate) fn unpacked() -> PathBuf {
    if let Some(chosen) = env::var_os("RS_PATTERNS_SERVICES") {
        return PathBuf::from(chosen);
    }
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let workspace = crate_folder
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").is_file());
    workspace.unwrap_or(crate_folder).join("target/services")
}

/// The folder for programs that take minutes to build, one folder for each version: it belongs to the
/// user, and outlives every workspace.
pub(crate) fn built() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(caches?.join("rs-patterns"))
}

/// The folders that a pattern with at most one `*` stands for, newest version first.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let mut parts = pattern.components();
    let before: PathBuf = parts
        .by_ref()
        .take_while(|part| part.as_os_str() != "*")
        .collect();
    let after = parts.as_path();
    let mut names: Vec<_> = fs::read_dir(&before)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    // Longer first, so that version 15 comes before version 9.
    names.sort_by_key(|name| std::cmp::Reverse((name.len(), name.clone())));
    names
        .into_iter()
        .map(|name| before.join(name).join(after))
        .filter(|folder| folder.is_dir())
        .collect()
}
