//! No ignored tests, no placeholders, no debug prints: the first hide failures, the others are not
//! finished. Clippy knows the macros too, but only in code that is compiled.

use crate::tidy::problem::Problem;
use crate::tidy::rust_text::{split, words};
use crate::tidy::tree::Tree;

const MACROS: &[(&str, &str)] = &[
    ("todo", "write what is missing, or leave the item out"),
    (
        "unimplemented",
        "write what is missing, or leave the item out",
    ),
    ("dbg", "remove it"),
];

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for file in tree.with_extension("rs") {
        let code = split(&file.text).code;
        for (line, word, next) in words(&code) {
            if let Some((name, fix)) = MACROS
                .iter()
                .find(|(name, _)| *name == word && next == Some('!'))
            {
                problems.push(Problem::new(
                    &file.path,
                    line,
                    format!("`{name}!` is left over"),
                    *fix,
                ));
            }
        }
        for line in ignored(&code) {
            let fix = "repair or remove it: a test that does not run proves nothing";
            problems.push(Problem::new(&file.path, line, "an ignored test", fix));
        }
    }
}

/// Lines of `#[ignore]`, `#[ignore = "…"]` and `#[cfg_attr(…, ignore)]`.
fn ignored(code: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (at, _) in code.match_indices("#[") {
        let attribute = &code[at + 2..];
        let attribute = &attribute[..attribute.find(']').unwrap_or(attribute.len())];
        let mut names = words(attribute).map(|(_, word, _)| word);
        let ignores = match names.next() {
            Some("ignore") => true,
            Some("cfg_attr") => names.any(|name| name == "ignore"),
            _ => false,
        };
        if ignores {
            lines.push(code[..at].matches('\n').count() + 1);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, problems};

    #[track_caller]
    fn check_code(code: &str, expected: &[&str]) {
        assert_problems(&problems(check, Vec::new(), &[("a.rs", code)]), expected);
    }

    #[test]
    fn fires_on_leftovers() {
        check_code(
            "fn a() {\n    todo!()\n}",
            &["a.rs:2: `todo!` is left over — "],
        );
        check_code(
            "fn a() { unimplemented!(\"later\") }",
            &["a.rs:1: `unimplemented!`"],
        );
        check_code("fn a() { std::dbg!(1); }", &["a.rs:1: `dbg!`"]);
    }

    #[test]
    fn fires_on_ignored_tests() {
        check_code(
            "#[test]\n#[ignore]\nfn a() {}",
            &["a.rs:2: an ignored test — "],
        );
        check_code(
            "#[ignore = \"slow\"]\nfn a() {}",
            &["a.rs:1: an ignored test"],
        );
        check_code(
            "#[cfg_attr(miri, ignore)]\nfn a() {}",
            &["a.rs:1: an ignored test"],
        );
    }

    #[test]
    fn words_in_comments_strings_and_names_are_fine() {
        check_code(
            "// todo!() #[ignore]\n/// dbg!(x)\nfn a() { f(\"todo!() #[ignore]\"); }",
            &[],
        );
        check_code(
            "#[expect(clippy::todo, reason = \"x\")]\nfn todo() {}\nlet a = todo != 1;",
            &[],
        );
        check_code("#[serde(ignore)]\nstruct A;\nmy_dbg!(1);", &[]);
    }
}
