use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisResult, Script, ScriptInvocation,
    aio::MultiplexedConnection,
};

use super::{Claim, Epoch, Lease, LeaseError, LeaseFuture};

/// A [`Lease`] in Redis 5 or later.
///
/// Each answer is one round trip: a script that Redis runs as a whole, on its own clock. For each name it
/// keeps two keys:
///
/// | key | holds |
/// |---|---|
/// | `{prefix:name}:lease` | who leads in which epoch; expires with the lease |
/// | `{prefix:name}:epoch` | the last epoch; never expires |
///
/// An epoch is the last one plus one, or Redis's own time in milliseconds if that is more: so a Redis that
/// has lost its data still gives larger ones than before. The braces are part of the key, and keep both
/// on one node of a cluster.
///
/// Redis may give a lease twice if it fails over to a replica that had not heard of the first. The epochs
/// differ then, and fencing still holds.
pub struct RedisLease {
    client: Client,
    acquire: Script,
    renew: Script,
    release: Script,
    prefix: String,
    response_timeout: Duration,
    /// Not here while it is used: nobody knows what comes through one that failed.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisLease {
    /// What its user must be allowed to do.
    pub const COMMANDS: &[&str] = &[
        "evalsha",
        "script|load",
        "time",
        "get",
        "set",
        "del",
        "pexpire",
    ];

    /// The Redis at this URL, such as `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str) -> Result<Self, LeaseError> {
        Ok(Self::with_client(
            Client::open(url).map_err(LeaseError::new)?,
        ))
    }

    /// The Redis of this client.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            acquire: Script::new(include_str!("acquire.lua")),
            renew: Script::new(include_str!("renew.lua")),
            release: Script::new(include_str!("release.lua")),
            prefix: "rs-workers".to_owned(),
            response_timeout: Duration::from_secs(1),
            connection: Mutex::new(None),
        }
    }

    /// Its keys begin with this instead of `rs-workers`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Gives up connecting, and waiting for an answer, after this time instead of one second.
    #[must_use]
    pub const fn with_timeout(mut self, time: Duration) -> Self {
        self.response_timeout = time;
        self
    }

    fn script<'s>(&self, script: &'s Script, claim: &Claim) -> ScriptInvocation<'s> {
        let of = format!("{{{}:{}}}", self.prefix, claim.name);
        let mut ask = script.prepare_invoke();
        ask.key(format!("{of}:lease")).key(format!("{of}:epoch"));
        ask.arg(&claim.holder)
            .arg(u64::try_from(claim.time.as_millis()).unwrap_or(u64::MAX));
        ask
    }

    async fn ask<T: FromRedisValue>(&self, ask: &ScriptInvocation<'_>) -> Result<T, LeaseError> {
        let before = self.connection().take();
        if let Some(mut connection) = before {
            match ask.invoke_async(&mut connection).await {
                // Redis may have been restarted since.
                Err(error) if error.is_connection_dropped() => {}
                answer => return self.put_back(connection, answer),
            }
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.response_timeout))
            .set_response_timeout(Some(self.response_timeout));
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await;
        let mut connection = connection.map_err(LeaseError::new)?;
        let answer = ask.invoke_async(&mut connection).await;
        self.put_back(connection, answer)
    }

    fn put_back<T>(
        &self,
        connection: MultiplexedConnection,
        answer: RedisResult<T>,
    ) -> Result<T, LeaseError> {
        if answer.is_ok() {
            *self.connection() = Some(connection);
        }
        answer.map_err(LeaseError::new)
    }

    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease for RedisLease {
    fn acquire<'a>(&'a self, claim: &'a Claim) -> LeaseFuture<'a, Option<Epoch>> {
        Box::pin(async move {
            let ask = self.script(&self.acquire, claim);
            let epoch: u64 = self.ask(&ask).await?;
            Ok((epoch > 0).then_some(Epoch::new(epoch)))
        })
    }

    fn renew<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, bool> {
        Box::pin(async move {
            let mut ask = self.script(&self.renew, claim);
            ask.arg(epoch.number());
            self.ask(&ask).await
        })
    }

    fn release<'a>(&'a self, claim: &'a Claim, epoch: Epoch) -> LeaseFuture<'a, ()> {
        Box::pin(async move {
            let mut ask = self.script(&self.release, claim);
            ask.arg(epoch.number());
            self.ask(&ask).await
        })
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
