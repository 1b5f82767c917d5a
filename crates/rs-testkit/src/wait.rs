//! Waiting for a condition, never for a fixed time.

use std::fmt::Display;
use std::time::Duration;

use crate::clock;
use crate::error::Error;

/// Between two looks at a condition: short beside anything a test waits for.
const PAUSE: Duration = Duration::from_millis(10);

/// What a condition of [`wait_until`] may answer.
///
/// `bool` says whether it came, `Option` hands out what came, and `Result` wraps either, with the
/// error explaining why it has not come yet. A `Result` of anything else is refused by the compiler,
/// so that an `Ok(false)` cannot pass for success.
pub trait Answer {
    /// What [`wait_until`] returns.
    type Value;

    /// The value, or why there is none yet.
    ///
    /// # Errors
    ///
    /// Returns what the condition says for itself as long as it has not come.
    fn verdict(self) -> Result<Self::Value, String>;
}

impl Answer for () {
    type Value = ();

    fn verdict(self) -> Result<(), String> {
        Ok(())
    }
}

impl Answer for bool {
    type Value = ();

    fn verdict(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("false".to_owned())
        }
    }
}

impl<T> Answer for Option<T> {
    type Value = T;

    fn verdict(self) -> Result<T, String> {
        self.ok_or_else(|| "none".to_owned())
    }
}

impl<A: Answer, E: Display> Answer for Result<A, E> {
    type Value = A::Value;

    fn verdict(self) -> Result<A::Value, String> {
        self.map_err(|error| error.to_string())?.verdict()
    }
}

/// Looks at a condition again and again until it holds, at most for `limit`.
///
/// A look that hangs is cut off at the limit too.
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), rs_testkit::Error> {
/// let mut seen = 0;
/// let third = rs_testkit::wait_until("the third look", Duration::from_secs(1), || {
///     seen += 1;
///     let answer = (seen == 3).then_some("here");
///     async move { answer }
/// });
/// assert_eq!(third.await?, "here");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::NotYet`] says what was awaited, for how long, and what the last look saw.
///
/// # Cancel safety
///
/// Dropping the future drops the look in progress, nothing else.
pub async fn wait_until<A: Answer, F: Future<Output = A>>(
    what: impl Into<String>,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Result<A::Value, Error> {
    let started = clock::now();
    let mut looks = 0;
    let mut last = "never looked".to_owned();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        match clock::timeout(left, look()).await.map(Answer::verdict) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(said)) => last = said,
            Err(_) if looks == 0 => last = "the first look did not end".to_owned(),
            Err(_) => last.push_str(" (and the next look did not end)"),
        }
        looks += 1;
        if started.elapsed() + PAUSE >= limit {
            return Err(Error::NotYet {
                what: what.into(),
                waited: started.elapsed(),
                looks,
                last,
            });
        }
        clock::sleep(PAUSE).await;
    }
}

/// Runs `future` for at most `limit`.
///
/// # Errors
///
/// [`Error::NotYet`] when it takes longer; it is dropped then.
///
/// # Cancel safety
///
/// As cancel safe as `future` is.
pub async fn within<F: Future>(
    what: impl Into<String>,
    limit: Duration,
    future: F,
) -> Result<F::Output, Error> {
    clock::timeout(limit, future)
        .await
        .map_err(|_| Error::NotYet {
            what: what.into(),
            waited: limit,
            looks: 1,
            last: "it did not end".to_owned(),
        })
}
