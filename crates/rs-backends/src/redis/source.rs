use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use redis::{Value, aio::MultiplexedConnection};
use tokio::select;

use super::{
    registry::{RedisRegistry, told},
    wire::{self, Rows},
};
use crate::{
    BackendError,
    station::Station,
    watch::{Answer, Source},
};

/// A watch by waiting for the next entry of a stream, and by looking now and then.
pub(super) struct Streamed {
    registry: Arc<RedisRegistry>,
    station: Arc<Station>,
    service: String,
    /// With where the stream was and how long nothing is due, when it was looked at last.
    connection: Option<(MultiplexedConnection, String, Duration)>,
    /// The digest of what was heard last.
    last: Option<String>,
}

impl Streamed {
    pub(super) fn new(registry: Arc<RedisRegistry>, station: Arc<Station>, service: &str) -> Self {
        Self {
            registry,
            station,
            service: service.to_owned(),
            connection: None,
            last: None,
        }
    }

    /// Waits until there is something to look for, and looks.
    async fn look(&mut self) -> Result<Answer, BackendError> {
        let known = match self.connection.take() {
            None => None,
            Some((mut connection, change, wait)) => {
                let key = self.registry.scripts().key(&self.service, "changes");
                let block = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
                let mut read = redis::cmd("XREAD");
                read.arg("BLOCK")
                    .arg(block)
                    .arg("STREAMS")
                    .arg(key)
                    .arg(change);
                let read = read.query_async::<Value>(&mut connection);
                self.in_time(wait, async { read.await.map_err(told) })
                    .await?;
                Some(connection)
            }
        };
        let registry = &self.registry;
        let heard = self.last.as_deref().unwrap_or_default();
        let list = async {
            let mut connection = match known {
                Some(connection) => connection,
                None => registry.connect(None).await?,
            };
            let list = registry.scripts().list(&self.service, heard);
            let rows: Rows = list.invoke_async(&mut connection).await.map_err(told)?;
            Ok((connection, rows))
        };
        let (connection, rows) = self.in_time(Duration::ZERO, list).await?;
        self.hear(connection, rows)
    }

    fn hear(
        &mut self,
        connection: MultiplexedConnection,
        (count, change, due, digest, rows): Rows,
    ) -> Result<Answer, BackendError> {
        let poll = self.station.spread(self.registry.config().poll);
        // A moment later than it is due, so that it is over then.
        let due = u64::try_from(due).map(|due| Duration::from_millis(due.saturating_add(5)));
        let wait = due.map_or(poll, |due| due.min(poll));
        self.connection = Some((connection, change, wait));
        if self.last.as_ref() == Some(&digest) {
            return Ok(Answer::Same);
        }
        let listed = wire::read(&self.service, count, &rows)?;
        self.station.skipped(listed.skipped);
        self.last = Some(digest);
        let all = listed.instances.into_iter().map(Arc::new).collect();
        Ok(Answer::All(all))
    }

    /// This, for at most so much longer than it may take on purpose.
    async fn in_time<T>(
        &self,
        wait: Duration,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        let limit = wait + self.registry.config().rules.timeout;
        select! {
            biased;
            done = work => done,
            () = self.station.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        }
    }
}

#[async_trait]
impl Source for Streamed {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        // Whatever goes wrong, the connection has been taken out, and the next look makes another.
        self.look().await
    }
}
