//! The Debian archive that this machine uses, read from its own apt sources.

use std::fs;
use std::path::Path;

use anyhow::{Result, anyhow};

/// Where packages come from, and which key signs for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    uri: String,
    signed_by: Option<String>,
}

/// One entry of the machine's sources, in either of apt's two formats.
#[derive(Debug, Default)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
}

impl Archive {
    /// The archive from which this machine's own release comes.
    pub(super) fn of_this_machine() -> Result<Self> {
        let mut sources =
            one_line(&fs::read_to_string("/etc/apt/sources.list").unwrap_or_default());
        for entry in fs::read_dir("/etc/apt/sources.list.d")
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            match entry.path().extension().and_then(|ending| ending.to_str()) {
                Some("list") => sources.extend(one_line(&text)),
                Some("sources") => sources.extend(deb822(&text)),
                _ => {}
            }
        }
        let codename = os_release("VERSION_CODENAME").unwrap_or_default();
        Self::among(&sources, &codename).ok_or_else(|| {
            anyhow!("no entry of this machine's apt sources names the Debian archive")
        })
    }

    fn among(sources: &[Source], codename: &str) -> Option<Self> {
        let moving = ["oldstable", "stable", "testing", "unstable", "sid"];
        let of_this_release =
            |suite: &String| suite == codename || moving.contains(&suite.as_str());
        sources
            .iter()
            .filter(|source| source.suites.iter().any(of_this_release))
            .filter(|source| {
                source
                    .components
                    .iter()
                    .any(|component| component == "main")
            })
            .find_map(|source| {
                let uri = source.uris.iter().find(|uri| !uri.starts_with("cdrom:"))?;
                Some(Self {
                    uri: uri.clone(),
                    signed_by: source.signed_by.clone(),
                })
            })
    }

    /// An apt source for `release` from the same archive; its package list is all that is fetched.
    pub(super) fn source_for(&self, release: &str) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {release}\nComponents: main\nTargets: Packages\n",
            self.uri
        );
        if let Some(key) = &self.signed_by {
            text.push_str(&format!("Signed-By: {key}\n"));
        }
        text
    }
}

/// Whether packages of this machine are Debian's.
pub(super) fn is_debian() -> bool {
    os_release("ID").is_some_and(|id| id == "debian") && Path::new("/usr/bin/apt-get").exists()
}

fn os_release(field: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

/// `deb [signed-by=/key.gpg] http://host/debian bookworm main contrib`
fn one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line_source).collect()
}

fn one_line_source(line: &str) -> Option<Source> {
    let rest = line.trim().strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest
        .split('#')
        .next()?
        .split_whitespace()
        .map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .map(str::to_owned),
    })
}

/// Paragraphs of `Field: value`, where a line that starts with a space continues the value.
fn deb822(text: &str) -> Vec<Source> {
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect();
    text.split("\n\n").filter_map(deb822_source).collect()
}

fn deb822_source(paragraph: &str) -> Option<Source> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in paragraph.lines() {
        match (
            line.starts_with(' '),
            fields.last_mut(),
            line.split_once(':'),
        ) {
            (true, Some((_, value)), _) => value.extend(["\n", line]),
            (false, _, Some((name, value))) => {
                fields.push((name.to_ascii_lowercase(), value.trim().to_owned()))
            }
            _ => {}
        }
    }
    let field = |name| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    };
    let words = |name| {
        field(name)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let enabled = field("enabled").is_none_or(|value| !["no", "false", "0"].contains(&value));
    let binary = words("types").iter().any(|kind| kind == "deb");
    (enabled && binary).then(|| Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sources: &[Source], uri: &str, signed_by: Option<&str>) {
        let expected = Archive {
            uri: uri.to_owned(),
            signed_by: signed_by.map(str::to_owned),
        };
        assert_eq!(Archive::among(sources, "bookworm"), Some(expected));
    }

    #[test]
    fn one_line_sources() {
        let sources = one_line(
            "# deb http://off.example/debian bookworm main\n\
             deb-src http://source.example/debian bookworm main\n\
             deb http://security.example/debian bookworm-security main\n\
             deb https://other.example/linux bookworm stable\n\
             deb [arch=amd64 signed-by=/keys/debian.gpg] http://mirror.example/debian  bookworm main contrib # mine\n",
        );
        check(
            &sources,
            "http://mirror.example/debian",
            Some("/keys/debian.gpg"),
        );
    }

    #[test]
    fn one_line_without_options() {
        check(
            &one_line("deb http://mirror.example/debian stable main"),
            "http://mirror.example/debian",
            None,
        );
    }

    #[test]
    fn deb822_sources() {
        let sources = deb822(
            "Types: deb\nURIs: http://security.example/debian\nSuites: bookworm-security\nComponents: main\n\n\
             Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n\
             # a comment\nTypes: deb deb-src\nURIs: cdrom:[disc]/ http://mirror.example/debian\n\
             # another\nSuites: bookworm\n bookworm-updates\nComponents: main\n\
             Signed-By:\n -----BEGIN\n .\n -----END\n",
        );
        check(
            &sources,
            "http://mirror.example/debian",
            Some("\n -----BEGIN\n .\n -----END"),
        );
    }

    #[test]
    fn no_archive() {
        assert_eq!(
            Archive::among(
                &one_line("deb http://other.example bookworm stable"),
                "bookworm"
            ),
            None
        );
    }

    #[test]
    fn an_older_release_is_asked_from_the_same_archive() {
        let archive = Archive {
            uri: "http://mirror.example/debian".to_owned(),
            signed_by: Some("/k".to_owned()),
        };
        assert_eq!(
            archive.source_for("bullseye"),
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: bullseye\nComponents: main\n\
             Targets: Packages\nSigned-By: /k\n"
        );
    }
}
