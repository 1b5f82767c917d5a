//! The order in which crates can be published.

use anyhow::{Result, bail};

use crate::workspace::{Kind, Package, Workspace};

/// Published crates, each after those that it depends on; by name where that leaves a choice.
pub(crate) fn by_dependency(workspace: &Workspace) -> Result<Vec<&Package>> {
    let mut waiting: Vec<&Package> = workspace.published().collect();
    let mut ordered: Vec<&Package> = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|package| {
            let needs = |other: &&Package| {
                package
                    .dependencies
                    .iter()
                    .any(|need| need.name == other.name && need.kind != Kind::Dev)
            };
            !waiting.iter().any(needs)
        });
        match ready {
            Some(at) => ordered.push(waiting.remove(at)),
            None => {
                let names: Vec<&str> = waiting
                    .iter()
                    .map(|package| package.name.as_str())
                    .collect();
                bail!("these crates depend on one another: {}", names.join(", "));
            }
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    fn workspace(crates: &[(&str, &[&str], Kind)]) -> Workspace {
        let dependency = |name: &&str, kind| Dependency {
            name: (*name).to_owned(),
            kind,
            path_only: false,
        };
        let packages = crates.iter().map(|(name, needs, kind)| Package {
            name: (*name).to_owned(),
            publish: true,
            dependencies: needs.iter().map(|need| dependency(need, *kind)).collect(),
            ..Package::default()
        });
        Workspace {
            packages: packages.collect(),
            ..Workspace::default()
        }
    }

    fn names(workspace: &Workspace) -> Result<Vec<&str>> {
        Ok(by_dependency(workspace)?
            .into_iter()
            .map(|package| package.name.as_str())
            .collect())
    }

    #[test]
    fn dependencies_come_first() {
        let workspace = workspace(&[
            ("a", &["b", "c"], Kind::Normal),
            ("b", &["c", "elsewhere"], Kind::Normal),
            ("c", &["a"], Kind::Dev),
        ]);
        assert_eq!(names(&workspace).unwrap(), ["c", "b", "a"]);
    }

    #[test]
    fn a_circle_is_refused() {
        let workspace = workspace(&[("a", &["b"], Kind::Normal), ("b", &["a"], Kind::Build)]);
        assert!(names(&workspace).unwrap_err().to_string().contains("a, b"));
    }
}
