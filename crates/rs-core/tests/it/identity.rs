//! Ids that are unique, keys and hashes that never change.

use std::{collections::HashSet, str::FromStr, time::Duration};

use proptest::prelude::*;
use rs_core::{
    Call, Clock, Correlation, Criticality, Enforcement, RoutingKey, Share, TimeLimits, hash,
};

use crate::support::cases;

#[test]
fn call_ids_are_unique_across_threads() {
    // More than one block of ids for each thread, and threads that come after others are gone.
    let ids: Vec<u64> = (0..3)
        .flat_map(|_| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            (0..10_000)
                                .map(|_| Call::new("x").id().get())
                                .collect::<Vec<_>>()
                        })
                    })
                    .collect();
                let all: Vec<u64> = threads
                    .into_iter()
                    .flat_map(|t| t.join().unwrap())
                    .collect();
                all
            })
        })
        .collect();
    let distinct: HashSet<u64> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), 240_000);
    assert!(!distinct.contains(&0));
}

#[test]
fn all_attempts_share_the_id() {
    let call = Call::new("x");
    assert_eq!(call.at_attempt(7).id(), call.id());
    let hedge = call.at_attempt(7).as_hedge(2);
    assert_eq!(
        (hedge.id(), hedge.attempt(), hedge.hedge()),
        (call.id(), 7, 2)
    );
    assert_eq!(call.hedge(), 0);
    assert_ne!(Call::new("x").id(), call.id());
    assert_eq!(Call::from("x").name(), call.name());
}

#[test]
fn a_new_call_claims_nothing() {
    let call = Call::new("x");
    assert_eq!(call.attempt(), 1);
    assert_eq!(call.deadline(), None);
    assert_eq!(call.key(), None);
    assert_eq!(call.correlation(), None);
    assert_eq!(call.criticality(), Criticality::Critical);
    assert!(!call.is_safe_to_repeat());

    let clock = Clock::default();
    let full = call
        .within(Duration::from_secs(1), &clock)
        .with_key("k")
        .with_criticality(Criticality::Sheddable)
        .with_correlation(Correlation::fresh())
        .safe_to_repeat();
    assert!(full.is_safe_to_repeat());
    assert_eq!(full.criticality(), Criticality::Sheddable);
    assert_eq!(full.key(), Some(RoutingKey::of("k")));
    assert_ne!(full, call);
    assert!(Criticality::Sheddable < Criticality::SheddablePlus);
    assert!(Criticality::SheddablePlus < Criticality::Critical);
    assert!(Criticality::Critical < Criticality::CriticalPlus);
}

#[test]
fn a_child_belongs_to_the_request_and_lasts_no_longer() {
    let clock = Clock::default();
    let limits = TimeLimits::NONE
        .on_call(Duration::from_secs(2))
        .on_attempt(Duration::from_millis(300));
    let parent = Call::new("order")
        .within(Duration::from_secs(1), &clock)
        .within_limits(limits)
        .with_key("customer-17")
        .with_correlation(Correlation::fresh())
        .with_criticality(Criticality::Sheddable)
        .safe_to_repeat()
        .at_attempt(3)
        .as_hedge(1);
    let child = parent.child("charge");
    assert_eq!(child.name(), Call::new("charge").name());
    assert_ne!(child.id(), parent.id());
    assert_ne!(child.id(), parent.child("charge").id());
    assert_eq!((child.attempt(), child.hedge()), (1, 0));
    assert_eq!(child.correlation(), parent.correlation());
    assert_eq!(child.criticality(), Criticality::Sheddable);
    assert_eq!((child.key(), child.is_safe_to_repeat()), (None, false));
    assert_eq!(child.deadline(), parent.deadline());
    // All of the child's attempts have the time that one attempt of its parent has.
    assert_eq!(child.limits().call(), Some(Duration::from_millis(300)));
    assert_eq!(child.limits().attempt(), None);
    assert_eq!(Call::new("a").child("b").limits(), TimeLimits::NONE);
}

/// FNV-1a as its authors wrote it, then SplitMix64's finisher: replicas rely on these.
#[test]
fn the_stable_hash_never_changes() {
    #[track_caller]
    fn check(text: &str, expected: u64) {
        assert_eq!(
            hash::stable(text.as_bytes()),
            expected,
            "{:#x}",
            hash::stable(text.as_bytes())
        );
    }
    check("", hash::spread(0xcbf2_9ce4_8422_2325));
    check("a", hash::spread(0xaf63_dc4c_8601_ec8c));
    check("foobar", hash::spread(0x8594_4171_f739_67e8));
    assert_eq!(hash::spread(0), 0);
    // The first numbers of SplitMix64 with seed 0.
    assert_eq!(hash::spread(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    assert_eq!(
        hash::spread(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2)),
        0x6e78_9e6a_a1b9_65f4
    );
}

/// Pinned: a change would send every key to another endpoint while an update is rolled out.
#[test]
fn routing_keys_never_change() {
    #[track_caller]
    fn check(key: RoutingKey, expected: u64) {
        assert_eq!(key.get(), expected, "{:#018x}", key.get());
    }
    check(RoutingKey::of("customer-17"), 0xe030_e2eb_179d_abdf);
    check(
        RoutingKey::of(String::from("customer-17")),
        0xe030_e2eb_179d_abdf,
    );
    check(RoutingKey::of(""), 0x6c4a_8f09_72cd_a178);
    check(RoutingKey::of(17_u32), 0x4f3e_33ca_198f_703b);
    check(RoutingKey::of(17_u64), 0x0cd1_eeae_4316_a088);
    check(RoutingKey::of(17_usize), 0x0cd1_eeae_4316_a088);
    check(RoutingKey::of(-17_i64), 0x9d12_197e_8620_12af);
    check(RoutingKey::of(("tenant", 17_u8)), 0xe78a_f4a3_0412_4be1);
    check(RoutingKey::of([1_u16, 2, 3]), 0x96ac_1afc_755a_222d);
    check(RoutingKey::of(Some(true)), 0x7883_8d53_4810_af50);
}

/// A number hashes as its bytes in one order, whatever order this machine keeps them in.
#[test]
fn routing_keys_do_not_depend_on_the_machine() {
    struct Bytes<'a>(&'a [u8]);
    impl std::hash::Hash for Bytes<'_> {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write(self.0);
        }
    }
    let of = |bytes: &[u8]| RoutingKey::of(Bytes(bytes));
    assert_eq!(RoutingKey::of(0x0102_u16), of(&[2, 1]));
    assert_eq!(RoutingKey::of(0x0102_0304_u32), of(&[4, 3, 2, 1]));
    assert_eq!(RoutingKey::of(1_u64), of(&[1, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(RoutingKey::of(-2_i32), of(&[254, 255, 255, 255]));
    let mut wide = [0; 16];
    wide[0] = 1;
    assert_eq!(RoutingKey::of(1_u128), of(&wide));
    // As wide as on the widest machine.
    assert_eq!(RoutingKey::of(1_usize), RoutingKey::of(1_u64));
    assert_eq!(RoutingKey::of(-1_isize), RoutingKey::of(-1_i64));
}

#[test]
fn routing_keys_spread() {
    let mut buckets = [0_u32; 16];
    for number in 0..16_000 {
        let key = RoutingKey::of(format!("customer-{number}"));
        buckets[(key.get() >> 60) as usize] += 1;
    }
    assert!(
        buckets.iter().all(|&hits| (850..1_150).contains(&hits)),
        "{buckets:?}"
    );
}

#[test]
fn correlations_are_read_from_what_people_send() {
    const DIGITS: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(
            Correlation::from_str(text).unwrap().to_string(),
            expected,
            "{text:?}"
        );
    }
    check(DIGITS, DIGITS);
    check("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", DIGITS);
    check("4BF92F35-77B3-4DA6-A3CE-929D0E0E4736", DIGITS);
    check("  4bf92f3577b34da6a3ce929d0e0e4736\t", DIGITS);
    check(
        "00000000000000000000000000000001",
        "00000000000000000000000000000001",
    );

    // Pinned: what other services have hashed must stay the same.
    check("order-17", "a2b13ff1a62e905e3f8d4fc491379981");
    check("ü", "772d5ffdbcb8f81addb32c0ca7e67955");

    // All that is not an id is hashed, and so never comes out as what it only resembles.
    for text in [
        "00000000000000000000000000000000",
        "+bf92f3577b34da6a3ce929d0e0e4736",
        "4bf92f3577b34da6a3ce929d0e0e473",
        "4bf92f3577b34da6a3ce929d0e0e47361",
        "4bf92f3577b34da6a3ce929d0e0e473g",
        "-",
    ] {
        let id = Correlation::from_str(text).unwrap();
        assert!(
            !id.to_string().contains("bf92f3577b34da6a3ce929d0e0e47"),
            "{text}: {id}"
        );
        assert_eq!(Correlation::from_str(text), Ok(id));
        assert_ne!(id.to_bits(), 0);
    }

    for empty in ["", "  ", "\t\n"] {
        let error = Correlation::from_str(empty).unwrap_err();
        assert_eq!(error.to_string(), "an empty text is no correlation id");
    }
    assert_eq!(Correlation::from_bits(0), None);
    assert_eq!(Correlation::HEADER, "x-correlation-id");
}

#[test]
fn fresh_correlations_are_unique() {
    let ids: HashSet<Correlation> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..25_000)
                        .map(|_| Correlation::fresh())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 100_000);
    // Both halves vary, for whoever keeps only one of them.
    let halves = |shift: u32| -> HashSet<u64> {
        ids.iter()
            .map(|id| (id.to_bits() >> shift) as u64)
            .collect()
    };
    assert_eq!(halves(64).len(), 100_000);
    assert_eq!(halves(0).len(), 100_000);
}

#[test]
fn an_enforced_share_treats_all_attempts_of_a_call_alike() {
    let some = Enforcement::Partial(Share::percent(30.0).unwrap());
    let mut covered = 0;
    for _ in 0..10_000 {
        let call = Call::new("x");
        let first = some.covers(&call);
        assert!((2..5).all(|attempt| some.covers(&call.at_attempt(attempt)) == first));
        covered += u32::from(first);
    }
    assert!((2_700..3_300).contains(&covered), "{covered}");
    let call = Call::new("x");
    assert!(Enforcement::Partial(Share::ALL).covers(&call));
    assert!(!Enforcement::Partial(Share::NONE).covers(&call));
    assert_eq!(Enforcement::default(), Enforcement::Full);
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_a_correlation_prints_it_reads(bits in 1_u128..) {
        let id = Correlation::from_bits(bits).unwrap();
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_bits(), bits);
        prop_assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn any_text_is_a_correlation(text in "\\PC*") {
        let id = Correlation::from_str(&text);
        prop_assert_eq!(id.is_err(), text.trim().is_empty());
        prop_assert_eq!(Correlation::from_str(&text), id);
    }
}

#[test]
fn criticalities_have_names_on_the_wire() {
    for class in Criticality::ALL {
        assert_eq!(class.to_string().parse(), Ok(class));
    }
    assert_eq!("critical_plus".parse(), Ok(Criticality::CriticalPlus));
    assert!(Criticality::Sheddable < Criticality::CriticalPlus);
    assert_eq!(
        "CRITICL".parse::<Criticality>().unwrap_err().to_string(),
        "unknown criticality `CRITICL`, did you mean `CRITICAL`? \
         known: SHEDDABLE, SHEDDABLE_PLUS, CRITICAL, CRITICAL_PLUS"
    );
}
