/// A number as it is written: digits with at most one point among them; `_` may group the digits.
pub(crate) struct Number<'a> {
    whole: &'a str,
    fraction: &'a str,
}

/// Splits `"1.5 GiB"` into the number 1.5 and the rest, `"GiB"`.
pub(crate) fn split_number(text: &str) -> Option<(Number<'_>, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let has_digits = digits(whole).chain(digits(fraction)).next().is_some();
    if !has_digits || number.starts_with('_') || fraction.contains('.') {
        return None;
    }
    Some((Number { whole, fraction }, rest.trim_start()))
}

impl Number<'_> {
    /// The number, as near as a float comes to it.
    pub(crate) fn to_f64(&self) -> Option<f64> {
        let text = format!("{}.{}", self.whole, self.fraction);
        text.replace('_', "").parse().ok()
    }

    /// So many times the unit, to the nearest whole number, halves up: in integers, since a float
    /// loses the nanoseconds of a few months. `None` if it is too large.
    pub(crate) fn times(&self, unit: u64) -> Option<u128> {
        let unit = u128::from(unit);
        let whole = digits(self.whole)
            .try_fold(0_u128, |sum, digit| sum.checked_mul(10)?.checked_add(digit))?
            .checked_mul(unit)?;
        // More digits say nothing: the largest unit is a day of nanoseconds, below 10^14.
        let (part, scale) = digits(self.fraction)
            .take(18)
            .fold((0, 1), |(part, scale), digit| {
                (part * 10 + digit, scale * 10)
            });
        whole.checked_add((2 * part * unit + scale) / (2 * scale))
    }
}

fn digits(text: &str) -> impl Iterator<Item = u128> {
    text.chars().filter_map(|c| c.to_digit(10)).map(u128::from)
}
