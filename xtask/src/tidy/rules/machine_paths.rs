//! No file names a folder that exists on one machine only.

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;

/// Top folders whose content is somebody's own.
const PRIVATE: &[&str] = &["work", "root", "home"];

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(folder) = PRIVATE.iter().find(|folder| names(line, folder)) {
                let what = format!("a path under `/{folder}` exists on one machine only");
                problems.push(Problem::new(
                    &file.path,
                    index + 1,
                    what,
                    "make it relative to the workspace, or temporary",
                ));
            }
        }
    }
}

/// Whether an absolute path under `/folder` is in the line; in `a/folder/` and `https://a/folder/`
/// it is the middle of another path. A home folder counts when it has a name: `/home/<user>/` with
/// the angle brackets or a variable stands for any.
fn names(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}/");
    line.match_indices(&path).any(|(at, _)| {
        let inside =
            line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-/~:$}>*".contains(c));
        let after = &line[at + path.len()..];
        let concrete =
            after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        !inside && (concrete || folder != "home")
    })
}

#[cfg(test)]
mod tests {
    use super::{PRIVATE, check};
    use crate::tidy::testing::{assert_problems, problems};

    /// The paths are put together here, for this file is checked as well.
    #[track_caller]
    fn check_paths(write: impl Fn(&str) -> String, fires: bool) {
        for folder in PRIVATE {
            let text = format!("\n{}\n", write(folder));
            let found = problems(check, Vec::new(), &[("a.toml", &text)]);
            let expected =
                format!("a.toml:2: a path under `/{folder}` exists on one machine only — ");
            let expected: &[&str] = if fires { &[&expected] } else { &[] };
            assert_problems(&found, expected);
        }
    }

    #[test]
    fn fires_on_absolute_paths() {
        check_paths(|folder| format!("/{folder}/me/x"), true);
        check_paths(|folder| format!("path = \"/{folder}/me/x\""), true);
        check_paths(|folder| format!("cd /{folder}/x"), true);
    }

    #[test]
    fn other_paths_are_fine() {
        check_paths(|folder| format!("a/{folder}/b"), false);
        check_paths(|folder| format!("https://x.test/{folder}/b"), false);
        check_paths(|folder| format!("${{X}}/{folder}/b"), false);
        check_paths(|folder| format!("/{folder}ing/b"), false);
    }

    #[test]
    fn a_home_that_stands_for_any_is_fine() {
        assert_problems(
            &problems(check, Vec::new(), &[("a.md", "/home/<you>/x")]),
            &[],
        );
    }
}
