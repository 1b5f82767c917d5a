use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use rs_core::{Name, Rate};

/// Where the tokens are that replicas share: a bucket for each name.
///
/// A bucket is made full when somebody first takes from it. What it was told of rate and burst last is
/// what it goes by, and it keeps the tokens that it has, as far as there is room for them.
pub trait TokenStore: Send + Sync + 'static {
    /// Takes some tokens out of a bucket, or none.
    ///
    /// # Cancel safety
    /// A future that is dropped may have taken tokens, which are lost then.
    fn take<'a>(&'a self, ask: &'a TokenAsk) -> Taking<'a>;
}

/// What a [`TokenStore`] gives, when it does.
pub type Taking<'a> =
    Pin<Box<dyn Future<Output = Result<TokensGiven, TokenStoreError>> + Send + 'a>>;

/// What a [`TokenStore`] is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TokenAsk {
    /// Whose tokens.
    pub name: Name,
    /// How many at least; with fewer it gives none.
    pub at_least: u32,
    /// How many at most.
    pub at_most: u32,
    /// How fast they come.
    pub rate: Rate,
    /// How many there are at most.
    pub burst: u32,
}

impl TokenAsk {
    /// So many tokens of this bucket.
    #[must_use]
    pub const fn new(name: Name, at_least: u32, at_most: u32, rate: Rate, burst: u32) -> Self {
        Self {
            name,
            at_least,
            at_most,
            rate,
            burst,
        }
    }
}

/// What a [`TokenStore`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it gives some or it does not")]
pub enum TokensGiven {
    /// So many.
    Some(u32),
    /// None; there will be enough after this time, if nobody else takes them.
    NoneFor(Duration),
}

/// A [`TokenStore`] was not reached, or did not understand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenStoreError(String);

impl TokenStoreError {
    /// This went wrong.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}

impl fmt::Display for TokenStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TokenStoreError {}

impl<S: TokenStore + ?Sized> TokenStore for Arc<S> {
    fn take<'a>(&'a self, ask: &'a TokenAsk) -> Taking<'a> {
        (**self).take(ask)
    }
}
