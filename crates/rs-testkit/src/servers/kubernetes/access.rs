//! Whom the API server lets in: it asks here about tokens and rights, as it would ask a cluster.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::task::Task;

/// The tokens that are known, and whether they may do anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens(Arc<Mutex<HashMap<String, bool>>>);

impl Tokens {
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to answer to a `TokenReview` or a `SubjectAccessReview`.
    fn judge(&self, review: &Value) -> Value {
        let spec = &review["spec"];
        let status = if review["kind"] == "TokenReview" {
            match self.lock().get(spec["token"].as_str().unwrap_or_default()) {
                Some(may) => json!({
                    "authenticated": true,
                    "user": {"username": if *may { "trusted" } else { "powerless" }},
                }),
                None => json!({"authenticated": false}),
            }
        } else {
            json!({"allowed": spec["user"] == "trusted"})
        };
        json!({"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status})
    }
}

/// Answers the API server while this lives.
#[derive(Debug)]
pub(super) struct Access {
    addr: SocketAddr,
    _task: Task,
}

impl Access {
    pub(super) async fn open(tokens: Tokens) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let task = Task::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A question that breaks off is asked again.
                let _ = answer(stream, &tokens).await;
            }
        });
        Ok(Self { addr, _task: task })
    }

    pub(super) const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// One question, one answer.
async fn answer(mut stream: TcpStream, tokens: &Tokens) -> io::Result<()> {
    let mut asked = Vec::new();
    let review = loop {
        if stream.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
        // Nothing but one JSON object comes after the head, chunked or not.
        let text = String::from_utf8_lossy(&asked);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let object = body.find('{').zip(body.rfind('}'));
        let object = object.and_then(|(first, last)| body.get(first..=last));
        if let Some(review) = object.and_then(|object| serde_json::from_str(object).ok()) {
            break review;
        }
        if text.starts_with("GET ") && text.contains("\r\n\r\n") {
            break Value::Null;
        }
    };
    let body = tokens.judge(&review).to_string();
    let head = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nConnection: close";
    let reply = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}
