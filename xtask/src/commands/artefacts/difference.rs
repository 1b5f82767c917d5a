//! A short account of how two texts differ.

const LINES: usize = 12;

/// The lines between what both texts begin and end with, a few of each.
pub(crate) fn short(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let start = old.iter().zip(&new).take_while(same).count();
    let (old, new) = (&old[start..], &new[start..]);
    let end = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(same)
        .count();
    let (old, new) = (&old[..old.len() - end], &new[..new.len() - end]);

    let mut text = format!("  from line {}:\n", start + 1);
    side(&mut text, '-', old);
    side(&mut text, '+', new);
    text
}

fn side(text: &mut String, sign: char, lines: &[&str]) {
    for line in lines.iter().take(LINES) {
        text.push_str(&format!("  {sign} {line}\n"));
    }
    if lines.len() > LINES {
        text.push_str(&format!("  {sign} … {} more\n", lines.len() - LINES));
    }
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn shows_only_what_differs() {
        assert_eq!(
            short("a\nb\nc\n", "a\nx\ny\nc\n"),
            "  from line 2:\n  - b\n  + x\n  + y\n"
        );
        assert_eq!(short("", "a\n"), "  from line 1:\n  + a\n");
        assert_eq!(short("a\na\n", "a\n"), "  from line 2:\n  - a\n");
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long = "x\n".repeat(40);
        assert!(short("", &long).ends_with("  + … 28 more\n"));
    }
}
