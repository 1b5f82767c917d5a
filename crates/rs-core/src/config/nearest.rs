/// The known name that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(written, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .map(|(_, name)| name)
}

/// How many characters must be put in, left out or changed (Levenshtein), row by row.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(line + 1);
        for ((&b, pair), left) in to.iter().zip(row.windows(2)).zip(0..) {
            let changed = pair[0] + usize::from(a != b);
            let put_in_or_left_out = 1 + pair[1].min(next.get(left).copied().unwrap_or(changed));
            next.push(changed.min(put_in_or_left_out));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
