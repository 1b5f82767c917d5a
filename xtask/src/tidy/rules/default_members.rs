//! A bare `cargo test` means every crate but the benches.

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;
use crate::workspace::BENCH;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    let line = tree
        .toml("Cargo.toml")
        .iter()
        .find(|entry| entry.key == "default-members")
        .map_or(0, |entry| entry.line);
    for package in &tree.workspace.packages {
        let problem = match (package.name == BENCH, package.default_member) {
            (false, false) => (
                format!("`{}` is not among the default members", package.dir),
                "add it",
            ),
            (true, true) => (
                format!(
                    "`{}` is a default member, and with it every peer",
                    package.dir
                ),
                "remove it",
            ),
            _ => continue,
        };
        problems.push(Problem::new("Cargo.toml", line, problem.0, problem.1));
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, package, problems};
    use crate::workspace::{BENCH, Package};

    #[track_caller]
    fn check_crate(name: &str, default_member: bool, expected: &[&str]) {
        let crates = vec![Package {
            default_member,
            ..package(name, 0)
        }];
        let root = (
            "Cargo.toml",
            "[workspace]\ndefault-members = [\"crates/rs-a\"]\n",
        );
        assert_problems(&problems(check, crates, &[root]), expected);
    }

    #[test]
    fn all_but_the_benches() {
        check_crate("rs-b", true, &[]);
        check_crate(
            "rs-b",
            false,
            &["Cargo.toml:2: `crates/rs-b` is not among the default members — add it"],
        );
        check_crate(BENCH, false, &[]);
        check_crate(
            BENCH,
            true,
            &["Cargo.toml:2: `crates/rs-bench` is a default member"],
        );
    }
}
