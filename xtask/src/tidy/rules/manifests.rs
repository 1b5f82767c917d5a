//! Every manifest takes its lints, edition, version, licence and Rust version from the root.

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;

const INHERITED: &[&str] = &[
    "lints.workspace",
    "package.edition.workspace",
    "package.version.workspace",
    "package.license.workspace",
    "package.rust-version.workspace",
];

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for package in &tree.workspace.packages {
        let entries = tree.manifest(package);
        for key in INHERITED {
            if !entries
                .iter()
                .any(|entry| entry.sets(key) && entry.value == "true")
            {
                let (section, key) = key.split_once('.').unwrap_or(("", key));
                let line = entries
                    .iter()
                    .find(|entry| entry.section == section)
                    .map_or(0, |entry| entry.line);
                let what = format!(
                    "`{section}.{}` is not inherited",
                    key.trim_end_matches(".workspace")
                );
                let what = if section == "lints" {
                    "the lints are not inherited".to_owned()
                } else {
                    what
                };
                let fix = format!("write `{key} = true` under `[{section}]`");
                problems.push(Problem::new(&package.file("Cargo.toml"), line, what, fix));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, package, problems};

    const GOOD: &str = "[package]\nname = \"rs-a\"\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\n[lints]\nworkspace = true\n";

    #[track_caller]
    fn check_manifest(manifest: &str, expected: &[&str]) {
        let found = problems(
            check,
            vec![package("rs-a", 0)],
            &[("crates/rs-a/Cargo.toml", manifest)],
        );
        assert_problems(&found, expected);
    }

    #[test]
    fn fires_where_something_is_not_inherited() {
        check_manifest(GOOD, &[]);
        check_manifest(
            &GOOD.replace("[lints]\nworkspace = true\n", ""),
            &[
                "crates/rs-a/Cargo.toml: the lints are not inherited — write `workspace = true` under `[lints]`",
            ],
        );
        check_manifest(
            &GOOD.replace("[lints]\nworkspace = true\n", "[lints.rust]\nx = \"allow\""),
            &["crates/rs-a/Cargo.toml: the lints"],
        );
        check_manifest(
            &GOOD.replace("edition.workspace = true", "edition = \"2021\""),
            &[
                "crates/rs-a/Cargo.toml:2: `package.edition` is not inherited — write `edition.workspace = true` under `[package]`",
            ],
        );
    }
}
