use std::{
    fmt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderValue;

use crate::{BackendError, http::header_of};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How this client says who it is, beside a certificate.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    None,
    Known(Secret),
    /// In a file that somebody replaces before the token in it is over.
    File(PathBuf),
}

/// The header for each request.
pub(super) struct Credentials {
    token: Token,
    read: Mutex<Option<(Instant, HeaderValue)>>,
}

impl Credentials {
    /// A token of a service account is replaced minutes before it is over, so this is early enough.
    const FRESH: Duration = Duration::from_secs(30);

    pub(super) fn new(token: Token) -> Self {
        let read = Mutex::default();
        Self { token, read }
    }

    pub(super) async fn header(&self, now: Instant) -> Result<Option<HeaderValue>, BackendError> {
        let path = match &self.token {
            Token::None => return Ok(None),
            Token::Known(Secret(token)) => return bearer(token).map(Some),
            Token::File(path) => path,
        };
        if let Some((read, header)) = &*self.lock()
            && now.saturating_duration_since(*read) < Self::FRESH
        {
            return Ok(Some(header.clone()));
        }
        let shown = path.display();
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| {
            BackendError::unreachable(format_args!("the token in {shown}: {error}"))
        })?;
        let header = bearer(text.trim())?;
        *self.lock() = Some((now, header.clone()));
        Ok(Some(header))
    }

    /// The server does not take it any more: the next one is read anew. Whether there may be another.
    pub(super) fn refused(&self) -> bool {
        *self.lock() = None;
        matches!(self.token, Token::File(_))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, HeaderValue)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bearer(token: &str) -> Result<HeaderValue, BackendError> {
    let header = header_of(&format!("Bearer {token}")).filter(|_| !token.is_empty());
    header.ok_or_else(|| BackendError::unreachable("the token cannot be sent as a header"))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credentials").field(&self.token).finish()
    }
}
