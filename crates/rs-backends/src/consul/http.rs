use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ConsulConfig;
use crate::BackendError;

/// How many bytes an answer may have.
const MOST: usize = 64 << 20;

/// What a part of a path may have as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Asks an agent. Nothing here has a time limit but connecting: whoever asks has one.
pub(super) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: Uri,
    token: Option<HeaderValue>,
}

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) index: Option<u64>,
    pub(super) body: Bytes,
}

impl Http {
    pub(super) fn new(config: &ConsulConfig) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(config.rules.timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        let token = config.token.as_ref();
        let token = token.and_then(|token| {
            let mut value = HeaderValue::from_str(&token.0).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        let url = config.url.clone();
        Self { client, url, token }
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: String,
        body: Vec<u8>,
    ) -> Result<Reply, BackendError> {
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(BackendError::malformed)?);
        let uri = Uri::from_parts(parts).map_err(BackendError::malformed)?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = &self.token {
            request = request.header("x-consul-token", token);
        }
        let request = request.body(Full::new(body.into()));
        let request = request.map_err(BackendError::malformed)?;
        let reply = self.client.request(request).await;
        let reply = reply.map_err(|error| unreachable(&error))?;
        let (head, body) = reply.into_parts();
        let index = head.headers.get("x-consul-index");
        let index = index.and_then(|index| index.to_str().ok()?.parse().ok());
        let body = Limited::new(body, MOST).collect().await;
        let body =
            body.map_err(
                |error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
                    Some(_) => BackendError::TooMany {
                        what: "bytes",
                        limit: MOST,
                    },
                    None => unreachable(&*error),
                },
            )?;
        Ok(Reply {
            status: head.status,
            index,
            body: body.to_bytes(),
        })
    }
}

impl Reply {
    pub(super) fn ok(self) -> Result<Self, BackendError> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(self.refusal()),
        }
    }

    pub(super) fn refusal(&self) -> BackendError {
        BackendError::refused(format_args!("{} {}", self.status.as_u16(), self.text()))
    }

    pub(super) fn text(&self) -> String {
        let shown = self
            .body
            .get(..self.body.len().min(400))
            .unwrap_or_default();
        String::from_utf8_lossy(shown).trim().to_owned()
    }
}

/// With its causes, which hyper leaves out.
fn unreachable(error: &dyn std::error::Error) -> BackendError {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        why.push_str(": ");
        why.push_str(&next.to_string());
        cause = next.source();
    }
    BackendError::unreachable(why)
}

/// This as one part of a path.
pub(super) fn part(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}
