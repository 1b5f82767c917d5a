//! No key in a manifest is misspelt.
//!
//! Cargo knows every key, but only warns, and only from some commands: `metadata`, `tree`, anything
//! `--quiet` and checks that are up to date stay silent. `fetch` warns each time. Without the
//! network and without writing a lock file it may go on to fail, but it has read the manifests by
//! then.

use anyhow::Result;

use crate::invocation::Invocation;
use crate::tidy::problem::Problem;
use crate::workspace::Workspace;

pub(crate) fn ask_cargo(workspace: &Workspace) -> Result<Vec<Problem>> {
    let answer = Invocation::cargo("fetch --offline --locked")
        .dir(&workspace.root)
        .capture()?;
    Ok(read(&answer.stderr, &workspace.root.to_string_lossy()))
}

/// `warning: /path/Cargo.toml: unused manifest key: package.nmae`
fn read(messages: &str, root: &str) -> Vec<Problem> {
    let found = messages.lines().filter_map(|line| {
        let (path, key) = line
            .strip_prefix("warning: ")?
            .split_once(": unused manifest key: ")?;
        let path = path
            .strip_prefix(root)
            .unwrap_or(path)
            .trim_start_matches('/');
        Some(Problem::new(
            path,
            0,
            format!("cargo does not know the key `{key}`"),
            "correct its spelling or remove it",
        ))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_warnings_of_cargo() {
        let messages = "warning: /r/crates/rs-a/Cargo.toml: unused manifest key: package.nmae\nwarning: unused import\nerror: no network\n";
        let found: Vec<String> = read(messages, "/r")
            .iter()
            .map(Problem::to_string)
            .collect();
        assert_eq!(
            found,
            [
                "crates/rs-a/Cargo.toml: cargo does not know the key `package.nmae` — correct its spelling or remove it"
            ]
        );
        assert!(read("   Finished\n", "/r").is_empty());
    }

    /// Cargo's answer, not our idea of it.
    #[test]
    fn cargo_still_warns() {
        let root = std::env::temp_dir().join(format!("xtask-unused-keys-{}", std::process::id()));
        std::fs::create_dir_all(root.join("src")).unwrap();
        std::fs::write(root.join("src/lib.rs"), "").unwrap();
        std::fs::write(
            root.join("Cargo.toml"),
            "[package]\nname = \"a\"\nnmae = \"b\"\n[workspace]\n",
        )
        .unwrap();
        let found = ask_cargo(&Workspace {
            root: root.clone(),
            ..Workspace::default()
        });
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(found.unwrap().len(), 1);
    }
}
