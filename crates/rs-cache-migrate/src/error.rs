use std::{error::Error, fmt, sync::Arc, time::Duration};

/// A cache did not do what it was asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum CacheError {
    /// It cannot do this at all; its [`Capabilities`](crate::Capabilities) say so.
    Unsupported(&'static str),
    /// What it has under the key cannot be read.
    Undecodable(Arc<str>),
    /// It did not answer within this time. Nobody knows whether it did what it was asked for.
    TookTooLong(Duration),
    /// It could not be reached, or failed.
    Failed(Arc<dyn Error + Send + Sync>),
}

impl CacheError {
    /// It could not be reached, or failed, with this.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(error.into()))
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(what) => write!(f, "the cache cannot {what}"),
            Self::Undecodable(why) => write!(f, "what the cache has cannot be read: {why}"),
            Self::TookTooLong(limit) => write!(f, "the cache did not answer within {limit:?}"),
            Self::Failed(error) => write!(f, "the cache failed: {error}"),
        }
    }
}

impl Error for CacheError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            Self::Unsupported(_) | Self::Undecodable(_) | Self::TookTooLong(_) => None,
        }
    }
}
