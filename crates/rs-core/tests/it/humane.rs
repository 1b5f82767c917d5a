//! Times, shares, rates and sizes as people write them, and what they are told when they err.

use std::{fmt::Debug, str::FromStr, time::Duration};

use proptest::prelude::*;
use rs_core::{
    ConfigError, ConfigProblem, Rate, Share, Size,
    humane::{parse_duration, show_duration, write_duration},
};

use crate::support::cases;

#[test]
fn times() {
    #[track_caller]
    fn check(text: &str, seconds: u64, nanos: u32) {
        assert_eq!(
            parse_duration(text),
            Ok(Duration::new(seconds, nanos)),
            "{text}"
        );
    }
    check("0", 0, 0);
    check(" 0 ", 0, 0);
    check("0s", 0, 0);
    check("1ns", 0, 1);
    check("1us", 0, 1_000);
    check("1µs", 0, 1_000);
    check("1μs", 0, 1_000);
    check("250ms", 0, 250_000_000);
    check("1.5s", 1, 500_000_000);
    check(".5s", 0, 500_000_000);
    check("1.s", 1, 0);
    check("30sec", 30, 0);
    check("1m30s", 90, 0);
    check("1 m 30 s", 90, 0);
    check("2min", 120, 0);
    check("2 hours", 7_200, 0);
    check("1d 12h", 129_600, 0);
    check("0.25d", 21_600, 0);
    check("1_000ms", 1, 0);
    check("90m", 5_400, 0);
    // Digits that a float does not hold.
    check("0.3s", 0, 300_000_000);
    check("1.1s", 1, 100_000_000);
    check("100000000.000000001s", 100_000_000, 1);
    check("9007199254740993s", 9_007_199_254_740_993, 0);
    check("9007199254740993ns", 9_007_199, 254_740_993);
    check("18446744073709551615s", u64::MAX, 0);
    check(
        "18446744073709551615s999ms999us999ns",
        u64::MAX,
        999_999_999,
    );
    check("213503982334601d7h15s999999999ns", u64::MAX, 999_999_999);
    // Rounded to the nearest nanosecond, halves up.
    check("0.4ns", 0, 0);
    check("0.5ns", 0, 1);
    check("1.9999999999s", 2, 0);
    check("0.00000000000000000000000000000000000000000001d", 0, 0);
    check("1.00000000000000000000000000000000000000000001s", 1, 0);
    check("000000000000000000000000000000000000000000001s", 1, 0);
}

#[test]
fn no_times() {
    #[track_caller]
    fn check(text: &str, problem: &str) {
        assert_eq!(
            parse_duration(text).unwrap_err().to_string(),
            format!(
                "`{text}` is not a time: {problem}; write it like 250ms, 1.5s, 1m30s, 2h or 1d"
            )
        );
    }
    check("", "it is empty");
    check("  ", "it is empty");
    check("30", "no unit");
    check("0.0", "no unit");
    check("1m30", "no unit");
    check("1,5s", "no unit");
    check("1-2s", "no unit");
    check("s", "no number");
    check("-5s", "no number");
    check("+5s", "no number");
    check("1.5.2s", "no number");
    check(".s", "no number");
    check("_1s", "no number");
    check("NaN s", "no number");
    check("infinity", "no number");
    check("5S", "`S` is no unit of time");
    check("5M", "`M` is no unit of time");
    check("5 fortnights", "`fortnights` is no unit of time");
    check("1e3s", "`e` is no unit of time");
    check("1s;", "no number");
    check("18446744073709551616s", "it is too long");
    check("18446744073709551615s1s", "it is too long");
    check("18446744073709551615.9999999999s", "it is too long");
    check("213503982334602d", "it is too long");
    check(
        "99999999999999999999999999999999999999999999h",
        "it is too long",
    );
}

#[test]
fn times_in_messages_are_short() {
    #[track_caller]
    fn check(time: Duration, expected: &str) {
        assert_eq!(show_duration(time).to_string(), expected);
    }
    let nanos = Duration::from_nanos;
    let secs = Duration::from_secs;
    check(Duration::ZERO, "0s");
    check(nanos(1), "1ns");
    check(nanos(999), "999ns");
    check(nanos(1_000), "1us");
    check(nanos(1_234), "1.23us");
    check(nanos(12_345), "12.3us");
    check(nanos(123_456), "123us");
    check(nanos(999_499), "999us");
    check(nanos(999_500), "1ms");
    check(nanos(3_200_000_000), "3.2s");
    check(nanos(1_500_000), "1.5ms");
    check(nanos(59_940_000_000), "59.9s");
    check(secs(59), "59s");
    check(secs(60), "1m");
    check(secs(90), "1m30s");
    check(secs(3_600), "1h");
    check(secs(7_200), "2h");
    check(secs(86_400 + 1_800), "1d");
    check(secs(86_400 * 3 + 3_600 * 4 + 59), "3d4h");
    check(Duration::MAX, "213503982334601d7h");
}

#[test]
fn times_in_full() {
    #[track_caller]
    fn check(time: Duration, expected: &str) {
        assert_eq!(write_duration(time).to_string(), expected);
        assert_eq!(parse_duration(expected), Ok(time));
    }
    check(Duration::ZERO, "0s");
    check(Duration::from_millis(1_500), "1s500ms");
    check(Duration::from_secs(90), "1m30s");
    check(Duration::new(90_061, 1_002_003), "1d1h1m1s1ms2us3ns");
    check(Duration::MAX, "213503982334601d7h15s999ms999us999ns");
}

#[test]
fn shares() {
    #[track_caller]
    fn check(text: &str, part: f64, shown: &str) {
        let share: Share = text.parse().unwrap();
        assert_eq!(share.get(), part);
        assert_eq!(share.to_string(), shown);
    }
    check("50%", 0.5, "50%");
    check("0.5", 0.5, "50%");
    check(" 12.5 % ", 0.125, "12.5%");
    check("0", 0.0, "0%");
    check("1", 1.0, "100%");
    check("100%", 1.0, "100%");
    check("0.01%", 0.0001, "0.01%");
    check("0.333333333", 0.333_333_333, "33.3333%");
    assert_eq!(Share::of(-0.0).unwrap().to_string(), "0%");
    assert_eq!(Share::NONE.to_string(), "0%");
    assert_eq!(format!("{:?}", Share::ALL), "100%");
}

#[test]
fn no_shares() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Share>().unwrap_err().to_string(), expected);
    }
    check("150%", "150% is out of range; allowed: 0% to 100%");
    check("50", "50 is out of range; allowed: 0 to 1, or 0% to 100%");
    check(
        "1.01",
        "1.01 is out of range; allowed: 0 to 1, or 0% to 100%",
    );
    for text in [
        "",
        "half",
        "%",
        "50 percent",
        "50%%",
        "-1%",
        "-0.5",
        "NaN",
        "inf",
        "1e-3",
    ] {
        check(
            text,
            &format!("`{text}` is not a share; write it like 50% or 0.5"),
        );
    }
    for part in [-0.1, 1.1, f64::NAN, f64::INFINITY, -f64::INFINITY] {
        let error = Share::of(part).unwrap_err();
        assert!(
            matches!(error.problem(), ConfigProblem::OutOfRange { .. }),
            "{part}"
        );
        assert!(Share::percent(part * 100.0).is_err(), "{part}");
    }
}

#[test]
fn shares_cover_their_part_fairly() {
    #[track_caller]
    fn check(percent: f64) {
        let share = Share::percent(percent).unwrap();
        let covered = (0..100_000_u64)
            .filter(|&number| share.covers(rs_core::hash::spread(number + 1)))
            .count() as f64;
        assert!(
            (covered / 1_000.0 - percent).abs() < 0.7,
            "{percent}: {covered}"
        );
    }
    for percent in [0.0, 1.0, 10.0, 25.0, 50.0, 75.0, 99.0, 100.0] {
        check(percent);
    }
    let tiny = Share::of(f64::MIN_POSITIVE).unwrap();
    assert!(tiny.covers(0) && !tiny.covers(1));
    assert!(!Share::NONE.covers(0));
    assert!(Share::ALL.covers(u64::MAX));
    assert!(!Share::of(0.999).unwrap().covers(u64::MAX));
}

#[test]
fn rates() {
    #[track_caller]
    fn check(text: &str, per_second: f64, shown: &str) {
        let rate: Rate = text.parse().unwrap();
        assert_eq!(rate.per_second(), per_second);
        assert_eq!(rate.to_string(), shown);
    }
    check("100/s", 100.0, "100/s");
    check("600/min", 10.0, "600/1m");
    check("600/1m", 10.0, "600/1m");
    check("3/10s", 0.3, "3/10s");
    check(" 5 / 2 s ", 2.5, "5/2s");
    check("0.5/s", 0.5, "0.5/s");
    check("0/s", 0.0, "0/s");
    check("1_000/s", 1_000.0, "1000/s");
    check("1/ms", 1_000.0, "1/1ms");
    check("1/day", 1.0 / 86_400.0, "1/1d");
    assert_eq!(
        Rate::new(-0.0, Duration::from_secs(1)).unwrap().to_string(),
        "0/s"
    );

    let rate = |text: &str| text.parse::<Rate>().unwrap();
    assert_eq!(rate("100/s").interval(), Some(Duration::from_millis(10)));
    assert_eq!(rate("0/s").interval(), None);
    assert_eq!(rate("3/10s").count(), 3.0);
    assert_eq!(rate("3/10s").time(), Duration::from_secs(10));
    let slowest = Rate::new(f64::MIN_POSITIVE, Duration::MAX).unwrap();
    assert_eq!(slowest.interval(), None);
    assert!(slowest.per_second() >= 0.0);
}

#[test]
fn no_rates() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Rate>().unwrap_err().to_string(), expected);
    }
    for text in [
        "", "100", "/s", "100/", "100/x", "-1/s", "1/-1s", "a/s", "1/s/s", "1%/s", "1/5",
    ] {
        check(
            text,
            &format!("`{text}` is not a rate; write it like 100/s, 5000/min or 3/10s"),
        );
    }
    check("1/0s", "0s is out of range; allowed: more than no time");
    let second = Duration::from_secs(1);
    for count in [-1.0, f64::NAN, f64::INFINITY] {
        let error = Rate::new(count, second).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{count} is out of range; allowed: zero or more")
        );
    }
    // So many per nanosecond that a second has no number for it.
    assert!(Rate::new(f64::MAX, Duration::from_nanos(1)).is_err());
}

#[test]
fn sizes() {
    #[track_caller]
    fn check(text: &str, bytes: u64, shown: &str) {
        let size: Size = text.parse().unwrap();
        assert_eq!(size.get(), bytes, "{text}");
        assert_eq!(size.to_string(), shown);
    }
    check("0", 0, "0B");
    check("512", 512, "512B");
    check("512B", 512, "512B");
    check("64KiB", 65_536, "64KiB");
    check("64 kib", 65_536, "64KiB");
    check("10MB", 10_000_000, "9.54MiB");
    check("10 kb", 10_000, "9.77KiB");
    check("1.5GiB", 1_610_612_736, "1.5GiB");
    check("1TiB", 1 << 40, "1TiB");
    check("2tb", 2_000_000_000_000, "1.82TiB");
    check("1_024", 1_024, "1KiB");
    check("0.1MB", 100_000, "97.66KiB");
    check("9007199254740993", 9_007_199_254_740_993, "8192TiB");
    check("16777215TiB", u64::MAX - (1 << 40) + 1, "16777215TiB");
    check("18446744073709551615", u64::MAX, "16777216TiB");
    assert_eq!(Size::bytes(u64::MAX).get(), u64::MAX);
}

#[test]
fn no_sizes() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Size>().unwrap_err().to_string(), expected);
    }
    for text in [
        "",
        "KiB",
        "-1",
        "1.2.3MB",
        "5 elephants",
        "1 K B",
        "1e9",
        "0x10",
    ] {
        check(
            text,
            &format!("`{text}` is not a size; write it like 512, 64KiB, 10MB or 1GiB"),
        );
    }
    check(
        "16777216TiB",
        "16777216TiB is out of range; allowed: less than 16777216TiB",
    );
    check(
        "99999999999999999999999999999999999999999",
        "99999999999999999999999999999999999999999 is out of range; allowed: less than 16777216TiB",
    );
}

fn times_of_all_lengths() -> impl Strategy<Value = Duration> {
    let any = (any::<u64>(), 0_u32..1_000_000_000);
    (any, 0_u32..64, prop::bool::ANY).prop_map(|((seconds, nanos), shorter, whole)| {
        Duration::new(seconds >> shorter, if whole { 0 } else { nanos })
    })
}

/// Whatever is written, a wrong text is an error and never a panic.
fn reads_or_refuses<T: FromStr<Err = ConfigError> + Debug>(text: &str) {
    if let Err(error) = text.parse::<T>() {
        assert!(error.to_string().contains(" is "), "{error}");
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_time_in_full_is_read_back(time in times_of_all_lengths()) {
        prop_assert_eq!(parse_duration(&write_duration(time).to_string()), Ok(time));
    }

    #[test]
    fn a_decimal_time_is_read_to_the_nanosecond(time in times_of_all_lengths()) {
        let text = format!("{}.{:09}s", time.as_secs(), time.subsec_nanos());
        prop_assert_eq!(parse_duration(&text), Ok(time));
    }

    #[test]
    fn a_time_in_a_message_is_nearly_right(time in times_of_all_lengths()) {
        let shown = show_duration(time).to_string();
        let read = parse_duration(&shown).unwrap();
        let off = read.abs_diff(time).as_secs_f64();
        // Three figures of a short time; of a long one the two largest units.
        prop_assert!(off <= 0.005_01 * time.as_secs_f64() || off < 3_600.0 && time.as_secs() >= 60,
            "{} for {:?}", shown, time);
        prop_assert!(shown.len() <= 20);
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop_oneof![
        "\\PC{0,30}",
        "[0-9._]{0,45} ?[a-zµ%/]{0,4}[0-9.]{0,20}[a-zA-Z]{0,3}",
    ]) {
        reads_or_refuses::<Share>(&text);
        reads_or_refuses::<Rate>(&text);
        reads_or_refuses::<Size>(&text);
        if let Err(error) = parse_duration(&text) {
            let quoted = format!("`{text}` ");
            prop_assert!(error.to_string().starts_with(&quoted));
        }
    }

    #[test]
    fn a_larger_share_covers_what_a_smaller_one_does(a in 0.0..=1.0, b in 0.0..=1.0, hash: u64) {
        let (small, large) = (Share::of(f64::min(a, b)).unwrap(), Share::of(f64::max(a, b)).unwrap());
        prop_assert!(!small.covers(hash) || large.covers(hash));
    }

    #[test]
    fn whole_bytes_are_read_exactly(bytes: u64) {
        prop_assert_eq!(bytes.to_string().parse(), Ok(Size::bytes(bytes)));
    }
}
