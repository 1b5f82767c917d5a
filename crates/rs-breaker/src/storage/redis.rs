use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, RedisResult, Script, ScriptInvocation,
    aio::MultiplexedConnection,
};

use super::{Exchange, FleetOrder, Report, Storage, StorageError, View, millis, time};
use crate::Forced;

/// A [`Storage`] in Redis.
///
/// An exchange is one round trip: a script that Redis runs as a whole, on its own clock. It takes Redis 5
/// or later, and a user who may use [`RedisStorage::COMMANDS`] on these keys:
///
/// | key | type | holds |
/// |---|---|---|
/// | `{prefix}:replicas` | sorted set | the replicas, each with the time until which it speaks |
/// | `{prefix}:open` | hash | for each replica that has any open: their names, as MessagePack |
/// | `{prefix}:orders` | hash | for each breaker its last order, as MessagePack |
///
/// The first two vanish an hour after the last replica; orders stay until they are lifted or expire, and
/// a day longer. Names are kept as they are and may hold any bytes. Services that share a Redis take a
/// prefix each. The braces are part of the key: they keep the three on one node of a cluster.
///
/// The address, the user, the password and the database come from the URL. For `rediss://`, add
/// `redis = { version = "1", features = ["tokio-rustls-comp", "tls-rustls-webpki-roots"] }` to your own
/// manifest, or hand in a client that was made with certificates: see [`RedisStorage::with_client`].
///
/// It connects when it is first asked, and again when a connection is lost; each connection has a task
/// of the `redis` crate, which ends with it.
pub struct RedisStorage {
    client: Client,
    script: Script,
    prefix: String,
    connect_timeout: Duration,
    response_timeout: Duration,
    /// Not here while it is used: an exchange that fails or is dropped takes it along, for nobody knows
    /// whether anything will come through it again.
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// How many replicas, what is open on how many, the orders.
type Answer = (u32, Vec<(Vec<u8>, u32)>, Vec<Row>);

/// Breaker, id, forced, author, reason, given, expires in.
type Row = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, i64, i64);

impl RedisStorage {
    /// What its user must be allowed to do: `ACL SETUSER breakers on >secret ~{rs-breaker}:* +evalsha …`
    pub const COMMANDS: &[&str] = &[
        "evalsha",
        "script|load",
        "time",
        "zadd",
        "zcard",
        "zrangebyscore",
        "zrem",
        "pexpire",
        "hget",
        "hgetall",
        "hset",
        "hdel",
    ];

    /// The Redis at this URL, such as `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str) -> Result<Self, StorageError> {
        Ok(Self::with_client(
            Client::open(url).map_err(StorageError::new)?,
        ))
    }

    /// The Redis of this client.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            script: Script::new(include_str!("exchange.lua")),
            prefix: "rs-breaker".to_owned(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
            connection: Mutex::new(None),
        }
    }

    /// Its keys begin with this instead of `rs-breaker`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Gives up connecting after this time instead of one second.
    #[must_use]
    pub const fn with_connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Gives up waiting for an answer after this time instead of half a second.
    #[must_use]
    pub const fn with_response_timeout(mut self, time: Duration) -> Self {
        self.response_timeout = time;
        self
    }

    async fn ask(&self, report: &Report) -> RedisResult<Answer> {
        let ask = self.script(report);
        let before = self.connection().take();
        if let Some(mut connection) = before {
            match ask.invoke_async(&mut connection).await {
                // Redis may have been restarted since: that is no reason for an alarm.
                Err(error) if error.is_connection_dropped() => {}
                answer => return self.put_back(connection, answer),
            }
        }
        let mut connection = self.connect().await?;
        let answer = ask.invoke_async(&mut connection).await;
        self.put_back(connection, answer)
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.response_timeout));
        self.client
            .get_multiplexed_async_connection_with_config(&config)
            .await
    }

    fn put_back(
        &self,
        connection: MultiplexedConnection,
        answer: RedisResult<Answer>,
    ) -> RedisResult<Answer> {
        if answer.is_ok() {
            *self.connection() = Some(connection);
        }
        answer
    }

    fn script(&self, report: &Report) -> ScriptInvocation<'_> {
        let mut ask = self.script.prepare_invoke();
        for key in ["replicas", "open", "orders"] {
            ask.key(format!("{{{}}}:{key}", self.prefix));
        }
        ask.arg(&report.replica)
            .arg(millis(report.keep))
            .arg(millis(FleetOrder::REMEMBERED))
            .arg(report.open.len());
        for name in &report.open {
            ask.arg(name.as_str());
        }
        for order in &report.orders {
            ask.arg(&order.breaker)
                .arg(format!("{:016x}", order.id))
                .arg(word(order.forced))
                .arg(&order.author)
                .arg(&order.reason)
                .arg(millis(order.given))
                .arg(order.expires_in.map_or(-1, millis));
        }
        ask
    }

    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for RedisStorage {
    fn exchange<'a>(&'a self, report: &'a Report) -> Exchange<'a> {
        Box::pin(async move {
            let (replicas, open, orders) = self.ask(report).await.map_err(StorageError::new)?;
            let open = open.into_iter();
            Ok(View {
                replicas,
                open: open
                    .filter_map(|(name, count)| Some((text(name)?, count)))
                    .collect(),
                orders: orders.into_iter().filter_map(order).collect(),
            })
        })
    }
}

/// `None` if somebody else wrote it, who does not know how.
fn order((breaker, id, forced, author, reason, given, expires_in): Row) -> Option<FleetOrder> {
    Some(FleetOrder {
        breaker: text(breaker)?,
        id: u64::from_str_radix(&text(id)?, 16).ok()?,
        forced: forced_of(&forced)?,
        author: text(author)?,
        reason: text(reason)?,
        given: time(given),
        expires_in: (expires_in >= 0).then(|| time(expires_in)),
    })
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

const fn word(forced: Option<Forced>) -> &'static str {
    match forced {
        Some(Forced::Open) => "open",
        Some(Forced::Closed) => "closed",
        Some(Forced::Isolated) => "isolated",
        None => "",
    }
}

fn forced_of(word_of: &[u8]) -> Option<Option<Forced>> {
    let all = [
        None,
        Some(Forced::Open),
        Some(Forced::Closed),
        Some(Forced::Isolated),
    ];
    all.into_iter()
        .find(|forced| word(*forced).as_bytes() == word_of)
}

impl fmt::Debug for RedisStorage {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStorage")
            .field(
                "addr",
                &self.client.get_connection_info().addr().to_string(),
            )
            .field("prefix", &self.prefix)
            .field("connected", &self.connection().is_some())
            .finish_non_exhaustive()
    }
}
