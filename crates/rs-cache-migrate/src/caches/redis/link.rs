//! One connection at a time, and when the server's clock says what.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection, cmd,
};
use rs_core::{Clock, unless};

use crate::CacheError;

/// Commands are carried out in the order in which they are sent through it. When it is lost, the server is told
/// to forget what it has not read of it before anything goes through the next.
pub(crate) struct Link {
    client: Client,
    clock: Clock,
    born: Instant,
    state: Mutex<State>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    /// As whom the server knew the last one, which may have something to say yet.
    lost: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) connection: MultiplexedConnection,
    number: u64,
    address: String,
    /// At least so much the server's clock is ahead of the time since `born`, in milliseconds.
    ahead: i64,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        let clock = Clock::tokio();
        Self {
            client,
            born: clock.now(),
            clock,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed(&self) -> i64 {
        let elapsed = self.clock.now().saturating_duration_since(self.born);
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    fn open(&self) -> Option<Open> {
        self.state().open.clone()
    }

    /// The connection that there is, or a new one.
    pub(crate) async fn get(&self, limit: Duration) -> RedisResult<Open> {
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let _one = self.connecting.lock().await;
        if let Some(open) = self.open() {
            return Ok(open);
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let lost = self.state().lost.clone();
        for address in &lost {
            let mut kill = cmd("CLIENT");
            kill.arg("KILL").arg("ADDR").arg(address);
            match kill.query_async::<()>(&mut connection).await {
                // It is gone already, or the server has been started again.
                Err(error) if error.to_string().contains("No such client") => {}
                done => done?,
            }
        }
        let info: String = cmd("CLIENT")
            .arg("INFO")
            .query_async(&mut connection)
            .await?;
        let address = info.split(' ').find_map(|part| part.strip_prefix("addr="));
        let (seconds, micros): (i64, i64) = cmd("TIME").query_async(&mut connection).await?;
        let mut state = self.state();
        state.lost.retain(|address| !lost.contains(address));
        let open = Open {
            connection,
            number: fastrand::u64(..),
            address: address.unwrap_or_default().to_owned(),
            ahead: seconds * 1000 + micros / 1000 - self.elapsed(),
        };
        state.open = Some(open.clone());
        Ok(open)
    }

    /// What comes of it within the limit, connecting included.
    pub(crate) async fn ask<T, F>(
        &self,
        limit: Duration,
        what: impl FnOnce(Open) -> F + Send,
    ) -> Result<T, CacheError>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
    {
        let mut used = None;
        let asked = async {
            let open = self.get(limit).await?;
            used = Some(open.clone());
            what(open).await
        };
        let answer = match unless(self.clock.sleep(limit), asked).await {
            Some(Err(error)) if error.is_timeout() => Err(CacheError::TookTooLong(limit)),
            Some(Err(error)) if error.is_io_error() => Err(CacheError::failed(error)),
            Some(answer) => return answer.map_err(CacheError::failed),
            None => Err(CacheError::TookTooLong(limit)),
        };
        // Nobody knows whether anything will come through it again.
        if let Some(open) = used {
            self.lose(&open);
        }
        answer
    }

    /// Nothing comes through it any more.
    pub(crate) fn lose(&self, open: &Open) {
        let mut state = self.state();
        if state
            .open
            .as_ref()
            .is_some_and(|now| now.number == open.number)
        {
            state.open = None;
            state.lost.push(open.address.clone());
        }
    }

    /// The server said that it is this late there, in milliseconds.
    pub(crate) fn hear(&self, open: &Open, server: i64) {
        let ahead = server - self.elapsed();
        if let Some(now) = &mut self.state().open
            && now.number == open.number
        {
            now.ahead = ahead;
        }
    }

    /// This moment by the server's clock, or a little earlier.
    pub(crate) fn there(&self, open: &Open, moment: Instant) -> i64 {
        let since = moment.saturating_duration_since(self.born);
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        since.saturating_add(open.ahead)
    }
}
