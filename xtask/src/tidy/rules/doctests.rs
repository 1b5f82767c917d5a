//! Every Rust example in the docs is compiled.

use crate::tidy::problem::Problem;
use crate::tidy::rust_text::split;
use crate::tidy::tree::Tree;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for file in tree.with_extension("rs") {
        let comments = split(&file.text).comments;
        let docs = comments.lines().map(|line| {
            let line = line.trim_start();
            line.strip_prefix("///")
                .or_else(|| line.strip_prefix("//!"))
                .unwrap_or_default()
        });
        report(&file.path, docs, problems);
    }
    for file in tree.with_extension("md") {
        report(&file.path, file.text.lines(), problems);
    }
}

fn report<'a>(path: &str, lines: impl Iterator<Item = &'a str>, problems: &mut Vec<Problem>) {
    for (index, line) in lines.enumerate() {
        if ignores(line) {
            let fix = "let it run; `no_run` if it serves, `text` if it is no Rust";
            problems.push(Problem::new(
                path,
                index + 1,
                "an example that is not even compiled",
                fix,
            ));
        }
    }
}

/// Whether a fence opens here with `ignore` among its words.
fn ignores(line: &str) -> bool {
    let Some(info) = line.trim_start().strip_prefix("```") else {
        return false;
    };
    info.split([',', ' '])
        .any(|word| word == "ignore" || word.starts_with("ignore-"))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, problems};

    #[track_caller]
    fn check_file(path: &str, text: &str, expected: &[&str]) {
        assert_problems(&problems(check, Vec::new(), &[(path, text)]), expected);
    }

    #[test]
    fn fires_on_ignored_examples() {
        let expected = |line| format!("a.rs:{line}: an example that is not even compiled — ");
        check_file(
            "a.rs",
            "/// ```ignore\n/// x\n/// ```\nfn a() {}",
            &[&expected(1)],
        );
        check_file(
            "a.rs",
            "//! A.\n//!\n//! ```rust,ignore\n//! ```",
            &[&expected(3)],
        );
        check_file(
            "a.rs",
            "    /// ```ignore-windows\n    /// ```",
            &[&expected(1)],
        );
        check_file("a.md", "```rust ignore\n```", &["a.md:1: "]);
    }

    #[test]
    fn other_examples_are_fine() {
        check_file(
            "a.rs",
            "/// ```\n/// ignore();\n/// ```\n/// ```no_run\n/// ```\n/// ignore me",
            &[],
        );
        check_file("a.rs", "fn a() { f(\"\n/// ```ignore\n\"); }", &[]);
        check_file("a.rs", "// ```ignore in a comment is no doctest", &[]);
    }
}
