use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use super::{Access, Flow, connect::Connect, flow};
use crate::BackendError;

/// Asks a registry. Nothing here has a time limit but connecting: whoever asks has one, and drops the
/// question when it is over.
///
/// With several addresses the one that answered last is asked; when it fails, or the question is dropped
/// unanswered, the next question goes to the next.
pub(crate) struct Http {
    client: Client<Connect, Full<Bytes>>,
    access: Access,
    current: AtomicUsize,
}

/// A question.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Call {
    /// With this path, which begins with a slash, and query.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With JSON for a body.
    pub(crate) fn json(self, body: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        self.header(header::CONTENT_TYPE, json).body(body)
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With a token that says who asks, if there is one: see [`header_of`].
    pub(crate) fn authorization(self, value: Option<HeaderValue>) -> Self {
        match value {
            Some(value) => self.header(header::AUTHORIZATION, value),
            None => self,
        }
    }
}

/// A header of a secret, which is not shown; none if it cannot be one.
pub(crate) fn header_of(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Http {
    /// How many bytes an answer may have.
    pub(crate) const MOST: usize = 64 << 20;

    /// Connects in at most so long.
    pub(crate) fn new(access: Access, limit: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // A watch keeps its connection, and that its buffer: it must not be as large as the largest answer.
            .http1_read_buf_exact_size(16 << 10)
            .pool_idle_timeout(Duration::from_secs(30))
            .build(Connect::new(&access, limit));
        // Clients that start together do not all begin with the first.
        let current = AtomicUsize::new(fastrand::usize(..access.len().max(1)));
        Self {
            client,
            access,
            current,
        }
    }

    /// The whole answer, whatever its status.
    pub(crate) async fn send(&self, call: Call) -> Result<Reply, BackendError> {
        let mut doubt = self.doubt();
        let (head, body) = self.ask(call, doubt.at).await?.into_parts();
        let body = Limited::new(body, Self::MOST).collect().await;
        let body = body.map_err(|error| flow::broken(&*error, Self::MOST))?;
        doubt.justified = false;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// The beginning of an answer that may go on for ever, if it is a success; a part of it may have so
    /// many bytes.
    pub(crate) async fn open(&self, call: Call, most: usize) -> Result<Flow, BackendError> {
        let begun = self.begin(call, most).await?;
        begun.map_err(|reply| reply.refusal())
    }

    /// The same, and what else it said if it is none.
    pub(crate) async fn begin(
        &self,
        call: Call,
        most: usize,
    ) -> Result<Result<Flow, Reply>, BackendError> {
        let mut doubt = self.doubt();
        let (head, body) = self.ask(call, doubt.at).await?.into_parts();
        doubt.justified = false;
        let mut flow = Flow::new(body, most);
        if head.status.is_success() {
            return Ok(Ok(flow));
        }
        // A refusal is short, or its beginning says enough.
        let body = flow.part().await?.unwrap_or_default();
        Ok(Err(Reply {
            status: head.status,
            headers: head.headers,
            body,
        }))
    }

    /// The next question goes elsewhere, whatever this one's address had to say.
    pub(crate) fn turn_away(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    async fn ask(&self, call: Call, at: usize) -> Result<http::Response<Incoming>, BackendError> {
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = call.method;
        *request.uri_mut() = self.access.uri(at, &call.path)?;
        *request.headers_mut() = call.headers;
        let reply = self.client.request(request).await;
        reply.map_err(|error| flow::unreachable(&error))
    }

    fn doubt(&self) -> Doubt<'_> {
        Doubt {
            current: &self.current,
            at: self.current.load(Ordering::Relaxed),
            justified: true,
        }
    }
}

/// Leaves an address that did not answer, also when nobody waited for its answer any more.
struct Doubt<'a> {
    current: &'a AtomicUsize,
    at: usize,
    justified: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.justified {
            // Of several that fail at once only one turns: otherwise they could come back to the same.
            let next = self.at.wrapping_add(1);
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self
                .current
                .compare_exchange(self.at, next, success, failure);
        }
    }
}

impl Reply {
    /// This, if it is a success.
    pub(crate) fn ok(self) -> Result<Self, BackendError> {
        match self.status.is_success() {
            true => Ok(self),
            false => Err(self.refusal()),
        }
    }

    pub(crate) fn refusal(&self) -> BackendError {
        BackendError::refused(format_args!("{} {}", self.status.as_u16(), self.text()))
    }

    /// The beginning of what it says.
    pub(crate) fn text(&self) -> String {
        let shown = self
            .body
            .get(..self.body.len().min(400))
            .unwrap_or_default();
        String::from_utf8_lossy(shown).trim().to_owned()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
