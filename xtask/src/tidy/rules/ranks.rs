//! A crate uses only crates of lower rank; nothing that is published needs what is not.

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;
use crate::workspace::{BENCH, Dependency, Kind, Package, TESTKIT};

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for package in &tree.workspace.packages {
        if package.house.rank.is_none() {
            let fix = "add `[package.metadata.house] rank = …`; CONTRIBUTING.md says which";
            problems.push(Problem::new(
                &package.file("Cargo.toml"),
                0,
                "the crate states no rank",
                fix,
            ));
        }
        for dependency in &package.dependencies {
            // A dependency from elsewhere has no rank.
            if let Some(used) = tree.workspace.package(&dependency.name)
                && let Some((what, fix)) = verdict(package, dependency, used)
            {
                problems.push(Problem::new(
                    &package.file("Cargo.toml"),
                    line(tree, package, dependency),
                    what,
                    fix,
                ));
            }
        }
    }
}

fn verdict(package: &Package, dependency: &Dependency, used: &Package) -> Option<(String, String)> {
    let name = &used.name;
    if name == BENCH {
        return Some((
            format!("`{name}` is a dependency"),
            "nothing depends on the benches: remove it".to_owned(),
        ));
    }
    if name == TESTKIT && dependency.kind != Kind::Dev {
        let fix = "move it to `[dev-dependencies]`".to_owned();
        return Some((
            format!("`{name}` is for tests, but is used outside of them"),
            fix,
        ));
    }
    if dependency.kind == Kind::Dev {
        let known_by_version = !used.publish && !dependency.path_only;
        let fix = format!("give `{name}` in [workspace.dependencies] a path and no version");
        return known_by_version.then(|| {
            (
                format!("`{name}` is not published, but is given with a version"),
                fix,
            )
        });
    }
    if package.publish && !used.publish {
        let fix = format!("publish `{name}` or do without it");
        return Some((
            format!("`{name}` is not published, so this crate could not be either"),
            fix,
        ));
    }
    match (package.house.rank, used.house.rank) {
        (Some(own), Some(rank)) if rank >= own => Some((
            format!("rank {own} uses `{name}` of rank {rank}"),
            "use only lower ranks: what both need belongs into a crate below them".to_owned(),
        )),
        _ => None,
    }
}

fn line(tree: &Tree, package: &Package, dependency: &Dependency) -> usize {
    let names =
        |key: &str| key == dependency.name || key.starts_with(&format!("{}.", dependency.name));
    let section = match dependency.kind {
        Kind::Normal => "dependencies",
        Kind::Build => "build-dependencies",
        Kind::Dev => "dev-dependencies",
    };
    let entries = tree.manifest(package);
    entries
        .iter()
        .find(|entry| entry.section.ends_with(section) && names(&entry.key))
        .map_or(0, |entry| entry.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::{assert_problems, dependency, package, problems};

    fn using(rank: i64, name: &str, kind: Kind, path_only: bool) -> Package {
        Package {
            dependencies: vec![dependency(name, kind, path_only)],
            ..package("rs-user", rank)
        }
    }

    #[track_caller]
    fn check_crates(packages: Vec<Package>, expected: &[&str]) {
        let files = [(
            "crates/rs-user/Cargo.toml",
            "[dependencies]\nrs-core.workspace = true\n",
        )];
        assert_problems(&problems(check, packages, &files), expected);
    }

    #[test]
    fn lower_ranks_only() {
        let core = package("rs-core", 2);
        check_crates(
            vec![core.clone(), using(3, "rs-core", Kind::Normal, false)],
            &[],
        );
        check_crates(
            vec![core.clone(), using(2, "rs-core", Kind::Normal, false)],
            &["crates/rs-user/Cargo.toml:2: rank 2 uses `rs-core` of rank 2 — "],
        );
        check_crates(
            vec![core.clone(), using(1, "rs-core", Kind::Build, false)],
            &["crates/rs-user/Cargo.toml: rank 1 uses `rs-core` of rank 2 — "],
        );
        check_crates(vec![core, using(1, "rs-core", Kind::Dev, false)], &[]);
        check_crates(vec![using(1, "tokio", Kind::Normal, false)], &[]);
    }

    #[test]
    fn every_crate_has_a_rank() {
        let mut unranked = package("rs-user", 0);
        unranked.house.rank = None;
        check_crates(
            vec![unranked],
            &["crates/rs-user/Cargo.toml: the crate states no rank — "],
        );
    }

    #[test]
    fn the_testkit_is_for_tests_and_by_path() {
        let kit = Package {
            publish: false,
            ..package(TESTKIT, 0)
        };
        check_crates(vec![kit.clone(), using(1, TESTKIT, Kind::Dev, true)], &[]);
        check_crates(
            vec![kit.clone(), using(1, TESTKIT, Kind::Dev, false)],
            &[
                "crates/rs-user/Cargo.toml: `rs-testkit` is not published, but is given with a version — ",
            ],
        );
        check_crates(
            vec![kit, using(1, TESTKIT, Kind::Normal, true)],
            &[
                "crates/rs-user/Cargo.toml: `rs-testkit` is for tests, but is used outside of them — ",
            ],
        );
    }

    #[test]
    fn nothing_depends_on_the_benches() {
        let bench = Package {
            publish: false,
            ..package(BENCH, 0)
        };
        let expected = ["crates/rs-user/Cargo.toml: `rs-bench` is a dependency — "];
        check_crates(vec![bench, using(9, BENCH, Kind::Dev, true)], &expected);
    }

    #[test]
    fn a_published_crate_needs_published_crates() {
        let inner = Package {
            publish: false,
            ..package("rs-inner", 0)
        };
        let expected = [
            "crates/rs-user/Cargo.toml: `rs-inner` is not published, so this crate could not be either — ",
        ];
        check_crates(
            vec![inner, using(9, "rs-inner", Kind::Normal, true)],
            &expected,
        );
    }
}
