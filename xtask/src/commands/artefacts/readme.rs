//! A crate's README from the crate-level docs of its `lib.rs`.

use anyhow::{Result, bail};

use super::links;

const NOTE: &str = "<!-- Generated from src/lib.rs by `cargo xtask artefacts`. -->";

/// The `//!` docs as plain Markdown: links into rustdoc become code, hidden doctest lines go.
pub(crate) fn from_source(name: &str, source: &str) -> Result<String> {
    let docs = crate_docs(source);
    if docs.iter().all(|line| line.trim().is_empty()) {
        bail!("there are no `//!` docs to make a README of");
    }
    let has_title = docs
        .iter()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with("# "));
    if has_title {
        return Ok(format!("{NOTE}\n\n{}\n", plain(&docs, "").trim()));
    }
    // Under the title, the sections go one level down.
    let body = plain(&docs, "#");
    Ok(format!("{NOTE}\n\n# {name}\n\n{}\n", body.trim()))
}

/// The `//!` lines that open the file, without their marker. Attributes and plain comments may
/// stand before and between them.
fn crate_docs(source: &str) -> Vec<&str> {
    let mut docs = Vec::new();
    for line in source.lines() {
        if let Some(doc) = line.strip_prefix("//!") {
            docs.push(doc.strip_prefix(' ').unwrap_or(doc));
        } else if !(line.trim().is_empty() || line.starts_with("//") || line.starts_with("#![")) {
            break;
        }
    }
    docs
}

/// The docs without what only rustdoc understands, each heading with these marks put before it.
fn plain(docs: &[&str], deeper: &str) -> String {
    let mut out = String::new();
    let mut prose = String::new();
    let mut fence: Option<Fence> = None;
    for line in docs {
        match &fence {
            None => match Fence::open(line) {
                Some(opened) => {
                    out.push_str(&links::plain(&std::mem::take(&mut prose)));
                    out.push_str(&opened.heading());
                    out.push('\n');
                    fence = Some(opened);
                }
                None => {
                    if line.starts_with('#') {
                        prose.push_str(deeper);
                    }
                    push_line(&mut prose, line);
                }
            },
            Some(open) if open.closed_by(line) => {
                push_line(&mut out, line);
                fence = None;
            }
            Some(open) if open.rust => {
                if let Some(line) = shown(line) {
                    push_line(&mut out, line);
                }
            }
            Some(_) => push_line(&mut out, line),
        }
    }
    out.push_str(&links::plain(&prose));
    out
}

fn push_line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A doctest line as rustdoc shows it: `# hidden` not at all, `##` as `#`.
fn shown(line: &str) -> Option<&str> {
    let trimmed = line.trim_start();
    if trimmed == "#" || trimmed.starts_with("# ") {
        return None;
    }
    Some(if trimmed.starts_with("##") {
        &trimmed[1..]
    } else {
        line
    })
}

struct Fence {
    /// Spaces before it.
    indent: String,
    /// The backticks or tildes.
    marks: String,
    info: String,
    rust: bool,
}

impl Fence {
    fn open(line: &str) -> Option<Self> {
        let trimmed = line.trim_start();
        let mark = trimmed.chars().next().filter(|c| *c == '`' || *c == '~')?;
        let info = trimmed.trim_start_matches(mark);
        let marks = &trimmed[..trimmed.len() - info.len()];
        if marks.len() < 3 || info.contains('`') {
            return None;
        }
        Some(Self {
            indent: line[..line.len() - trimmed.len()].to_owned(),
            marks: marks.to_owned(),
            info: info.trim().to_owned(),
            rust: is_rust(info),
        })
    }

    fn heading(&self) -> String {
        let info = if self.rust { "rust" } else { &self.info };
        format!("{}{}{info}", self.indent, self.marks)
    }

    fn closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.starts_with(&self.marks) && line.trim_start_matches(&self.marks[..1]).is_empty()
    }
}

/// Whether rustdoc takes a fence with this text behind it for Rust.
fn is_rust(info: &str) -> bool {
    let known = ["rust", "no_run", "should_panic", "compile_fail", "ignore"];
    info.split([',', ' '])
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .all(|word| {
            known.contains(&word) || word.starts_with("edition") || word.starts_with("ignore-")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(
            from_source("rs-x", source).unwrap(),
            format!("{NOTE}\n\n{expected}")
        );
    }

    #[test]
    fn adds_a_title_where_there_is_none() {
        check(
            "//! One job.\n//!\n//! More.\n\nmod a;\n",
            "# rs-x\n\nOne job.\n\nMore.\n",
        );
        check(
            "//! # Own title\n//!\n//! ## Part\n",
            "# Own title\n\n## Part\n",
        );
    }

    #[test]
    fn sections_go_below_the_added_title() {
        check(
            "//! One job.\n//!\n//! # Part\n//! ## Detail\n",
            "# rs-x\n\nOne job.\n\n## Part\n### Detail\n",
        );
    }

    #[test]
    fn stops_at_the_first_item() {
        check(
            "#![doc(test(attr(deny(warnings))))]\n\n//! Docs.\nmod a;\n//! no\n",
            "# rs-x\n\nDocs.\n",
        );
    }

    #[test]
    fn doctests_become_plain_examples() {
        check(
            "//! ```no_run\n//! # use x::y;\n//! #\n//! #[derive(Debug)]\n//! struct A; // [`A`]\n//! ## not hidden\n//! ```\n",
            "# rs-x\n\n```rust\n#[derive(Debug)]\nstruct A; // [`A`]\n# not hidden\n```\n",
        );
    }

    #[test]
    fn other_fences_stay() {
        check(
            "//! ```toml\n//! # a comment\n//! x = [`1`]\n//! ```\n//! [`A`]\n",
            "# rs-x\n\n```toml\n# a comment\nx = [`1`]\n```\n`A`\n",
        );
        check(
            "//! ````text\n//! ```\n//! ````\n",
            "# rs-x\n\n````text\n```\n````\n",
        );
    }

    #[test]
    fn no_docs_is_an_error() {
        assert!(from_source("rs-x", "mod a;\n").is_err());
    }
}
