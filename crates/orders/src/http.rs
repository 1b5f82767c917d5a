//! As much of HTTP as the shop and its services say to each other: a path, and numbers in headers.

use http_body_util::{BodyExt, Empty};
use hyper::{HeaderMap, Request, Uri, body::Bytes, http::request::Builder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use rs_patterns::core::{Call, Correlation};
use std::time::Duration;

/// A client that keeps its connections, as services use it.
#[derive(Clone)]
pub(crate) struct Http(Client<HttpConnector, Empty<Bytes>>);

/// Why there was no answer.
pub(crate) type HttpError = Error;

/// What a service answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

impl Http {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(250)));
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    /// Sends a request to this `host:port`, and says for whom.
    pub(crate) async fn send(
        &self,
        authority: &str,
        call: &Call,
        mut request: Builder,
    ) -> Result<Answer, HttpError> {
        if let Some(correlation) = call.correlation() {
            request = request.header(Correlation::HEADER, correlation.to_string());
        }
        let path = request.uri_ref().map_or("/", Uri::path);
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority)
            .path_and_query(path)
            .build();
        let request = request.uri(uri.unwrap_or_default()).body(Empty::new());
        // Builders of the shop have headers that are right; a wrong one shows as an answer of its own.
        let Ok(request) = request else {
            return Ok(Answer {
                status: 400,
                headers: HeaderMap::new(),
            });
        };
        let response = self.0.request(request).await?;
        let (head, body) = response.into_parts();
        // The connection serves the next request once the body has been read.
        let _ = body.collect().await;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
        })
    }
}

impl Answer {
    pub(crate) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(&self.headers, name)
    }
}

/// The request that these headers belong to: the caller's, or a new one if this is the edge.
pub(crate) fn correlation(headers: &HeaderMap) -> Correlation {
    let id = headers.get(Correlation::HEADER);
    let id = id.and_then(|id| id.to_str().ok()?.parse().ok());
    id.unwrap_or_else(Correlation::fresh)
}

/// A number in a header.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// A request to this path.
pub(crate) fn post(path: &'static str) -> Builder {
    Request::post(path)
}
