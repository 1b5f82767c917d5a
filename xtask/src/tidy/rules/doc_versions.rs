//! A version that the docs tell people to write is the crate's version.

use crate::tidy::problem::Problem;
use crate::tidy::rust_text::split;
use crate::tidy::tree::Tree;
use crate::workspace::Workspace;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for file in tree.with_extension("rs") {
        report(
            tree.workspace,
            &file.path,
            &split(&file.text).comments,
            problems,
        );
    }
    // A changelog speaks of the past.
    for file in tree
        .with_extension("md")
        .filter(|file| !file.path.ends_with("CHANGELOG.md"))
    {
        report(tree.workspace, &file.path, &file.text, problems);
    }
}

fn report(workspace: &Workspace, path: &str, text: &str, problems: &mut Vec<Problem>) {
    for (index, line) in text.lines().enumerate() {
        for package in &workspace.packages {
            let stated =
                requirements(line, &package.name).find(|stated| !covers(stated, &package.version));
            if let Some(stated) = stated {
                let what = format!("`{}` is at {}, not {stated}", package.name, package.version);
                let fix = format!("write `{} = \"{}\"`", package.name, short(&package.version));
                problems.push(Problem::new(path, index + 1, what, fix));
            }
        }
    }
}

/// The versions in `name = "0.1"` and `name = { version = "0.1", … }`.
fn requirements<'a>(line: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(name).filter_map(move |(at, _)| {
        let in_word = line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let value = line[at + name.len()..]
            .trim_start()
            .strip_prefix('=')?
            .trim_start();
        let value = match value.strip_prefix('{') {
            Some(table) => table
                .split_once("version")?
                .1
                .trim_start()
                .strip_prefix('=')?
                .trim_start(),
            None => value,
        };
        let version = value.strip_prefix('"')?.split('"').next()?;
        (!in_word).then_some(version)
    })
}

/// `0.1` and `0.1.0` cover 0.1.0; a caret or an equals sign before it changes nothing.
fn covers(stated: &str, version: &str) -> bool {
    let stated = stated.trim_start_matches(['^', '=', '~']).trim();
    version
        .strip_prefix(stated)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// What people write: the part of a version that cargo takes for compatible.
fn short(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    let length = if parts.first() == Some(&"0") { 2 } else { 1 };
    parts[..length.min(parts.len())].join(".")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, package, problems};

    #[track_caller]
    fn check_file(path: &str, text: &str, expected: &[&str]) {
        let found = problems(
            check,
            vec![package("rs-core", 0), package("rs-corelet", 0)],
            &[(path, text)],
        );
        assert_problems(&found, expected);
    }

    #[test]
    fn fires_on_other_versions() {
        check_file(
            "a.md",
            "x\nrs-core = \"0.2\"",
            &["a.md:2: `rs-core` is at 0.1.0, not 0.2 — write `rs-core = \"0.1\"`"],
        );
        check_file(
            "a.rs",
            "//! rs-core = { version = \"1\", features = [] }",
            &["a.rs:1: `rs-core` is at 0.1.0, not 1"],
        );
        check_file("a.md", "rs-core = \"0.1.1\"", &["a.md:1: "]);
    }

    #[test]
    fn right_versions_and_the_past_are_fine() {
        check_file(
            "a.md",
            "rs-core = \"0.1\" or rs-core = \"0.1.0\" or rs-core = { version = \"0.1\" }",
            &[],
        );
        check_file(
            "a.md",
            "my-rs-core = \"7\"\nrs-corelet = \"0.1\"\nrs-core = { path = \"x\" }",
            &[],
        );
        check_file("CHANGELOG.md", "rs-core = \"0.0.1\"", &[]);
        check_file("a.rs", "const A: &str = r#\"rs-core = \"9\"\"#;", &[]);
    }
}
