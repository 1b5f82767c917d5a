use http::{HeaderMap, HeaderName, HeaderValue};
use rs_core::{Call, Correlation};
use tracing::Span;

use super::call_span;

const CORRELATION: HeaderName = HeaderName::from_static(Correlation::HEADER);
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Who asks: what the headers of a request say about where it comes from.
#[derive(Debug, Clone)]
pub struct Incoming {
    correlation: Correlation,
    #[cfg(feature = "otel")]
    parent: opentelemetry::Context,
}

impl Incoming {
    /// Reads the correlation id, or else takes the trace id of a W3C `traceparent`, or else makes a
    /// fresh one; this is the edge then. With the `otel` feature the caller's span is read as well.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        Self {
            correlation: correlation_in(headers),
            #[cfg(feature = "otel")]
            parent: super::otel::parent_in(headers),
        }
    }

    /// The request that this belongs to.
    #[must_use]
    pub const fn correlation(&self) -> Correlation {
        self.correlation
    }

    /// A span for what is done for the caller; with the `otel` feature, a child of the caller's.
    #[must_use]
    pub fn span(&self, call: &Call) -> Span {
        let span = call_span(&call.with_correlation(self.correlation));
        #[cfg(feature = "otel")]
        super::otel::adopt(&span, &self.parent);
        span
    }
}

fn correlation_in(headers: &HeaderMap) -> Correlation {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    text(CORRELATION)
        .and_then(|id| id.parse().ok())
        .or_else(|| trace_id(text(TRACE_PARENT)?))
        .unwrap_or_else(Correlation::fresh)
}

/// The trace id of `00-<trace id>-<span id>-<flags>`.
fn trace_id(parent: &str) -> Option<Correlation> {
    let is_id = |id: &&str| id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = parent.split('-').nth(1).filter(is_id)?;
    Correlation::from_bits(u128::from_str_radix(id, 16).ok()?)
}

/// Says who asks, to whoever is called: the correlation id, and with the `otel` feature the current
/// span, as W3C `traceparent` and `tracestate`.
pub fn write_headers(call: &Call, headers: &mut HeaderMap) {
    if let Some(correlation) = call.correlation()
        && let Ok(value) = HeaderValue::try_from(correlation.to_string())
    {
        headers.insert(CORRELATION, value);
    }
    #[cfg(feature = "otel")]
    super::otel::write_current(headers);
}
