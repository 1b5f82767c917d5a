/// Splits `"1.5 GiB"` into the number 1.5 and the rest, `"GiB"`.
///
/// A number is digits with at most one point among them; `_` may group the digits.
pub(crate) fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let number = digits.replace('_', "").parse().ok()?;
    Some((number, rest.trim_start()))
}
