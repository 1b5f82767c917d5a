//! Built examples.
//!
//! They are built with the same selection as the tests and run directly: `cargo run -p` would
//! choose other features and build half of the dependencies a second time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::invocation::Invocation;
use crate::workspace::{ALL, Package, Workspace};

#[derive(Debug)]
pub(crate) struct Binaries {
    messages: Vec<Value>,
}

impl Binaries {
    /// Builds the examples that `selection` names, as in `--examples` or `--example artefacts`.
    pub(crate) fn build(selection: &str) -> Result<Self> {
        let output = Invocation::cargo("build --message-format json-render-diagnostics")
            .words(ALL)
            .words(selection)
            .read_noisily()?;
        let messages = output
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(Self {
            messages: messages.collect(),
        })
    }

    /// The example, ready to run in its crate's folder as `cargo run` would run it.
    pub(crate) fn example(
        &self,
        workspace: &Workspace,
        package: &Package,
        name: &str,
    ) -> Result<Invocation> {
        let program = self
            .find(package, name)
            .with_context(|| format!("cargo built no example `{name}` of `{}`", package.name))?;
        let dir: PathBuf = workspace.root.join(&package.dir);
        Ok(Invocation::new(program)
            .env("CARGO_MANIFEST_DIR", dir.to_string_lossy())
            .dir(dir))
    }

    fn find(&self, package: &Package, name: &str) -> Option<&str> {
        let manifest = package.file("Cargo.toml");
        let message = self.messages.iter().find(|message| {
            message["executable"].is_string()
                && message["target"]["kind"][0] == "example"
                && message["target"]["name"] == name
                && message["manifest_path"]
                    .as_str()
                    .is_some_and(|path| Path::new(path).ends_with(&manifest))
        });
        message?["executable"].as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_example_of_the_right_crate() {
        let message = |dir: &str, kind: &str, executable: Option<&str>| {
            serde_json::json!({
                "manifest_path": format!("/somewhere/{dir}/Cargo.toml"),
                "target": { "kind": [kind], "name": "basic" },
                "executable": executable,
            })
        };
        let binaries = Binaries {
            messages: vec![
                message("crates/rs-a", "lib", None),
                message("crates/rs-a", "example", Some("a")),
                message("crates/rs-b", "example", Some("b")),
            ],
        };
        let package = Package {
            dir: "crates/rs-b".to_owned(),
            ..Package::default()
        };
        assert_eq!(binaries.find(&package, "basic"), Some("b"));
        assert_eq!(binaries.find(&package, "other"), None);
    }
}
