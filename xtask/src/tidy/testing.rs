//! Small trees to try rules on.

use super::problem::Problem;
use super::tree::{File, Tree};
use crate::workspace::{Dependency, House, Kind, Package, Target, Workspace};

/// A published crate in `crates/<name>` of the given rank.
pub(crate) fn package(name: &str, rank: i64) -> Package {
    Package {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        dir: format!("crates/{name}"),
        publish: true,
        default_member: true,
        house: House {
            rank: Some(rank),
            ..House::default()
        },
        ..Package::default()
    }
}

pub(crate) fn dependency(name: &str, kind: Kind, path_only: bool) -> Dependency {
    Dependency {
        name: name.to_owned(),
        kind,
        path_only,
    }
}

pub(crate) fn target(kind: &str, name: &str) -> Target {
    Target {
        name: name.to_owned(),
        kind: kind.to_owned(),
        ..Target::default()
    }
}

/// What a rule says about these crates and files.
pub(crate) fn problems(
    rule: fn(&Tree, &mut Vec<Problem>),
    packages: Vec<Package>,
    files: &[(&str, &str)],
) -> Vec<String> {
    let workspace = Workspace {
        packages,
        ..Workspace::default()
    };
    let file = |&(path, text): &(&str, &str)| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let tree = Tree {
        workspace: &workspace,
        files: files.iter().map(file).collect(),
    };
    let mut found = Vec::new();
    rule(&tree, &mut found);
    found.iter().map(Problem::to_string).collect()
}

/// Asserts that there is exactly one problem for each of `expected`, in order, beginning with it.
#[track_caller]
pub(crate) fn assert_problems(found: &[String], expected: &[&str]) {
    let fits =
        found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.starts_with(b));
    assert!(fits, "found {found:#?}\nexpected {expected:#?}");
}
