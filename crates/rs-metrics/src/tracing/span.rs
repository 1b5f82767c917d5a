use rs_core::Call;
use tracing::{Span, field::Empty};

use crate::CALL_SPANS;

/// A span for a call, named after it, carrying its correlation id and the number of the attempt.
///
/// A span costs about a microsecond, sampled or not: use it for what takes longer than that.
#[must_use]
pub fn call_span(call: &Call) -> Span {
    let span = tracing::info_span!(
        target: CALL_SPANS,
        "call",
        otel.name = call.name().as_str(),
        call = call.name().as_str(),
        attempt = call.attempt(),
        correlation_id = Empty,
    );
    if let Some(correlation) = call.correlation() {
        span.record("correlation_id", tracing::field::display(correlation));
    }
    span
}
