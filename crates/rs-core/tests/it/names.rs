//! Names from outside are bounded in length and in number.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use rs_core::{BoundedNames, Name};

use crate::{child, support::cases};

#[test]
fn short_names_are_kept_as_they_are() {
    #[track_caller]
    fn check(text: &str) {
        let name = Name::new(text);
        assert_eq!(name.as_str(), text);
        assert_eq!(name, Name::new(&String::from(text)));
        assert!(
            std::ptr::eq(name.as_str(), Name::new(text).as_str()),
            "kept once"
        );
    }
    check("");
    check("payments");
    check("10.0.0.7:8443");
    check("名前");
    check(&"x".repeat(Name::MAX_LEN));
    check(&"é".repeat(Name::MAX_LEN / 2));
}

#[test]
fn long_names_end_in_a_hash_of_the_whole() {
    #[track_caller]
    fn check(text: &str, head: &str) {
        let name = Name::new(text).as_str();
        let (kept, tail) = name.rsplit_once('~').unwrap();
        assert_eq!(kept, head);
        assert_eq!(
            tail,
            format!("{:016x}", rs_core::hash::stable(text.as_bytes()))
        );
        assert!(name.len() <= Name::MAX_LEN);
        assert_eq!(Name::new(text).as_str(), name);
    }
    check(&"x".repeat(129), &"x".repeat(111));
    check(&"x".repeat(100_000), &"x".repeat(111));
    // Shortened between characters, never inside one.
    check(&"é".repeat(65), &"é".repeat(55));
    check(&"名".repeat(43), &"名".repeat(37));
    check(&"🦀".repeat(33), &"🦀".repeat(27));

    let alike: HashSet<Name> = (0..1_000)
        .map(|number| Name::new(&format!("{}{number}", "x".repeat(200))))
        .collect();
    assert_eq!(alike.len(), 1_000, "distinct names stay distinct");
}

#[test]
fn names_are_looked_up_by_their_text() {
    let by_name = HashMap::from([(Name::of("payments"), 1)]);
    assert_eq!(by_name.get("payments"), Some(&1));
    assert_eq!(Name::of("payments"), Name::new("payments"));
    assert!(Name::of("a") < Name::new("b"));
    assert_eq!(
        format!("{:>4}|{:<3}|", Name::of("ab"), Name::of("c")),
        "  ab|c  |"
    );
    assert_eq!(format!("{:?}", Name::of("a\"b")), r#""a\"b""#);
}

#[test]
fn bounded_names_keep_the_first() {
    let names = BoundedNames::up_to(3);
    for name in ["a", "b", "a", "c", "d", "e", "d", "b"] {
        let folded = names.fold(name);
        let expected = if ["a", "b", "c"].contains(&name) {
            name
        } else {
            "other"
        };
        assert_eq!(folded.as_str(), expected);
    }
    assert_eq!(names.folded(), 3);
    assert_eq!(names.fold(Name::of("c")), Name::of("c"));
    assert_eq!(names.fold(String::from("f")), Name::OTHER);

    let none = BoundedNames::up_to(0);
    assert_eq!(none.fold("a"), Name::OTHER);
    assert_eq!(none.folded(), 1);
}

/// A long name is known by its shortened form, also when the set is full.
#[test]
fn bounded_names_know_a_long_name_again() {
    let long = "x".repeat(500);
    let names = BoundedNames::up_to(2);
    let first = names.fold(&long);
    names.fold("b");
    assert_eq!(names.fold("c"), Name::OTHER);
    assert_eq!(names.fold(&long), first);
    assert_eq!(names.folded(), 1);
}

#[test]
fn bounded_names_are_bounded_from_many_threads() {
    let names = BoundedNames::up_to(10);
    let kept: HashSet<Name> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let names = &names;
                scope.spawn(move || {
                    (0..100)
                        .map(|n| names.fold(format!("n{n}")))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    assert_eq!(kept.len(), 11, "ten and the others");
    assert_eq!(names.folded(), 4 * 90);
}

/// The set of names belongs to the whole process, so it is filled in one of its own.
#[test]
fn a_hostile_stream_of_names_is_folded() {
    child::run("names::a_hostile_stream_of_names_is_folded", || {
        let before = Name::new("known before");
        for number in 0..Name::LIMIT {
            let _ = Name::new(&format!("hostile {number}"));
        }
        let folded = Name::folded();
        assert!(folded > 0);
        assert_eq!(Name::new("one too many"), Name::OTHER);
        assert_eq!(Name::folded(), folded + 1);
        assert_eq!(Name::new("known before"), before);
        assert_eq!(Name::new("hostile 0").as_str(), "hostile 0");
        assert_eq!(Name::of("in code").as_str(), "in code");

        // A set of labels says so too: it could not keep the name.
        let labels = BoundedNames::up_to(10);
        assert_eq!(labels.fold("new label"), Name::OTHER);
        assert_eq!(labels.fold("new label"), Name::OTHER);
        assert_eq!(labels.folded(), 2);
    })
    .assert_success();
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_text_is_a_name(text in prop_oneof!["\\PC{0,60}", "\\PC{100,200}"]) {
        let name = Name::new(&text);
        prop_assert!(name.as_str().len() <= Name::MAX_LEN);
        prop_assert_eq!(name.as_str() == text, text.len() <= Name::MAX_LEN);
        prop_assert_eq!(Name::new(&text), name);
    }
}
