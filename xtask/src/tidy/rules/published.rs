//! A crate that is published says what it is and carries its papers.

use crate::tidy::problem::Problem;
use crate::tidy::tree::Tree;
use crate::workspace::Package;

/// The registry refuses more.
const KEYWORDS: usize = 5;

pub(crate) fn check(tree: &Tree, problems: &mut Vec<Problem>) {
    for package in tree.workspace.published() {
        let manifest = package.file("Cargo.toml");
        for key in missing(package) {
            let fix = format!("add `{key} = …` under `[package]`, or `publish = false`");
            problems.push(Problem::new(
                &manifest,
                0,
                format!("a published crate has no `{key}`"),
                fix,
            ));
        }
        if package.keywords.len() > KEYWORDS {
            let what = format!("{} keywords", package.keywords.len());
            problems.push(Problem::new(
                &manifest,
                0,
                what,
                format!("keep the best {KEYWORDS}"),
            ));
        }
        for (name, fix) in [
            ("README.md", "run `cargo xtask artefacts`"),
            ("CHANGELOG.md", "write one with a `## Unreleased` section"),
        ] {
            let path = package.file(name);
            if tree.file(&path).is_none() {
                problems.push(Problem::new(
                    &path,
                    0,
                    "a published crate has no such file",
                    fix,
                ));
            }
        }
    }
}

fn missing(package: &Package) -> Vec<&'static str> {
    let fields = [
        ("description", package.description.is_none()),
        ("readme", package.readme.is_none()),
        ("documentation", package.documentation.is_none()),
        ("keywords", package.keywords.is_empty()),
        ("categories", package.categories.is_empty()),
    ];
    fields
        .into_iter()
        .filter(|(_, missing)| *missing)
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::testing::{assert_problems, package, problems};

    const FILES: &[(&str, &str)] = &[
        ("crates/rs-a/README.md", ""),
        ("crates/rs-a/CHANGELOG.md", ""),
    ];

    fn good() -> Package {
        Package {
            description: Some("One job.".to_owned()),
            readme: Some("README.md".to_owned()),
            documentation: Some("https://docs.rs/rs-a".to_owned()),
            keywords: vec!["retry".to_owned()],
            categories: vec!["asynchronous".to_owned()],
            ..package("rs-a", 0)
        }
    }

    #[test]
    fn fires_on_missing_fields() {
        assert_problems(&problems(check, vec![good()], FILES), &[]);
        let bare = Package {
            description: None,
            categories: Vec::new(),
            ..good()
        };
        assert_problems(
            &problems(check, vec![bare], FILES),
            &[
                "crates/rs-a/Cargo.toml: a published crate has no `description`",
                "crates/rs-a/Cargo.toml: a published crate has no `categories`",
            ],
        );
        let chatty = Package {
            keywords: vec!["a".to_owned(); 6],
            ..good()
        };
        assert_problems(
            &problems(check, vec![chatty], FILES),
            &["crates/rs-a/Cargo.toml: 6 keywords — keep the best 5"],
        );
    }

    #[test]
    fn fires_on_missing_files() {
        assert_problems(
            &problems(check, vec![good()], &[]),
            &[
                "crates/rs-a/README.md: a published crate",
                "crates/rs-a/CHANGELOG.md: a published crate",
            ],
        );
    }

    #[test]
    fn leaves_unpublished_crates_alone() {
        let own = Package {
            publish: false,
            ..package("rs-a", 0)
        };
        assert_problems(&problems(check, vec![own], &[]), &[]);
    }
}
