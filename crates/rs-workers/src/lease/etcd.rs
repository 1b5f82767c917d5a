use std::{fmt, io};

use http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use rs_core::{ConfigError, unless};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Claim, Epoch, Lease, LeaseError, LeaseFuture};

/// A [`Lease`] in etcd 3.4 or later, by its HTTP interface.
///
/// For each name it keeps the key `{prefix}/{name}` with the holder as its value, bound to a lease of etcd's:
/// the key vanishes with it. The epoch is the revision in which the key was written, which only grows, also
/// when members fail, because the majority has agreed on it.
///
/// etcd's leases last whole seconds, and at least as long as an election may take: one that is asked for
/// less lasts longer there than here, so that another leader is later, and never too early.
pub struct EtcdLease {
    authority: String,
    prefix: String,
    token: Option<String>,
}

/// The key of a name as etcd has it.
struct Key {
    holder: String,
    epoch: u64,
    lease: String,
}

impl EtcdLease {
    /// The etcd at this address, such as `http://127.0.0.1:2379`. A proxy beside the service adds TLS.
    ///
    /// # Errors
    /// When it is no such address.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let uri: Option<Uri> = url.parse().ok();
        let plain = uri.filter(|uri| uri.scheme_str() == Some("http"));
        let authority = plain
            .as_ref()
            .and_then(Uri::authority)
            .map(ToString::to_string);
        let wrong =
            || ConfigError::malformed(url, "is no address", "write it like http://host:2379");
        Ok(Self {
            authority: authority.ok_or_else(wrong)?,
            prefix: "rs-workers".to_owned(),
            token: None,
        })
    }

    /// Its keys begin with this instead of `rs-workers`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// It says this token, where etcd asks who it is.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    fn key(&self, claim: &Claim) -> String {
        base64(format!("{}/{}", self.prefix, claim.name).as_bytes())
    }

    async fn find(&self, claim: &Claim) -> Result<Option<Key>, LeaseError> {
        let found = self
            .ask("kv/range", &json!({ "key": self.key(claim) }))
            .await?;
        let Some(key) = found["kvs"].get(0) else {
            return Ok(None);
        };
        Ok(Some(Key {
            holder: text(&key["value"]),
            epoch: number(&key["mod_revision"])?,
            lease: text(&key["lease"]),
        }))
    }

    /// The key, if it is this holder's in this epoch.
    async fn find_own(&self, claim: &Claim, epoch: Epoch) -> Result<Option<Key>, LeaseError> {
        let holder = base64(claim.holder.as_bytes());
        let own = |key: &Key| key.holder == holder && key.epoch == epoch.number();
        Ok(self.find(claim).await?.filter(own))
    }

    async fn take(&self, claim: &Claim) -> Result<Option<Epoch>, LeaseError> {
        let (key, holder) = (self.key(claim), base64(claim.holder.as_bytes()));
        let found = self.find(claim).await?;
        // Nobody has it, or this holder has, who did not hear of it.
        let before = match &found {
            None => "0".to_owned(),
            Some(found) if found.holder == holder => found.epoch.to_string(),
            Some(_) => return Ok(None),
        };
        let seconds = claim.time.as_millis().div_ceil(1000).max(1);
        let granted = self
            .ask("lease/grant", &json!({ "TTL": seconds.to_string() }))
            .await?;
        let lease = text(&granted["ID"]);
        let answer = self
            .ask(
                "kv/txn",
                &json!({
                    "compare": [{ "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": before }],
                    "success": [{ "request_put": { "key": key, "value": holder, "lease": lease } }],
                }),
            )
            .await?;
        if answer["succeeded"] == Value::Bool(true) {
            return Ok(Some(Epoch::new(number(&answer["header"]["revision"])?)));
        }
        // Somebody was faster; what was granted would end by itself.
        let _ = self.ask("lease/revoke", &json!({ "ID": lease })).await;
        Ok(None)
    }

    async fn ask(&self, what: &str, body: &Value) -> Result<Value, LeaseError> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(LeaseError::new)?;
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (mut send, connection) = made.map_err(LeaseError::new)?;
        let mut request = Request::post(format!("/v3/{what}"))
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let body = Full::new(Bytes::from(body.to_string()));
        let request = request.body(body).map_err(LeaseError::new)?;
        let answered = async {
            let answer = send.send_request(request).await.map_err(LeaseError::new)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), Self::LONGEST)
                .collect()
                .await;
            let body = body.map_err(LeaseError::new)?.to_bytes();
            match status.is_success() {
                true => serde_json::from_slice(&body).map_err(LeaseError::new),
                false => Err(LeaseError::new(format!(
                    "etcd says {status}: {}",
                    String::from_utf8_lossy(&body)
                ))),
            }
        };
        // The connection is served as long as the answer is waited for, and closed then.
        let mut closed = None;
        let served = async { closed = connection.await.err() };
        let answer = unless(served, answered).await;
        answer.unwrap_or_else(|| {
            let closed =
                closed.map_or_else(|| "the connection was closed".into(), |e| e.to_string());
            Err(LeaseError::new(io::Error::other(closed)))
        })
    }

    /// Longer answers are none of etcd's.
    const LONGEST: usize = 64 * 1024;
}

impl Lease for EtcdLease {
    fn acquire<'a>(&'a self, claim: &'a Claim) -> LeaseFuture<'a, Option<Epoch>> {
        Box::pin(self.take(claim))
    }

    fn renew<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, bool> {
        Box::pin(async move {
            let Some(key) = self.find_own(claim, epoch).await? else {
                return Ok(false);
            };
            let kept = self
                .ask("lease/keepalive", &json!({ "ID": key.lease }))
                .await?;
            let left = &kept["result"]["TTL"];
            // A lease that is gone has no time left.
            Ok(!left.is_null() && number(left)? > 0)
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, ()> {
        Box::pin(async move {
            if let Some(key) = self.find_own(claim, epoch).await? {
                self.ask("lease/revoke", &json!({ "ID": key.lease }))
                    .await?;
            }
            Ok(())
        })
    }
}

/// etcd writes large numbers as texts.
fn number(value: &Value) -> Result<u64, LeaseError> {
    let read = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    read.ok_or_else(|| LeaseError::new(format!("etcd says `{value}` where a number should be")))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Keys and values as etcd's JSON has them.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut written = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            let digit = DIGITS.get(digit as usize).copied().unwrap_or(b'=');
            written.push(if place > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    written
}

impl fmt::Debug for EtcdLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdLease")
            .field("authority", &self.authority)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_as_the_standard_has_it() {
        // From RFC 4648.
        for (text, written) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), written);
        }
    }
}
