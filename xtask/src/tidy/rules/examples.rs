//! Examples have names of their own, and those that are not run exist and say why.

use std::collections::BTreeMap;

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for package in &tree.workspace.packages {
        for example in package.targets("example") {
            if let Some(other) = owners.insert(&example.name, &package.name) {
                let path = package.file(&format!("examples/{}.rs", example.name));
                let what = format!(
                    "`{other}` has an example of the same name, and cargo builds both to one file"
                );
                problems.push(Problem::new(&path, 0, what, "name it after what it shows"));
            }
        }
        let manifest = package.file("Cargo.toml");
        for (name, reason) in &package.house.manual_examples {
            if !package.has_target("example", name) {
                let what = format!("`manual-examples` names `{name}`, which is no example");
                problems.push(Problem::new(&manifest, 0, what, "correct or remove it"));
            }
            if reason.is_empty() {
                let what = format!("`manual-examples` does not say why `{name}` is not run");
                problems.push(Problem::new(
                    &manifest,
                    0,
                    what,
                    format!("write `{name} = \"the reason\"`"),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::testing::{assert_problems, package, problems, target};
    use crate::workspace::Package;

    fn with_example(name: &str, example: &str) -> Package {
        Package {
            targets: vec![target("example", example)],
            ..package(name, 0)
        }
    }

    #[test]
    fn names_are_unique() {
        let found = problems(
            check,
            vec![with_example("rs-a", "a"), with_example("rs-b", "b")],
            &[],
        );
        assert_problems(&found, &[]);
        let found = problems(
            check,
            vec![with_example("rs-a", "basic"), with_example("rs-b", "basic")],
            &[],
        );
        assert_problems(
            &found,
            &["crates/rs-b/examples/basic.rs: `rs-a` has an example of the same name"],
        );
    }

    #[test]
    fn what_is_not_run_exists_and_says_why() {
        let mut crates = vec![with_example("rs-a", "demo")];
        crates[0]
            .house
            .manual_examples
            .insert("demo".to_owned(), "serves".to_owned());
        assert_problems(&problems(check, crates.clone(), &[]), &[]);
        crates[0]
            .house
            .manual_examples
            .insert("dmeo".to_owned(), String::new());
        assert_problems(
            &problems(check, crates, &[]),
            &[
                "crates/rs-a/Cargo.toml: `manual-examples` names `dmeo`",
                "crates/rs-a/Cargo.toml: `manual-examples` does not say why",
            ],
        );
    }
}
