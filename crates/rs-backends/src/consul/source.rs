use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rs_core::hash;
use tokio::select;

use super::{registry::ConsulRegistry, wire};
use crate::{
    BackendError,
    http::Reply,
    station::Station,
    watch::{Answer, Source},
};

/// A watch by blocking queries.
pub(super) struct Blocking {
    registry: Arc<ConsulRegistry>,
    station: Arc<Station>,
    service: String,
    index: Index,
    pace: Pace,
    /// Of the last answer, which would be larger than what it says.
    last: Option<u64>,
}

impl Blocking {
    pub(super) fn new(registry: Arc<ConsulRegistry>, station: Arc<Station>, service: &str) -> Self {
        Self {
            registry,
            station,
            service: service.to_owned(),
            index: Index::default(),
            pace: Pace::default(),
            last: None,
        }
    }

    async fn ask(&self) -> Result<Reply, BackendError> {
        let config = self.registry.config();
        let since = self
            .index
            .known()
            .map(|index| (index, self.station.spread(config.wait)));
        // The agent adds up to a sixteenth.
        let wait = since.map_or(Duration::ZERO, |(_, wait)| wait + wait / 16);
        let limit = wait + config.rules.timeout;
        select! {
            biased;
            reply = self.registry.query(&self.service, since) => reply,
            () = self.station.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        }
    }

    fn read(&mut self, reply: Reply) -> Result<Answer, BackendError> {
        let index = reply.headers.get("x-consul-index");
        let index = index.and_then(|index| index.to_str().ok()?.parse().ok());
        let hash = Some(hash::stable(&reply.body));
        if self.index.heard(index) && hash == self.last {
            return Ok(Answer::Same);
        }
        let listed = wire::read(&self.service, &reply.body)?;
        self.station.skipped(listed.skipped);
        self.last = hash;
        let all = listed.instances.into_iter().map(Arc::new).collect();
        Ok(Answer::All(all))
    }
}

#[async_trait]
impl Source for Blocking {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        let now = self.station.clock().now();
        if let Some(wait) = self.pace.wait(now) {
            self.station.clock().sleep(wait).await;
        }
        let reply = self.ask().await;
        let answer = reply.and_then(|reply| self.read(reply));
        if answer.is_err() {
            // What happened meanwhile nobody knows: an index of before may mean something else now.
            self.index = Index::default();
        }
        answer
    }
}

/// From where on changes are asked for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Index(Option<u64>);

impl Index {
    pub(super) const fn known(self) -> Option<u64> {
        self.0
    }

    /// An answer had this one; whether it continues what was known.
    pub(super) fn heard(&mut self, index: Option<u64>) -> bool {
        let before = self.0;
        self.0 = match (before, index) {
            // Without one there is nothing to wait for, and zero would not wait.
            (_, None) => None,
            (Some(before), Some(index)) if index < before => None,
            (_, Some(index)) => Some(index.max(1)),
        };
        before.is_some() && self.0.is_some()
    }
}

/// Keeps an agent that answers at once, over and over, from being asked over and over.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    quick: u32,
}

impl Pace {
    const LEAST: Duration = Duration::from_millis(50);
    const BURST: u32 = 3;

    /// How long to wait before asking now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        let left = since.and_then(|since| Self::LEAST.checked_sub(since));
        self.quick = if left.is_some() {
            self.quick.saturating_add(1)
        } else {
            0
        };
        let wait = left.filter(|_| self.quick > Self::BURST);
        self.last = Some(now + wait.unwrap_or_default());
        wait
    }
}
