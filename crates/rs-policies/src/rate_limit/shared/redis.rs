use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{Client, RedisResult, Script, aio::MultiplexedConnection};

use super::{Taking, TokenAsk, TokenStore, TokenStoreError, TokensGiven};

/// A [`TokenStore`] in Redis.
///
/// To take tokens is one round trip: a script that Redis runs as a whole, on its own clock. It takes Redis 5
/// or later, and a user who may use [`RedisTokens::COMMANDS`] on the keys `{prefix}:*`. Each bucket is a
/// hash that vanishes a second after it is full.
///
/// A Redis that forgets, because it was restarted empty or a replica took over that had not heard of the
/// last calls, hands out a burst once more.
///
/// The address, the user, the password and the database come from the URL. For `rediss://`, add
/// `redis = { version = "1", features = ["tokio-rustls-comp", "tls-rustls-webpki-roots"] }` to your own
/// manifest, or hand in a client that was made with certificates: see [`RedisTokens::with_client`].
///
/// It connects when it is first asked, and again when a connection is lost. Who asks must have the patience
/// for that: see [`with_patience`](super::SharedRateLimitConfig::with_patience).
pub struct RedisTokens {
    client: Client,
    script: Script,
    prefix: String,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisTokens {
    /// What its user must be allowed to do: `ACL SETUSER limits on >secret ~rs-rate-limit:* +evalsha …`
    pub const COMMANDS: &[&str] = &["evalsha", "script|load", "time", "hmget", "hset", "pexpire"];

    /// The Redis at this URL, such as `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str) -> Result<Self, TokenStoreError> {
        Ok(Self::with_client(
            Client::open(url).map_err(TokenStoreError::new)?,
        ))
    }

    /// The Redis of this client.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            script: Script::new(include_str!("take.lua")),
            prefix: "rs-rate-limit".to_owned(),
            connection: Mutex::new(None),
        }
    }

    /// Its keys begin with this instead of `rs-rate-limit`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    async fn ask(&self, ask: &TokenAsk) -> RedisResult<TokensGiven> {
        let known = self.connection().clone();
        if let Some(connection) = known {
            match self.ask_through(connection, ask).await {
                // Redis may have been restarted since: that is no reason for an alarm.
                Err(error) if error.is_connection_dropped() => {}
                answer => return answer,
            }
        }
        let connection = self.client.get_multiplexed_async_connection().await?;
        *self.connection() = Some(connection.clone());
        self.ask_through(connection, ask).await
    }

    async fn ask_through(
        &self,
        mut connection: MultiplexedConnection,
        ask: &TokenAsk,
    ) -> RedisResult<TokensGiven> {
        let doubt = Doubt(self);
        let rate = ask.rate;
        let interval = rate.time().as_secs_f64() * 1e6 / rate.count();
        let mut take = self.script.prepare_invoke();
        take.key(format!("{}:{}", self.prefix, ask.name))
            .arg(interval)
            .arg(ask.burst)
            .arg(ask.at_least)
            .arg(ask.at_most);
        let (taken, micros): (u32, u64) = take.invoke_async(&mut connection).await?;
        std::mem::forget(doubt);
        Ok(match taken {
            0 => TokensGiven::NoneFor(Duration::from_micros(micros)),
            taken => TokensGiven::Some(taken),
        })
    }

    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody knows whether anything will come again through a connection that failed, or on which somebody
/// gave up waiting.
struct Doubt<'r>(&'r RedisTokens);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.connection().take();
    }
}

impl TokenStore for RedisTokens {
    fn take<'a>(&'a self, ask: &'a TokenAsk) -> Taking<'a> {
        Box::pin(async move { self.ask(ask).await.map_err(TokenStoreError::new) })
    }
}

impl fmt::Debug for RedisTokens {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTokens")
            .field(
                "addr",
                &self.client.get_connection_info().addr().to_string(),
            )
            .field("prefix", &self.prefix)
            .field("connected", &self.connection().is_some())
            .finish_non_exhaustive()
    }
}
