//! Logs and spans of the process, and the identity of a request in all of them.
//!
//! ```
//! use rs_core::Call;
//! use rs_metrics::tracing::{Incoming, Logs, Tracing, call_span, write_headers};
//!
//! let traced = Tracing::new("orders").logs(Logs::Json).filter("info,hyper=warn").install()?;
//!
//! // At the edge: who asks?
//! let request = http::Request::get("/checkout").body(())?;
//! let incoming = Incoming::read(request.headers());
//! let call = Call::new("checkout").with_correlation(incoming.correlation());
//! let entered = incoming.span(&call).entered();
//! tracing::info!("every line in here carries the correlation id");
//!
//! // On the way out: say who asks.
//! let mut onward = http::Request::get("http://payments/charge").body(())?;
//! write_headers(&call, onward.headers_mut());
//! assert!(onward.headers().contains_key("x-correlation-id"));
//! # drop(entered);
//! traced.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod headers;
#[cfg(feature = "otel")]
mod otel;
mod setup;
mod span;

pub use headers::{Incoming, write_headers};
pub use setup::{Logs, Traced, Tracing, TracingError};
pub use span::call_span;
