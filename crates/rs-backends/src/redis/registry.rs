use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use redis::{
    AsyncConnectionConfig, FromRedisValue, RedisError, ScriptInvocation, aio::MultiplexedConnection,
};
use rs_core::{ConfigError, Health, Value, config};

use super::{
    RedisConfig,
    source::Streamed,
    wire::{self, Rows, Scripts},
};
use crate::{
    BackendError, ServiceInstance,
    keeper::Registrar,
    remote::{Listed, Registry, Rules},
    station::Station,
    watch::Source,
};

/// A Redis, as it is asked.
pub(super) struct RedisRegistry {
    config: RedisConfig,
    scripts: Scripts,
    /// Shared by all that do not wait. One on which anything went wrong is given up.
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl RedisRegistry {
    pub(super) fn new(config: RedisConfig) -> Self {
        let scripts = Scripts::new(config.prefix.clone());
        let connection = Mutex::default();
        Self {
            config,
            scripts,
            connection,
        }
    }

    pub(super) const fn config(&self) -> &RedisConfig {
        &self.config
    }

    pub(super) const fn scripts(&self) -> &Scripts {
        &self.scripts
    }

    /// A new connection, whose answers may take so long.
    pub(super) async fn connect(
        &self,
        answers: Option<Duration>,
    ) -> Result<MultiplexedConnection, BackendError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.rules.timeout))
            .set_response_timeout(answers);
        let client = &self.config.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        connection.await.map_err(told)
    }

    async fn ask<T: FromRedisValue>(&self, ask: ScriptInvocation<'_>) -> Result<T, BackendError> {
        let known = self.connection().clone();
        // Also when this is dropped half-way: nobody knows whether anything will come through it again.
        let mut doubt = Doubt {
            of: self,
            justified: true,
        };
        if let Some(mut connection) = known {
            match ask.invoke_async(&mut connection).await {
                // Redis may have been restarted since: that is no reason for an alarm.
                Err(error) if error.is_connection_dropped() => {}
                Err(error) => return Err(told(error)),
                Ok(answer) => {
                    doubt.justified = false;
                    return Ok(answer);
                }
            }
        }
        let mut connection = self.connect(Some(self.config.rules.timeout)).await?;
        let answer = ask.invoke_async(&mut connection).await.map_err(told)?;
        *self.connection() = Some(connection);
        doubt.justified = false;
        Ok(answer)
    }

    fn connection(&self) -> MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the shared connection up unless it turns out well.
struct Doubt<'a> {
    of: &'a RedisRegistry,
    justified: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.justified {
            *self.of.connection() = None;
        }
    }
}

pub(super) fn told(error: RedisError) -> BackendError {
    match error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
        true => BackendError::unreachable(error),
        false => BackendError::refused(error),
    }
}

#[async_trait]
impl Registrar for RedisRegistry {
    async fn put(&self, instance: &ServiceInstance) -> Result<(), BackendError> {
        let put = self.scripts.put(instance)?;
        self.ask::<u8>(put).await.map(drop)
    }

    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError> {
        let known: u8 = self.ask(self.scripts.renew(instance)).await?;
        Ok(known == 1)
    }

    async fn remove(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let remove = self.scripts.remove(service, id);
        self.ask::<u8>(remove).await.map(drop)
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    const KIND: &'static str = "redis";

    async fn list(&self, service: &str) -> Result<Listed, BackendError> {
        let (count, _, _, _, rows): Rows = self.ask(self.scripts.list(service, "")).await?;
        wire::read(service, count, &rows)
    }

    async fn ping(&self) -> Result<Health, BackendError> {
        // What everything else needs too: that scripts run, and that this user may read.
        let _: Rows = self.ask(self.scripts.list("health check", "")).await?;
        Ok(Health::UP)
    }

    fn source(self: Arc<Self>, station: &Arc<Station>, service: &str) -> Box<dyn Source> {
        Box::new(Streamed::new(self, Arc::clone(station), service))
    }

    fn read(config: Value) -> Result<(Self, Rules), ConfigError> {
        let config: RedisConfig = config::read(config)?;
        let rules = config.rules.clone();
        Ok((Self::new(config), rules))
    }

    fn shown(&self) -> Vec<(&'static str, Value)> {
        let address = self.config.client.get_connection_info().addr();
        vec![
            ("address", address.to_string().into()),
            ("prefix", self.config.prefix.clone().into()),
            ("poll_interval", self.config.poll.into()),
        ]
    }
}

impl fmt::Debug for RedisRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRegistry")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
