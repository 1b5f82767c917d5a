//! House rules, each in a file under `rules`, checked on the files that git knows.

mod problem;
mod rules;
mod rust_text;
#[cfg(test)]
mod testing;
mod toml_lines;
mod tree;

use anyhow::Result;

pub(crate) use self::problem::Level;
use self::problem::Problem;
use self::tree::Tree;
use crate::workspace::Workspace;

/// A rule adds what it finds.
type Rule = fn(&Tree, &mut Vec<Problem>);

const RULES: &[Rule] = &[
    rules::ranks::check,
    rules::manifests::check,
    rules::default_members::check,
    rules::published::check,
    rules::shared_dependencies::check,
    rules::examples::check,
    rules::lib_rs::check,
    rules::file_length::check,
    rules::leftovers::check,
    rules::doctests::check,
    rules::doc_versions::check,
    rules::machine_paths::check,
];

/// Everything that is wrong, by file and line.
pub(crate) fn problems(workspace: &Workspace) -> Result<Vec<Problem>> {
    let tree = Tree::read(workspace)?;
    let mut problems = rules::unused_keys::ask_cargo(workspace)?;
    for rule in RULES {
        rule(&tree, &mut problems);
    }
    problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that `cargo test` tells what `cargo xtask tidy` would.
    #[test]
    fn this_workspace_is_tidy() {
        let workspace = Workspace::load().unwrap();
        let problems = problems(&workspace).unwrap();
        let errors: Vec<String> = problems
            .iter()
            .filter(|problem| problem.level == Level::Error)
            .map(Problem::to_string)
            .collect();
        assert!(errors.is_empty(), "\n{}\n", errors.join("\n"));
    }
}
