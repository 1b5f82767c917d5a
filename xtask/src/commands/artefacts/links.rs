//! Turns links that only rustdoc can follow into plain text.
//!
//! `` [`Clock`] `` and `` [`Clock`](crate::Clock) `` become `` `Clock` ``, `[the clock](crate::Clock)`
//! becomes `the clock`, and definitions of such links go away. Links to the web, to anchors and to
//! files stay.

use std::collections::BTreeMap;

/// `text` is Markdown without fenced code.
pub(crate) fn plain(text: &str) -> String {
    let definitions = definitions(text);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match definition(line) {
            Some((_, target)) if !leads_outside(target) => {}
            _ => out.push_str(line),
        }
    }
    inline(&out, &definitions)
}

/// `[label]: target` lines, label to target.
fn definitions(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(definition).collect()
}

fn definition(line: &str) -> Option<(&str, &str)> {
    let (label, target) = line.strip_prefix('[')?.split_once("]:")?;
    let target = target.trim();
    let prose = label.starts_with('^') || target.is_empty() || target.contains(' ');
    (!prose).then_some((label, target))
}

fn leads_outside(target: &str) -> bool {
    target.contains('/')
        || target.starts_with('#')
        || target.starts_with("mailto:")
        || target.ends_with(".md")
}

fn inline(text: &str, definitions: &BTreeMap<&str, &str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.as_bytes()[0] {
            b'`' => code_span(rest),
            b'\\' => rest.chars().take(2).map(char::len_utf8).sum(),
            _ => match link(rest, definitions) {
                Some((plain, length)) => {
                    out.push_str(&plain);
                    rest = &rest[length..];
                    continue;
                }
                None => 1,
            },
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

/// Length of the code span that `text` begins with, or of its backticks if nothing closes them.
fn code_span(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let mut from = ticks;
    while let Some(at) = text[from..].find('`') {
        let start = from + at;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        from = start + run;
        if run == ticks {
            return from;
        }
    }
    ticks
}

/// If `text` begins with a link into rustdoc: what to write in its place, and the link's length.
fn link(text: &str, definitions: &BTreeMap<&str, &str>) -> Option<(String, usize)> {
    let label_end = closing(text)?;
    let label = &text[1..label_end];
    let after = &text[label_end + 1..];
    if after.starts_with('(') {
        let end = after.find(')')?;
        // A target such as `Clock::now()` has parentheses of its own.
        let end = if after[end + 1..].starts_with(')') {
            end + 1
        } else {
            end
        };
        let target = &after[1..end];
        return (!leads_outside(target)).then(|| (label.to_owned(), label_end + 1 + end + 1));
    }
    if after.starts_with('[') {
        let end = closing(after)?;
        let name = if end == 1 { label } else { &after[1..end] };
        let inside = definitions
            .get(name)
            .is_none_or(|target| !leads_outside(target));
        return inside.then(|| (label.to_owned(), label_end + 1 + end + 1));
    }
    let inside = match definitions.get(label) {
        Some(target) => !leads_outside(target),
        None => is_path(label),
    };
    let written = if label.starts_with('`') {
        label.to_owned()
    } else {
        format!("`{label}`")
    };
    (inside && !after.starts_with(':')).then_some((written, label_end + 1))
}

/// Where the bracket that opens `text` closes, on brackets in code spans being no brackets.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '[' => depth += 1,
            ']' if depth == 1 => return Some(at),
            ']' => depth -= 1,
            '`' => {
                at += code_span(&text[at..]);
                continue;
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

/// Whether a label without a target names an item: `` `anything` ``, `a::path`, `Type`, `call()`.
fn is_path(label: &str) -> bool {
    if label.len() > 2 && label.starts_with('`') && label.ends_with('`') {
        return true;
    }
    let path = label.trim_end_matches("()").trim_end_matches('!');
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let item =
        path.contains("::") || path != label || path.starts_with(|c: char| c.is_ascii_uppercase());
    !path.is_empty() && path.chars().all(word) && item
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[track_caller]
    fn check(markdown: &str, expected: &str) {
        assert_eq!(plain(markdown), expected);
    }

    #[test]
    fn links_to_items_become_code() {
        check(
            "See [`Clock`], [`now`](Clock::now()) and [`a::B`][crate::B].",
            "See `Clock`, `now` and `a::B`.",
        );
        check(
            "[Clock] and [crate::now] and [now()]",
            "`Clock` and `crate::now` and `now()`",
        );
        check("[the clock](crate::Clock) ticks", "the clock ticks");
        check("[the clock](struct@Clock)", "the clock");
        check("[`Vec<[u8]>`](Vec)", "`Vec<[u8]>`");
    }

    #[test]
    fn definitions_of_items_go_away() {
        check(
            "[the clock] and [site]\n\n[the clock]: crate::Clock\n[site]: https://x.test\n",
            "`the clock` and [site]\n\n[site]: https://x.test\n",
        );
        check("[it][c]\n[c]: crate::Clock\n", "it\n");
    }

    #[test]
    fn footnotes_and_prose_are_no_definitions() {
        for text in ["so[^1]\n\n[^1]: because\n", "[note]: it is so\n"] {
            check(text, text);
        }
    }

    #[test]
    fn other_links_stay() {
        for text in [
            "[docs](https://x.test/a)",
            "[below](#part)",
            "[design](../docs/DESIGN.md)",
            "[site][s]\n[s]: https://x.test\n",
            "![a](https://x.test/a.svg)",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn brackets_that_are_no_links_stay() {
        for text in [
            "`a[B]` and `[C]`",
            "- [ ] task",
            "- [x] done",
            r"\[Clock]",
            "[unclosed",
            "a [note] here",
            "| [0, 1) |",
        ] {
            check(text, text);
        }
    }
}
