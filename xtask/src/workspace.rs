//! The crates of this workspace, as `cargo metadata` tells them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::invocation::Invocation;

/// The crate with the benches. It depends on every peer, so only what needs it builds it.
pub(crate) const BENCH: &str = "rs-bench";

/// The crate with the servers and networks for tests.
pub(crate) const TESTKIT: &str = "rs-testkit";

/// Selects every crate but the benches, always the same way: cargo would otherwise unify features
/// differently and build the world once per stage.
pub(crate) const ALL: &str = "--workspace --exclude rs-bench --all-features";

#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Folder relative to the root, with forward slashes.
    pub(crate) dir: String,
    pub(crate) publish: bool,
    /// Whether `cargo build` without further words builds it.
    pub(crate) default_member: bool,
    pub(crate) description: Option<String>,
    pub(crate) readme: Option<String>,
    pub(crate) documentation: Option<String>,
    pub(crate) keywords: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) house: House,
}

/// `[package.metadata.house]`
#[derive(Debug, Default, Clone)]
pub(crate) struct House {
    pub(crate) rank: Option<i64>,
    /// Examples that `cargo xtask test` builds but does not run, each with the reason.
    pub(crate) manual_examples: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Given by path only, so that the published crate does not know it.
    pub(crate) path_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    /// `lib`, `proc-macro`, `bin`, `example`, `test`, `bench`, …
    pub(crate) kind: String,
    pub(crate) required_features: Vec<String>,
}

impl Workspace {
    /// Asks cargo about the workspace that contains the current folder.
    pub(crate) fn load() -> Result<Self> {
        // Asked about the root: in a crate's folder, the crate would be the only default member.
        let root = Invocation::cargo("locate-project --workspace --message-format plain").read()?;
        let metadata = Invocation::cargo("metadata --no-deps --format-version 1");
        let text = metadata.args(["--manifest-path", root.trim()]).read()?;
        Self::parse(&text).context("reading the answer of `cargo metadata`")
    }

    fn parse(text: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(text)?;
        let root = PathBuf::from(required(&metadata, "workspace_root")?);
        let defaults = strings(&metadata["workspace_default_members"]);
        let packages =
            list(&metadata, "packages").map(|package| Package::parse(package, &root, &defaults));
        let mut packages = packages.collect::<Result<Vec<_>>>()?;
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            target: PathBuf::from(required(&metadata, "target_directory")?),
            root,
            packages,
        })
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    pub(crate) fn published(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.publish)
    }
}

impl Package {
    fn parse(value: &Value, root: &Path, defaults: &[String]) -> Result<Self> {
        let name = required(value, "name")?;
        let manifest = PathBuf::from(required(value, "manifest_path")?);
        let dir = manifest
            .parent()
            .and_then(|dir| dir.strip_prefix(root).ok());
        let dir = dir.ok_or_else(|| anyhow!("crate `{name}` lies outside of the workspace"))?;
        Ok(Self {
            version: required(value, "version")?,
            dir: dir.to_string_lossy().replace('\\', "/"),
            // `null` is anywhere, `[]` is nowhere.
            publish: value["publish"]
                .as_array()
                .is_none_or(|registries| !registries.is_empty()),
            default_member: defaults.contains(&required(value, "id")?),
            description: optional(value, "description"),
            readme: optional(value, "readme"),
            documentation: optional(value, "documentation"),
            keywords: strings(&value["keywords"]),
            categories: strings(&value["categories"]),
            dependencies: list(value, "dependencies")
                .map(Dependency::parse)
                .collect::<Result<_>>()?,
            targets: list(value, "targets")
                .map(Target::parse)
                .collect::<Result<_>>()?,
            features: map(&value["features"])
                .map(|(name, parts)| (name, strings(parts)))
                .collect(),
            house: House::parse(&value["metadata"]["house"]),
            name,
        })
    }

    pub(crate) fn targets(&self, kind: &str) -> impl Iterator<Item = &Target> {
        self.targets
            .iter()
            .filter(move |target| target.kind == kind)
    }

    pub(crate) fn has_target(&self, kind: &str, name: &str) -> bool {
        self.targets(kind).any(|target| target.name == name)
    }

    /// A file of the crate, relative to the root.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }
}

impl House {
    fn parse(value: &Value) -> Self {
        let reasons = map(&value["manual-examples"]);
        let text = |reason: &Value| reason.as_str().unwrap_or_default().to_owned();
        Self {
            rank: value["rank"].as_i64(),
            manual_examples: reasons.map(|(name, reason)| (name, text(reason))).collect(),
        }
    }
}

impl Dependency {
    fn parse(value: &Value) -> Result<Self> {
        Ok(Self {
            name: required(value, "name")?,
            kind: match value["kind"].as_str() {
                Some("dev") => Kind::Dev,
                Some("build") => Kind::Build,
                _ => Kind::Normal,
            },
            path_only: value["path"].is_string() && value["req"].as_str() == Some("*"),
        })
    }
}

impl Target {
    fn parse(value: &Value) -> Result<Self> {
        Ok(Self {
            name: required(value, "name")?,
            kind: strings(&value["kind"])
                .into_iter()
                .next()
                .unwrap_or_default(),
            required_features: strings(&value["required-features"]),
        })
    }
}

fn required(value: &Value, key: &str) -> Result<String> {
    optional(value, key).ok_or_else(|| anyhow!("there is no `{key}`"))
}

fn optional(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn map(value: &Value) -> impl Iterator<Item = (String, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value))
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_workspace() {
        let workspace = Workspace::load().unwrap();
        let xtask = workspace.package("xtask").unwrap();
        assert_eq!(
            (xtask.dir.as_str(), xtask.publish, xtask.house.rank),
            ("xtask", false, Some(9))
        );
        assert!(xtask.has_target("bin", "xtask"));
        assert!(
            workspace
                .published()
                .any(|package| package.name == "rs-core")
        );
    }

    #[test]
    fn tells_path_only_dependencies_apart() {
        let parse = |json: &str| Dependency::parse(&serde_json::from_str(json).unwrap()).unwrap();
        let kit = parse(r#"{"name":"rs-testkit","req":"*","kind":"dev","path":"/x"}"#);
        assert_eq!((kit.kind, kit.path_only), (Kind::Dev, true));
        let core = parse(r#"{"name":"rs-core","req":"^0.1.0","kind":null,"path":"/y"}"#);
        assert_eq!((core.kind, core.path_only), (Kind::Normal, false));
    }
}
