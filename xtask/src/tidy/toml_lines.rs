//! Manifests as lines: enough TOML to ask where a key is set, with its line number.
//!
//! A real parser would cost more than the rest of this program, and cargo has already refused what
//! is not TOML.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    /// As in the header, without brackets: `package`, `target.'cfg(unix)'.dependencies`.
    pub(crate) section: String,
    pub(crate) key: String,
    /// The rest of the line, of all lines if the value goes over several.
    pub(crate) value: String,
}

impl Entry {
    /// Whether this sets `path`, however section and key divide it.
    pub(crate) fn sets(&self, path: &str) -> bool {
        let own = if self.section.is_empty() {
            self.key.clone()
        } else {
            format!("{}.{}", self.section, self.key)
        };
        own == path
    }
}

pub(crate) fn entries(toml: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section = String::new();
    let mut open = 0_usize;
    for (index, line) in toml.lines().enumerate() {
        let line = without_comment(line).trim();
        if open > 0 {
            if let Some(entry) = entries.last_mut() {
                entry.value.push(' ');
                entry.value.push_str(line);
            }
            open = (open + count(line, ['[', '{'])).saturating_sub(count(line, [']', '}']));
        } else if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).trim().to_owned();
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (key.trim().to_owned(), value.trim().to_owned());
            open = count(&value, ['[', '{']).saturating_sub(count(&value, [']', '}']));
            entries.push(Entry {
                line: index + 1,
                section: section.clone(),
                key,
                value,
            });
        }
    }
    entries
}

fn count(text: &str, marks: [char; 2]) -> usize {
    outside_strings(text)
        .filter(|(_, c)| marks.contains(c))
        .count()
}

fn without_comment(line: &str) -> &str {
    let comment = outside_strings(line)
        .find(|(_, c)| *c == '#')
        .map(|(at, _)| at);
    &line[..comment.unwrap_or(line.len())]
}

fn outside_strings(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    text.char_indices().filter(move |&(_, c)| {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None => return true,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_know_their_section_and_number() {
        let toml = "# top\n[package]\nname = \"a#b\" # why\nversion.workspace = true\n\n[target.'cfg(loom)'.dependencies]\nloom = { version = \"1\", features = [\n  \"x\", # [\n] }\nnext = 1\n";
        let found = entries(toml);
        let plain: Vec<_> = found
            .iter()
            .map(|it| {
                (
                    it.line,
                    it.section.as_str(),
                    it.key.as_str(),
                    it.value.as_str(),
                )
            })
            .collect();
        assert_eq!(
            plain,
            [
                (3, "package", "name", "\"a#b\""),
                (4, "package", "version.workspace", "true"),
                (
                    7,
                    "target.'cfg(loom)'.dependencies",
                    "loom",
                    "{ version = \"1\", features = [ \"x\", ] }"
                ),
                (10, "target.'cfg(loom)'.dependencies", "next", "1"),
            ]
        );
        assert!(found[1].sets("package.version.workspace"));
        assert!(entries("lints.workspace = true")[0].sets("lints.workspace"));
    }
}
