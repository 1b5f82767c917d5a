//! The user's names and the macro's do not meet.
#![deny(
    warnings,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason
)]

use rs_attributes::{bulkhead, circuit_breaker, fallback, retry, timeout};
use rs_core::Failure;

use crate::single::{BankError, breaker_of};

type Answer<T> = ::core::result::Result<T, anyhow::Error>;

/// Names that stand for something else here.
#[allow(
    non_camel_case_types,
    dead_code,
    reason = "they are in the way on purpose"
)]
mod in_the_way {
    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Some;
    pub(super) struct Call;
    pub(super) struct Failure;
    pub(super) mod core {}
    pub(super) mod std {}
    pub(super) mod rs_core {}
}

mod shadowed {
    #[allow(unused_imports, reason = "they are in the way on purpose")]
    use super::in_the_way::{Call, Err, Failure, Ok, Option, Result, Some, core, rs_core, std};

    pub(super) mod type_names {
        pub(in super::super) type Yes<T> = ::core::result::Result<T, ::anyhow::Error>;
    }

    #[rs_attributes::fallback(value = 9)]
    #[rs_attributes::timeout("5s")]
    #[rs_attributes::retry(attempts = 2, exponential = "1ms", jitter = "equal", at_once_first)]
    #[rs_attributes::circuit_breaker("hygiene")]
    #[rs_attributes::bulkhead(4, queue = 2, longest_wait = "1s")]
    pub(super) async fn all(number: u8) -> type_names::Yes<u8> {
        ::core::result::Result::Ok(number)
    }
}

#[retry(attempts = 2, constant = "0")]
#[circuit_breaker(breaker)]
async fn locals(
    breaker: &rs_breaker::Breaker,
    call: u8,
    operation: u8,
    policy: u8,
    result: u8,
    attempt: u8,
) -> Result<u32, Failure<BankError>> {
    let __call = u32::from(call);
    let __operation = u32::from(operation);
    let __policy = u32::from(policy);
    let __attempt = u32::from(attempt);
    let failure = u32::from(result);
    // Its own labels and returns.
    'out: for number in 0..call {
        for other in 0..call {
            if number + other > 9 {
                break 'out;
            }
        }
    }
    if failure == 100 {
        return Err(BankError("early"));
    }
    Ok(__call + __operation + __policy + __attempt + failure)
}

#[fallback(|failure| { let result = failure.operation().map(|_| answers); Ok(__kept + result.unwrap()) })]
async fn in_closures(__kept: u8, answers: u8) -> Result<u8, Failure<BankError>> {
    Err(BankError("bad"))
}

/// Named as the macro's own variables are.
#[fallback(|why| why.operation().map(|_| __failure + __result + __answers).ok_or(why))]
#[retry(attempts = 2, constant = "0", classify = |_: Result<&u8, &BankError>| __judge())]
#[timeout("1s")]
async fn the_same_names(
    __attempt: u8,
    __call: u8,
    __failure: u8,
    __result: u8,
    __answers: u8,
) -> Result<u8, Failure<BankError>> {
    match __attempt + __call {
        0 => Err(BankError("bad")),
        sum => Ok(sum),
    }
}

fn __judge() -> rs_core::Outcome {
    rs_core::Outcome::PERMANENT
}

#[retry(attempts = 2, constant = "0")]
#[circuit_breaker("hygiene")]
fn the_same_names_blocking(
    __attempt: u8,
    __call: u8,
    __permit: u8,
    __result: u8,
) -> Result<u8, Failure<BankError>> {
    Ok(__attempt + __call + __permit + __result)
}

/// `r#` is no part of the name.
#[bulkhead(4)]
async fn r#type(r#match: &str) -> Answer<usize> {
    Ok(r#match.len())
}

#[timeout("1s")]
#[doc(hidden)]
#[inline]
pub(crate) async fn attributes_stay() -> Answer<()> {
    Ok(())
}

/// As a crate that gives the others names of its own.
mod house {
    pub(super) mod all {
        pub(in super::super) use rs_breaker as breaker;
        pub(in super::super) use rs_core as core;
        pub(in super::super) use rs_policies as policies;
    }
}

#[timeout("1s", crate = house::all)]
#[circuit_breaker("hygiene")]
async fn under_other_names() -> Answer<u8> {
    Ok(4)
}

#[tokio::test]
async fn names_do_not_meet() {
    let breaker = breaker_of(9);
    assert_eq!(shadowed::all(3).await.unwrap(), 3);
    assert_eq!(locals(&breaker, 1, 2, 3, 4, 5).await.ok(), Some(15));
    assert!(locals(&breaker, 1, 2, 3, 100, 5).await.is_err());
    assert_eq!(in_closures(1, 2).await.ok(), Some(3));
    assert_eq!(the_same_names(1, 2, 0, 0, 0).await.ok(), Some(3));
    assert_eq!(the_same_names(0, 0, 1, 2, 3).await.ok(), Some(6));
    assert_eq!(the_same_names_blocking(1, 2, 3, 4).ok(), Some(10));
    assert_eq!(r#type("four").await.unwrap(), 4);
    attributes_stay().await.unwrap();
    assert_eq!(under_other_names().await.unwrap(), 4);
}
