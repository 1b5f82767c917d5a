use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::{EtcdConfig, wire};
use crate::{
    BackendError,
    http::{Call, Flow, Http, Reply, header_of},
};

/// Half a minute of changes of a large service fits into a line of a watch.
const LONGEST_LINE: usize = 16 << 20;

/// Asks etcd as a user, if there is one.
pub(super) struct Session {
    http: Http,
    user: Option<String>,
    token: Mutex<Option<HeaderValue>>,
}

/// Who is asked, for what.
#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    password: &'a str,
}

impl Session {
    pub(super) fn new(config: &EtcdConfig) -> Self {
        let user = config.user.as_ref().and_then(|user| {
            let (name, password) = (&user.name, &user.password);
            serde_json::to_string(&User { name, password }).ok()
        });
        Self {
            http: Http::new(config.access.clone(), config.rules.timeout),
            user,
            token: Mutex::default(),
        }
    }

    /// The answer, whatever it is, but for a token that is no longer taken.
    pub(super) async fn ask(&self, path: &str, body: String) -> Result<Reply, BackendError> {
        let token = self.token().await?;
        let reply = self.send(path, body.clone(), token.clone()).await?;
        if token.is_none() || !is_outdated(&reply) {
            return Ok(reply);
        }
        self.forget();
        let token = self.token().await?;
        self.send(path, body, token).await
    }

    /// An answer that goes on.
    pub(super) async fn open(&self, path: &str, body: String) -> Result<Flow, BackendError> {
        let token = self.token().await?;
        let opened = self.http.open(call(path, body, token), LONGEST_LINE).await;
        if matches!(opened, Err(BackendError::Refused(_))) {
            self.forget();
        }
        opened
    }

    /// The next question is asked with a new token.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    /// The next question goes to another member.
    pub(super) fn turn_away(&self) {
        self.http.turn_away();
    }

    async fn send(
        &self,
        path: &str,
        body: String,
        token: Option<HeaderValue>,
    ) -> Result<Reply, BackendError> {
        self.http.send(call(path, body, token)).await
    }

    async fn token(&self) -> Result<Option<HeaderValue>, BackendError> {
        let Some(user) = &self.user else {
            return Ok(None);
        };
        if let Some(token) = self.lock().clone() {
            return Ok(Some(token));
        }
        let reply = self.send("auth/authenticate", user.clone(), None).await?;
        if !reply.status.is_success() && reply.text().contains("authentication is not enabled") {
            // Whoever lets everybody in lets this user in too.
            return Ok(None);
        }
        let token = wire::read_token(&reply.ok()?.body)?;
        let token = header_of(&token).ok_or_else(|| BackendError::malformed("no such token"))?;
        *self.lock() = Some(token.clone());
        Ok(Some(token))
    }

    fn lock(&self) -> MutexGuard<'_, Option<HeaderValue>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn call(path: &str, body: String, token: Option<HeaderValue>) -> Call {
    // A member without a leader says so, instead of waiting for one with us.
    let has_leader = HeaderName::from_static("grpc-metadata-hasleader");
    Call::new(Method::POST, format!("/v3/{path}"))
        .json(body)
        .header(has_leader, HeaderValue::from_static("true"))
        .authorization(token)
}

/// Whether a new token would help.
fn is_outdated(reply: &Reply) -> bool {
    reply.status == StatusCode::UNAUTHORIZED || {
        let said = reply.text();
        !reply.status.is_success()
            && (said.contains("invalid auth token") || said.contains("auth store is old"))
    }
}
