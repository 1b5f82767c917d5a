//! A dependency that two crates share has its version in `[workspace.dependencies]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::problem::Problem;
use crate::tidy::toml_lines::Entry;
use crate::tidy::tree::Tree;

struct Use {
    manifest: String,
    line: usize,
    literal: bool,
}

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    let root = tree.toml("Cargo.toml");
    let table = root
        .iter()
        .filter_map(|entry| dependency(entry, "workspace.dependencies"));
    let table: BTreeSet<String> = table.map(|(name, _)| name).collect();

    for (name, uses) in uses(tree) {
        let crates: BTreeSet<&str> = uses.iter().map(|found| found.manifest.as_str()).collect();
        for found in uses.iter().filter(|found| found.literal) {
            let what = if table.contains(&name) {
                format!("`{name}` is in the workspace table, but has a version of its own here")
            } else if crates.len() > 1 {
                format!(
                    "`{name}` is used by {} crates, each with a version of its own",
                    crates.len()
                )
            } else {
                continue;
            };
            let fix = format!(
                "write `{name}.workspace = true` and keep the version in the root Cargo.toml"
            );
            problems.push(Problem::new(&found.manifest, found.line, what, fix));
        }
    }
}

fn uses(tree: &Tree) -> BTreeMap<String, Vec<Use>> {
    let mut uses: BTreeMap<String, Vec<Use>> = BTreeMap::new();
    for package in &tree.workspace.packages {
        let manifest = package.file("Cargo.toml");
        for entry in tree.manifest(package) {
            for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
                if let Some((name, literal)) = dependency(&entry, section) {
                    uses.entry(name).or_default().push(Use {
                        manifest: manifest.clone(),
                        line: entry.line,
                        literal,
                    });
                }
            }
        }
    }
    uses
}

/// The dependency that a line of a `section` names, and whether it states a version.
/// Forms: `x = "1"`, `x = { version = "1" }`, `x.version = "1"`, `[dependencies.x] version = "1"`;
/// other keys of the dotted forms, such as features, say nothing about the version.
fn dependency(entry: &Entry, section: &str) -> Option<(String, bool)> {
    let own = entry.section.as_str();
    let at_end =
        own == section || own.starts_with("target.") && own.ends_with(&format!(".{section}"));
    if at_end {
        return match entry.key.split_once('.') {
            Some((name, key)) => named(name, key),
            None => {
                let inherits = entry.value.contains("workspace") && entry.value.contains("true");
                let by_path = entry.value.contains("path =") && !entry.value.contains("version");
                Some((unquoted(&entry.key), !inherits && !by_path))
            }
        };
    }
    let (before, name) = own.rsplit_once('.')?;
    let in_table = before == section
        || before.starts_with("target.") && before.ends_with(&format!(".{section}"));
    if in_table {
        named(name, &entry.key)
    } else {
        None
    }
}

fn named(name: &str, key: &str) -> Option<(String, bool)> {
    match key {
        "workspace" => Some((unquoted(name), false)),
        "version" => Some((unquoted(name), true)),
        _ => None,
    }
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, package, problems};

    #[track_caller]
    fn check_manifests(root: &str, a: &str, b: &str, expected: &[&str]) {
        let files = [
            ("Cargo.toml", root),
            ("crates/rs-a/Cargo.toml", a),
            ("crates/rs-b/Cargo.toml", b),
        ];
        let found = problems(check, vec![package("rs-a", 0), package("rs-b", 0)], &files);
        assert_problems(&found, expected);
    }

    #[test]
    fn the_table_is_used_by_all() {
        let root = "[workspace.dependencies]\ntokio = \"1\"\n";
        check_manifests(
            root,
            "[dependencies]\ntokio.workspace = true\n",
            "[dev-dependencies]\ntokio = { workspace = true, features = [\"rt\"] }\n",
            &[],
        );
        for own in [
            "tokio = \"1\"",
            "tokio = { version = \"1\" }",
            "tokio.version = \"1\"",
        ] {
            let manifest = format!("[target.'cfg(unix)'.dependencies]\n{own}\n");
            check_manifests(
                root,
                &manifest,
                "",
                &["crates/rs-a/Cargo.toml:2: `tokio` is in the workspace table"],
            );
        }
        check_manifests(
            root,
            "[dependencies.tokio]\nfeatures = []\nversion = \"1\"\n",
            "",
            &["crates/rs-a/Cargo.toml:3: `tokio` is in"],
        );
    }

    #[test]
    fn shared_versions_go_to_the_table() {
        let own = "[dependencies]\nslab = \"1\"\n";
        check_manifests("", own, "", &[]);
        check_manifests(
            "",
            own,
            "[build-dependencies]\nslab = \"2\"\n",
            &[
                "crates/rs-a/Cargo.toml:2: `slab` is used by 2 crates",
                "crates/rs-b/Cargo.toml:2: `slab` is used by 2",
            ],
        );
    }

    #[test]
    fn features_are_no_dependencies() {
        check_manifests(
            "",
            "[features]\nserde = [\"dep:serde\"]\n",
            "[features]\nserde = []\n",
            &[],
        );
    }
}
