//! The `lib.rs` of a published crate is its table of contents: docs, `mod`, `pub use`, no function.

use crate::tidy::problem::Problem;
use crate::tidy::rust_text::{split, words};
use crate::tidy::tree::Tree;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    // The compiler wants the functions of a macro crate in its `lib.rs`.
    let crates = tree
        .workspace
        .published()
        .filter(|package| package.targets("proc-macro").next().is_none());
    for path in crates.map(|package| package.file("src/lib.rs")) {
        let Some(file) = tree.file(&path) else {
            continue;
        };
        let code = split(&file.text).code;
        for (line, _, _) in
            words(&code).filter(|(_, word, next)| *word == "fn" && *next == Some(' '))
        {
            let fix = "move it to the module of what it belongs to; tests go to `tests/it`";
            problems.push(Problem::new(&path, line, "a function in `lib.rs`", fix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, package, problems, target};
    use crate::workspace::Package;

    #[track_caller]
    fn check_lib(lib: &str, expected: &[&str]) {
        let found = problems(
            check,
            vec![package("rs-a", 2)],
            &[("crates/rs-a/src/lib.rs", lib)],
        );
        assert_problems(&found, expected);
    }

    #[test]
    fn fires_on_functions_only() {
        check_lib(
            "//! fn main() {}\nmod a;\npub use a::A;\npub type F = fn(u8);\n",
            &[],
        );
        check_lib(
            "//! Docs.\n\npub fn a() {}\n",
            &["crates/rs-a/src/lib.rs:3: a function in `lib.rs` — "],
        );
    }

    #[test]
    fn macro_crates_have_their_functions_there() {
        let macros = Package {
            targets: vec![target("proc-macro", "rs_a")],
            ..package("rs-a", 5)
        };
        let found = problems(
            check,
            vec![macros],
            &[("crates/rs-a/src/lib.rs", "pub fn a() {}")],
        );
        assert_problems(&found, &[]);
    }
}
