//! The `## Unreleased` section of a changelog.

use anyhow::{Result, bail};

const UNRELEASED: &str = "## Unreleased";

/// How many entries (`- …`) are unreleased; `None` without such a section.
pub(crate) fn entries(changelog: &str) -> Option<usize> {
    let mut lines = changelog
        .lines()
        .skip_while(|line| line.trim_end() != UNRELEASED);
    lines.next()?;
    Some(
        lines
            .take_while(|line| !line.starts_with("## "))
            .filter(|line| line.starts_with("- "))
            .count(),
    )
}

/// The changelog with its unreleased entries under `version`, and an empty section above them.
pub(crate) fn roll(changelog: &str, version: &str, date: &str) -> Result<String> {
    let heading = format!("## {version}");
    if changelog
        .lines()
        .any(|line| line == heading || line.starts_with(&format!("{heading} ")))
    {
        bail!("it has a section `{heading}` already");
    }
    let roll_line = |line: &str| {
        if line.trim_end() == UNRELEASED {
            format!("{UNRELEASED}\n\n{heading} ({date})\n")
        } else {
            format!("{line}\n")
        }
    };
    Ok(changelog.lines().map(roll_line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "# Changelog\n\n## Unreleased\n\n- One.\n- Two,\n  wrapped.\n\n## 0.1.0 (2026-01-02)\n\n- Old.\n";

    #[test]
    fn counts_entries() {
        assert_eq!(entries(SAMPLE), Some(2));
        assert_eq!(entries("## Unreleased\n"), Some(0));
        assert_eq!(entries("# Changelog\n\n## 0.1.0\n- Old.\n"), None);
    }

    #[test]
    fn rolls_to_a_version() {
        let rolled = roll(SAMPLE, "0.2.0", "2026-03-04").unwrap();
        assert!(
            rolled.starts_with("# Changelog\n\n## Unreleased\n\n## 0.2.0 (2026-03-04)\n\n- One.\n")
        );
        assert!(rolled.ends_with("\n## 0.1.0 (2026-01-02)\n\n- Old.\n"));
        assert_eq!(entries(&rolled), Some(0));
    }

    #[test]
    fn a_version_is_written_once() {
        assert!(roll(SAMPLE, "0.1.0", "2026-03-04").is_err());
        assert!(
            roll(SAMPLE, "0.1", "2026-03-04").is_ok(),
            "0.1 is not 0.1.0"
        );
    }
}
