//! The workspace and the text of its files.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::toml_lines::{self, Entry};
use crate::invocation::Invocation;
use crate::workspace::{Package, Workspace};

#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) workspace: &'a Workspace,
    pub(crate) files: Vec<File>,
}

#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl<'a> Tree<'a> {
    /// Reads every text file that git tracks or would track.
    pub(crate) fn read(workspace: &'a Workspace) -> Result<Self> {
        let git = Invocation::new("git")
            .words("ls-files --cached --others --exclude-standard -z")
            .dir(&workspace.root);
        let listed = git.capture()?;
        let paths = if listed.success {
            listed
                .stdout
                .split_terminator('\0')
                .map(str::to_owned)
                .collect()
        } else {
            // An unpacked archive has no git to ask.
            let mut paths = Vec::new();
            walk(&workspace.root, "", &mut paths)?;
            paths
        };
        // What is deleted but still tracked, or is no text, is left out.
        let read = |path: String| {
            fs::read_to_string(workspace.root.join(&path))
                .ok()
                .map(|text| File { path, text })
        };
        Ok(Self {
            workspace,
            files: paths.into_iter().filter_map(read).collect(),
        })
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub(crate) fn with_extension<'t>(
        &'t self,
        extension: &'t str,
    ) -> impl Iterator<Item = &'t File> {
        self.files.iter().filter(move |file| {
            Path::new(&file.path)
                .extension()
                .is_some_and(|it| it == extension)
        })
    }

    /// The lines of a crate's manifest.
    pub(crate) fn manifest(&self, package: &Package) -> Vec<Entry> {
        self.toml(&package.file("Cargo.toml"))
    }

    pub(crate) fn toml(&self, path: &str) -> Vec<Entry> {
        self.file(path)
            .map(|file| toml_lines::entries(&file.text))
            .unwrap_or_default()
    }
}

fn walk(root: &Path, dir: &str, paths: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if dir.is_empty() {
            name.clone()
        } else {
            format!("{dir}/{name}")
        };
        if entry.file_type()?.is_dir() {
            if name != "target" && name != ".git" {
                walk(root, &path, paths)?;
            }
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
