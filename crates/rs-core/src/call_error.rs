use crate::{Failure, Rejection, TimedOut};

/// An error that can also say that a call was refused or took too long.
///
/// Implemented for every error that is made from both: a [`Failure`], an error of your own with two more
/// variants, and the errors that take any other, such as `Box<dyn Error + Send + Sync>`.
///
/// ```
/// use rs_core::{CallError, Failure, Rejection, TimeScope, TimedOut};
/// use std::time::Duration;
///
/// #[derive(Debug, PartialEq)]
/// enum PaymentError { Declined, Refused(Rejection), TooSlow(TimedOut) }
///
/// impl From<Rejection> for PaymentError {
///     fn from(why: Rejection) -> Self { Self::Refused(why) }
/// }
///
/// impl From<TimedOut> for PaymentError {
///     fn from(limit: TimedOut) -> Self { Self::TooSlow(limit) }
/// }
///
/// let declined = Failure::Operation { error: PaymentError::Declined, attempts: 2 };
/// assert_eq!(declined.flatten(), PaymentError::Declined);
/// let limit = TimedOut::new(TimeScope::Total, Duration::from_secs(2));
/// let late: Failure<PaymentError> = Failure::TimedOut(limit);
/// assert_eq!(late.flatten(), PaymentError::TooSlow(limit));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that a call was refused or took too long",
    label = "lacks `From<rs_core::Rejection>` or `From<rs_core::TimedOut>`",
    note = "return `Result<_, Failure<{Self}>>`, which can, or implement both for `{Self}`"
)]
pub trait CallError: From<Rejection> + From<TimedOut> {}

#[diagnostic::do_not_recommend]
impl<X: From<Rejection> + From<TimedOut>> CallError for X {}

impl<E: CallError> Failure<E> {
    /// The operation's own error, or one of its type that says why it did not run or did not end.
    #[must_use]
    pub fn flatten(self) -> E {
        match self {
            Self::Operation { error, .. } => error,
            Self::Rejected(rejection) => rejection.into(),
            Self::TimedOut(limit) => limit.into(),
        }
    }
}
