//! A source file holds one concept and is read in one sitting.

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;

const LONG: usize = 500;
const TOO_LONG: usize = 800;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for file in tree
        .with_extension("rs")
        .filter(|file| file.path.contains("/src/"))
    {
        let lines = file.text.lines().count();
        if lines > LONG {
            let fix = "split it by concept: one file, one idea";
            let problem = Problem::new(
                &file.path,
                0,
                format!("{lines} lines (at most {TOO_LONG})"),
                fix,
            );
            problems.push(if lines > TOO_LONG {
                problem
            } else {
                problem.warning()
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, problems};

    #[track_caller]
    fn check_lines(lines: usize, path: &str, expected: &[&str]) {
        let text = "\n".repeat(lines);
        assert_problems(&problems(check, Vec::new(), &[(path, &text)]), expected);
    }

    #[test]
    fn warns_then_fails() {
        let path = "crates/rs-a/src/a.rs";
        check_lines(500, path, &[]);
        check_lines(501, path, &["crates/rs-a/src/a.rs: warning: 501 lines"]);
        check_lines(801, path, &["crates/rs-a/src/a.rs: 801 lines"]);
        check_lines(801, "crates/rs-a/tests/it/table.rs", &[]);
    }
}
