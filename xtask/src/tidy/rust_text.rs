//! Tells code, comments and strings of a Rust file apart, as far as house rules need it.

/// The same text twice, with spaces in place of what does not belong; lines and columns stay.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// Code only: comments and what is inside of string and character literals are blank.
    pub(crate) code: String,
    /// Comments only, with their slashes and stars.
    pub(crate) comments: String,
}

pub(crate) fn split(source: &str) -> Split {
    let mut split = Split {
        code: String::with_capacity(source.len()),
        comments: String::with_capacity(source.len()),
    };
    let mut rest = source;
    while !rest.is_empty() {
        let (piece, length) = next(rest, split.code.chars().next_back());
        let (text, after) = rest.split_at(length);
        match piece {
            Piece::Code => split.push(text, &blank(text)),
            Piece::Comment => split.push(&blank(text), text),
            Piece::Literal => split.push(&hollow(text), &blank(text)),
        }
        rest = after;
    }
    split
}

impl Split {
    fn push(&mut self, code: &str, comments: &str) {
        self.code.push_str(code);
        self.comments.push_str(comments);
    }
}

enum Piece {
    Code,
    Comment,
    Literal,
}

/// What `text` begins with and how long that is, in bytes. `before` is the code in front of it.
fn next(text: &str, before: Option<char>) -> (Piece, usize) {
    if text.starts_with("//") {
        return (Piece::Comment, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (Piece::Comment, block_comment(text));
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string(text) {
        return (Piece::Literal, length);
    }
    if text.starts_with('"') {
        return (Piece::Literal, quoted(text, '"'));
    }
    if text.starts_with('\'') && is_char(text) {
        return (Piece::Literal, quoted(text, '\''));
    }
    (
        Piece::Code,
        text.chars().next().map_or(text.len(), char::len_utf8),
    )
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of `r"…"`, `br#"…"#` and the like; `None` if `text` begins with something else.
fn raw_string(text: &str) -> Option<usize> {
    let opened = text
        .strip_prefix("br")
        .or_else(|| text.strip_prefix("cr"))
        .or_else(|| text.strip_prefix('r'))?;
    let body = opened.trim_start_matches('#');
    let hashes = opened.len() - body.len();
    let body = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + closed)
}

/// Length of a literal in `quote`s with backslash escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Whether a single quote opens a character and not a lifetime: `'a'` and `'\n'`, but not `'a `.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { '\n' } else { ' ' })
        .collect()
}

/// A literal without its content: the quotes stay, so that code still looks like code.
fn hollow(text: &str) -> String {
    let mut hollow = blank(text);
    if text.len() > 1 {
        hollow.replace_range(..1, "\"");
        let last = hollow.len() - 1;
        hollow.replace_range(last.., "\"");
    }
    hollow
}

/// Words of code and the mark that follows each directly, with line numbers.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str, Option<char>)> {
    code.lines().enumerate().flat_map(|(index, line)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = line;
        std::iter::from_fn(move || {
            rest = &rest[rest.find(word)?..];
            let end = rest.find(|c| !word(c)).unwrap_or(rest.len());
            let (found, after) = rest.split_at(end);
            rest = after;
            Some((index + 1, found, after.chars().next()))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, code: &str, comments: &str) {
        let split = split(source);
        assert_eq!(split.code.trim_end(), code, "code");
        assert_eq!(split.comments.trim(), comments, "comments");
        assert_eq!(split.code.lines().count(), source.lines().count());
    }

    #[test]
    fn comments() {
        check("a // b \"c\n", "a", "// b \"c");
        check(
            "a /* b /* c */ d */ e",
            "a                   e",
            "/* b /* c */ d */",
        );
        check("/// doc\nfn a() {}", "       \nfn a() {}", "/// doc");
        check("a / b", "a / b", "");
    }

    #[test]
    fn strings() {
        check(
            r#"f("todo!() // no", b"x\"y")"#,
            r#"f("             ", b"    ")"#,
            "",
        );
        check("f(r\"\\\", 1)", "f(\"  \", 1)", "");
        check("f(r#\"a\" // b\"#, 1)", "f(\"          \", 1)", "");
        check("bar\"x\"", "bar\" \"", "");
        check("f(\"é\")", "f(\" \")", "");
    }

    #[test]
    fn characters_and_lifetimes() {
        check(
            "f('\"', 'a', '\\'', '\\u{41}') // x",
            "f(\" \", \" \", \"  \", \"      \")",
            "// x",
        );
        check(
            "fn f<'a>(x: &'a str) {} // x",
            "fn f<'a>(x: &'a str) {}",
            "// x",
        );
        check(
            "'label: loop { break 'label }",
            "'label: loop { break 'label }",
            "",
        );
    }

    #[test]
    fn what_is_not_closed_ends_with_the_file() {
        for source in ["\"a", "/* a", "r#\"a\"", "'\\"] {
            assert_eq!(split(source).code.chars().count(), source.chars().count());
        }
    }

    #[test]
    fn words_know_what_follows() {
        let found: Vec<_> = words("dbg!(x)\n a.b_c").collect();
        assert_eq!(
            found,
            [
                (1, "dbg", Some('!')),
                (1, "x", Some(')')),
                (2, "a", Some('.')),
                (2, "b_c", None)
            ]
        );
    }
}
