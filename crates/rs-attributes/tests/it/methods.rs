//! Methods, generics, lifetimes, traits.

use std::{
    fmt::Display,
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use async_trait::async_trait;
use rs_attributes::{circuit_breaker, fallback, retry, timeout};
use rs_breaker::Breaker;
use rs_core::{CallError, Failure, PerAttempt};

use crate::single::{BankError, breaker_of};

struct Bank<'a, C> {
    breaker: &'a Breaker,
    tries: AtomicU32,
    currency: C,
}

impl<'a, C: Display + Send + Sync> Bank<'a, C> {
    fn new(breaker: &'a Breaker, currency: C) -> Self {
        Self {
            breaker,
            tries: AtomicU32::new(0),
            currency,
        }
    }

    fn stumbles(&self) -> Result<(), BankError> {
        match self.tries.fetch_add(1, Relaxed) {
            0 => Err(BankError("first")),
            _ => Ok(()),
        }
    }

    /// Keeps what is written about it.
    #[retry(attempts = 2, constant = "0")]
    #[must_use = "somebody has paid"]
    #[circuit_breaker(self.breaker)]
    pub(crate) async fn charge<'s, T, const N: usize>(
        &'s self,
        name: &'s str,
        amounts: [T; N],
    ) -> Result<(&'s C, String), Failure<BankError>>
    where
        T: Display + Clone + Send + Sync,
    {
        self.stumbles()?;
        let amounts = amounts.map(|amount| amount.to_string()).join("+");
        Ok((&self.currency, format!("{name}: {amounts}")))
    }

    #[retry(attempts = 2, constant = "0")]
    async fn texts(
        &self,
        into: impl Into<String> + Clone + Send + Sync,
        (first, second): (u8, u8),
        mut many: Vec<u8>,
        _: u8,
    ) -> Result<impl Iterator<Item = u8>, Failure<BankError>> {
        many.push(first);
        many.push(second);
        many.extend(into.into().into_bytes());
        self.stumbles()?;
        Ok(many.into_iter())
    }

    #[circuit_breaker(breaker)]
    async fn associated(
        breaker: &Breaker,
        error: &'static str,
    ) -> Result<Option<Self>, Failure<BankError>> {
        Err(BankError(error))
    }

    #[fallback(Self::instead)]
    #[circuit_breaker(self.breaker)]
    async fn with_fallback(&self, owned: String) -> Result<String, Failure<BankError>> {
        drop(owned);
        Err(BankError("bad"))
    }

    async fn instead(
        &self,
        owned: String,
        why: Failure<BankError>,
    ) -> Result<String, Failure<BankError>> {
        Ok(format!("{owned} in {}: {why}", self.currency))
    }
}

#[tokio::test(start_paused = true)]
async fn methods_keep_their_signature() {
    let breaker = breaker_of(100);
    let bank = Bank::new(&breaker, "EUR");
    let (currency, charged) = bank.charge("anna", [1, 2]).await.unwrap();
    assert_eq!((*currency, charged.as_str()), ("EUR", "anna: 1+2"));
    assert_eq!(breaker.snapshot().failures, 1);
    assert!(Bank::<u8>::associated(&breaker, "away").await.is_err());
    assert_eq!(breaker.snapshot().failures, 2);
    let instead = bank.with_fallback("5".to_owned()).await.unwrap();
    assert_eq!(instead, "5 in EUR: bad");
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn futures_are_send() {
    let breaker = breaker_of(100);
    let bank = Bank::new(&breaker, "EUR");
    is_send(bank.charge("anna", [1])).await.unwrap();
}

#[async_trait]
trait Charges: Send + Sync {
    async fn charge(&self, order: String, note: &str) -> Result<String, Failure<BankError>>;

    async fn flat(&self) -> anyhow::Result<&str>;

    #[retry(attempts = 2, constant = "0")]
    async fn by_default(&self, tries: &AtomicU32) -> Result<u32, Failure<BankError>> {
        match tries.fetch_add(1, Relaxed) {
            0 => Err(BankError("first")),
            tried => Ok(tried),
        }
    }
}

#[async_trait]
impl<C: Display + Send + Sync> Charges for Bank<'_, C> {
    #[timeout("1s")]
    #[retry(attempts = 2, constant = "0")]
    #[circuit_breaker(self.breaker)]
    async fn charge(&self, mut order: String, note: &str) -> Result<String, Failure<BankError>> {
        order.push_str(note);
        self.stumbles()?;
        Ok(order)
    }

    #[circuit_breaker(self.breaker)]
    async fn flat(&self) -> anyhow::Result<&str> {
        self.stumbles()
            .map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok("flat")
    }
}

#[tokio::test]
async fn async_trait_knows_them() {
    let breaker = breaker_of(100);
    let bank = Bank::new(&breaker, "EUR");
    let charges: &dyn Charges = &bank;
    assert_eq!(charges.charge("a".to_owned(), "b").await.unwrap(), "ab");
    assert_eq!(breaker.snapshot().failures, 1);
    assert_eq!(charges.flat().await.unwrap(), "flat");
    assert_eq!(breaker.snapshot().successes, 2);
    assert_eq!(charges.by_default(&AtomicU32::new(0)).await, Ok(1));
}

trait InTrait {
    fn get(&self, key: u8) -> impl Future<Output = Result<u8, Failure<BankError>>> + Send;

    fn boxed<'a>(
        &'a self,
        key: &'a u8,
    ) -> Pin<Box<dyn Future<Output = Result<u8, Failure<BankError>>> + Send + 'a>>;
}

impl<C: Display + Send + Sync> InTrait for Bank<'_, C> {
    #[retry(attempts = 2, constant = "0")]
    async fn get(&self, key: u8) -> Result<u8, Failure<BankError>> {
        self.stumbles()?;
        Ok(key)
    }

    #[retry(attempts = 2, constant = "0")]
    fn boxed<'a>(
        &'a self,
        key: &'a u8,
    ) -> Pin<Box<dyn Future<Output = Result<u8, Failure<BankError>>> + Send + 'a>> {
        Box::pin(async move {
            self.stumbles()?;
            Ok(*key)
        })
    }
}

#[retry(attempts = 2, constant = "0")]
#[expect(clippy::manual_async_fn, reason = "it is what is tested")]
fn returns_a_future(
    tries: &AtomicU32,
) -> impl Future<Output = Result<u32, Failure<BankError>>> + Send {
    async move {
        match tries.fetch_add(1, Relaxed) {
            0 => Err(BankError("first")),
            tried => Ok(tried),
        }
    }
}

#[tokio::test]
async fn functions_that_return_futures() {
    let breaker = breaker_of(100);
    assert_eq!(Bank::new(&breaker, "EUR").get(7).await, Ok(7));
    assert_eq!(Bank::new(&breaker, "EUR").boxed(&8).await, Ok(8));
    assert_eq!(returns_a_future(&AtomicU32::new(0)).await, Ok(1));
}

#[retry(attempts = 2, constant = "0")]
async fn generic<F, T, E>(make: F) -> Result<T, E>
where
    F: Fn() -> Result<T, E> + Clone + Send + Sync,
    T: Send,
    E: CallError + Send,
{
    make()
}

#[tokio::test]
async fn generic_errors() {
    let tries = AtomicU32::new(0);
    let made = generic(|| match tries.fetch_add(1, Relaxed) {
        0 => Err(anyhow::anyhow!("first")),
        tried => Ok(tried),
    });
    assert_eq!(made.await.unwrap(), 1);
    assert_eq!(5.for_attempt(), 5);
}

#[tokio::test]
async fn impl_trait_in_both_places() {
    let breaker = breaker_of(100);
    let bank = Bank::new(&breaker, "EUR");
    let texts = bank.texts("a", (1, 2), vec![0], 9).await.unwrap();
    assert_eq!(texts.collect::<Vec<_>>(), [0, 1, 2, b'a']);
}
