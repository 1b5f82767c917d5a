use std::time::{Duration, SystemTime};

/// The delay that a `Retry-After` header asks for, written as seconds or as a date.
///
/// A date is set against `sent`, the response's own `Date` header where it has one, so that clocks that
/// go wrong do not matter; a date that has passed asks for no delay.
///
/// ```
/// use rs_policies::retry_after;
/// use std::time::Duration;
///
/// assert_eq!(retry_after("120", None), Some(Duration::from_secs(120)));
/// assert_eq!(
///     retry_after("Wed, 21 Oct 2026 07:28:30 GMT", Some("Wed, 21 Oct 2026 07:28:00 GMT")),
///     Some(Duration::from_secs(30)),
/// );
/// assert_eq!(retry_after("soon", None), None);
/// ```
#[must_use]
pub fn retry_after(value: &str, sent: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than a number holds are a long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let sent = sent.and_then(|sent| httpdate::parse_http_date(sent.trim()).ok());
    let sent = sent.unwrap_or_else(wall_clock);
    Some(date.duration_since(sent).unwrap_or_default())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a date on the wire is one of the wall clock"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}
