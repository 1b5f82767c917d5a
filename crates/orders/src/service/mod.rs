//! The services that the shop calls: each instance is a process of this program, and a real HTTP server.
//!
//! What is wrong with one is switched from outside, by its own control endpoint `POST /mood`; what is wrong
//! with its process is done to its process.

mod ledger;
mod mood;

pub(crate) use ledger::Ledger;
pub(crate) use mood::{Mood, Moods};

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use http_body_util::Empty;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::HeaderValue,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{args::Args, http::number, say::say};

/// What a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Knows prices, and reserves what is ordered.
    Inventory,
    /// Charges, once for each idempotency key, whichever instance is asked.
    Payments,
    /// Tells the customer.
    Notifications,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Inventory, Self::Payments, Self::Notifications];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Payments => "payments",
            Self::Notifications => "notifications",
        }
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.with_context(|| format!("there is no service `{text}`"))
    }
}

struct Server {
    kind: Kind,
    moods: Moods,
    ledger: Option<Mutex<Ledger>>,
}

/// What a request is answered with.
type Answer = Response<Empty<Bytes>>;

/// `orders serve KIND --port N --ledger FILE`: says `ready PORT`, and serves until its standard input ends.
pub(crate) fn serve(args: Vec<String>) -> Result<()> {
    let mut args = Args(args);
    let port = args.port("--port")?;
    let ledger = args.value("--ledger")?.map(PathBuf::from);
    let [kind] = &args.0[..] else {
        bail!("serve what? inventory, payments or notifications");
    };
    let server = Arc::new(Server {
        kind: kind.parse()?,
        moods: Moods::default(),
        ledger: ledger
            .map(|path| Ledger::open(&path))
            .transpose()?
            .map(Mutex::new),
    });
    // The shop holds the other end: however it ends, this process does, too.
    std::thread::spawn(|| {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(server.run(port))
}

impl Server {
    async fn run(self: Arc<Self>, port: u16) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
        say!("ready {}", listener.local_addr()?.port());
        std::io::stdout().flush()?;
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            stream.set_nodelay(true)?;
            while connections.try_join_next().is_some() {}
            let server = Arc::clone(&self);
            connections.spawn(async move {
                let answers = service_fn(|request| server.answer(request));
                let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answers);
                // A client that goes away is the client's affair.
                let _ = served.await;
            });
        }
    }

    /// An error closes the connection without an answer.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Answer> {
        if request.uri().path() == "/mood" {
            let mood = Mood::of_headers(request.headers());
            self.moods.set(mood);
            return Ok(status(StatusCode::OK));
        }
        match self.moods.meet().await {
            mood::Fate::Answer => Ok(self.work(&request)),
            mood::Fate::Fail => Ok(status(StatusCode::INTERNAL_SERVER_ERROR)),
            // The worst that can happen: it is done, and nobody hears of it.
            mood::Fate::Close => {
                self.work(&request);
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    }

    fn work(&self, request: &Request<Incoming>) -> Answer {
        match (self.kind, request.uri().path()) {
            (Kind::Inventory, "/price") => {
                let product = number(request.headers(), "product").unwrap_or_default();
                with(status(StatusCode::OK), "price", price(product))
            }
            (Kind::Inventory, "/reserve") | (Kind::Notifications, "/notify") => {
                status(StatusCode::OK)
            }
            (Kind::Payments, "/charge") => self.charge(request),
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    fn charge(&self, request: &Request<Incoming>) -> Answer {
        let headers = request.headers();
        let (Some(key), Some(order), Some(ledger)) = (
            number(headers, "idempotency-key"),
            number(headers, "order"),
            &self.ledger,
        ) else {
            return status(StatusCode::BAD_REQUEST);
        };
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match ledger.charge(key, order) {
            Ok(_) => status(StatusCode::OK),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// What a product costs, in cents.
pub(crate) const fn price(product: u64) -> u64 {
    100 + product * 37 % 9_900
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status;
    answer
}

fn with(mut answer: Answer, name: &'static str, number: u64) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from(number));
    answer
}
