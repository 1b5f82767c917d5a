use std::{fmt, time::Duration};

/// What a guard says of itself to whoever plans a stack of policies: how long it may hold a call up, and
/// what makes it refuse.
///
/// ```
/// use rs_core::Outline;
/// use std::time::Duration;
///
/// let bulkhead = Outline::of("bulkhead")
///     .saying("32 at once, 64 wait")
///     .waiting_up_to(Duration::from_millis(500));
/// assert_eq!(bulkhead.to_string(), "bulkhead: 32 at once, 64 wait");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    kind: &'static str,
    words: String,
    longest_wait: Duration,
    refuses_after: Option<u32>,
}

impl Outline {
    /// A guard of this kind, of which nothing more is known: `breaker`, `bulkhead`.
    #[must_use]
    pub const fn of(kind: &'static str) -> Self {
        Self {
            kind,
            words: String::new(),
            longest_wait: Duration::ZERO,
            refuses_after: None,
        }
    }

    /// In a few words, what it does.
    #[must_use]
    pub fn saying(mut self, words: impl Into<String>) -> Self {
        self.words = words.into();
        self
    }

    /// A call waits in it for no longer than this.
    #[must_use]
    pub const fn waiting_up_to(mut self, longest: Duration) -> Self {
        self.longest_wait = longest;
        self
    }

    /// So many failures in a row are enough to make it refuse all calls.
    #[must_use]
    pub const fn refusing_after(mut self, failures: u32) -> Self {
        self.refuses_after = Some(failures);
        self
    }

    /// What kind of guard it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// What it does.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// How long a call may wait in it.
    #[must_use]
    pub const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// How many failures in a row are enough to make it refuse all calls, if failures do.
    #[must_use]
    pub const fn refuses_after(&self) -> Option<u32> {
        self.refuses_after
    }
}

impl fmt::Display for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if !self.words.is_empty() {
            write!(f, ": {}", self.words)?;
        }
        Ok(())
    }
}
