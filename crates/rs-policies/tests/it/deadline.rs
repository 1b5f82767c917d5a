//! What is left, on the wire.

use proptest::prelude::*;
use rs_policies::DeadlineHeader::{EnvoyMillis, Grpc};
use std::time::Duration;

#[track_caller]
fn check(left: Duration, grpc: &str, millis: &str) {
    assert_eq!(Grpc.encode(left), grpc);
    assert_eq!(EnvoyMillis.encode(left), millis);
}

#[test]
fn it_is_written_in_the_finest_unit_that_has_room() {
    check(Duration::ZERO, "0n", "0");
    check(Duration::from_nanos(99_999_999), "99999999n", "99");
    check(Duration::from_millis(100), "100000u", "100");
    check(Duration::from_secs(100), "100000m", "100000");
    check(Duration::from_secs(99_999), "99999000m", "99999000");
    check(Duration::from_secs(100_000), "100000S", "100000000");
    check(
        Duration::MAX,
        "99999999H",
        &Duration::MAX.as_millis().to_string(),
    );
}

#[test]
fn rubbish_is_no_time() {
    for rubbish in [
        "",
        " ",
        "S",
        "1",
        "1s",
        "-1S",
        "+1S",
        "1.5S",
        "123456789S",
        "1S S",
        "९S",
        "1Ｓ",
    ] {
        assert_eq!(Grpc.decode(rubbish), None, "{rubbish}");
    }
    for rubbish in ["", "-1", "1ms", "1234567890123456789", "0x10"] {
        assert_eq!(EnvoyMillis.decode(rubbish), None, "{rubbish}");
    }
    assert_eq!(Grpc.decode(" 5S "), Some(Duration::from_secs(5)));
}

proptest! {
    #[test]
    fn what_is_read_is_never_more_than_was_left(nanos in 0..u64::MAX) {
        let left = Duration::from_nanos(nanos);
        for header in [Grpc, EnvoyMillis] {
            let read = header.decode(&header.encode(left)).unwrap();
            prop_assert!(read <= left);
            let precision = (left / 50_000).max(Duration::from_millis(1));
            prop_assert!(left - read <= precision, "{left:?} {read:?}");
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,12}") {
        let _ = (Grpc.decode(&text), EnvoyMillis.decode(&text));
    }
}
