use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rs_core::Clock;
use tokio::select;
use tower_service::Service;

use super::Access;

#[cfg(not(feature = "tls"))]
type Inner = HttpConnector;
#[cfg(feature = "tls")]
type Inner = hyper_rustls::HttpsConnector<HttpConnector>;

/// Connects within a time that also holds for the handshake: a connection that the pool makes on the side
/// has nobody who waits for it.
#[derive(Clone)]
pub(super) struct Connect {
    inner: Inner,
    limit: Duration,
}

impl Connect {
    pub(super) fn new(access: &Access, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        // A watch may hear nothing for long, and must find out that the other machine is gone.
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        #[cfg(feature = "tls")]
        tcp.enforce_http(false);
        Self {
            inner: inner(access, tcp),
            limit,
        }
    }
}

#[cfg(not(feature = "tls"))]
fn inner(_access: &Access, tcp: HttpConnector) -> Inner {
    tcp
}

#[cfg(feature = "tls")]
fn inner(access: &Access, tcp: HttpConnector) -> Inner {
    let tls = access.tls().unwrap_or_else(crate::TlsConfig::nobody);
    let builder = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls.client().as_ref().clone())
        .https_or_http();
    match tls.server_name() {
        Some(name) => {
            let fixed = hyper_rustls::FixedServerNameResolver::new(name.clone());
            builder.with_server_name_resolver(fixed)
        }
        None => builder,
    }
    .enable_http1()
    .wrap_connector(tcp)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connect {
    type Response = <Inner as Service<Uri>>::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(context).map_err(failed)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            // Time of the network, whatever the backend's own clock says.
            let clock = Clock::tokio();
            select! {
                biased;
                connected = connecting => connected.map_err(failed),
                () = clock.sleep(limit) => {
                    let why = format!("no connection in {limit:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, why).into())
                }
            }
        })
    }
}

/// What it is with TLS, and becomes without.
fn failed(error: impl Into<Failure>) -> Failure {
    error.into()
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
