use std::{
    future,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::select;

use super::{
    merged::Merged,
    registry::{Fresh, KubernetesRegistry},
    wire::{self, Event},
};
use crate::{
    BackendError,
    http::Flow,
    station::Station,
    watch::{Answer, Source},
};

/// Watches are opened no more often than this.
const PACE: Duration = Duration::from_secs(1);

/// A watch as the API has it: a list, and what happens from there on.
pub(super) struct Watching {
    registry: Arc<KubernetesRegistry>,
    station: Arc<Station>,
    service: String,
    slices: Merged,
    position: Position,
    open: Option<Open>,
    opened: Option<Instant>,
}

/// From where on things are asked for.
enum Position {
    /// Everything, and so new.
    All(Fresh),
    /// What is known is true at this version.
    At(String),
}

/// A watch that is open.
struct Open {
    flow: Flow,
    /// The server ends it before this.
    until: Instant,
    limit: Duration,
    /// Whether it has said anything at all.
    spoke: bool,
}

/// What a line of a watch did.
enum Heard {
    Changed,
    Same,
    /// What is known cannot be continued; so new must be what replaces it.
    Lost(Fresh),
}

impl Watching {
    pub(super) fn new(
        registry: Arc<KubernetesRegistry>,
        station: Arc<Station>,
        service: &str,
    ) -> Self {
        Self {
            registry,
            station,
            service: service.to_owned(),
            slices: Merged::default(),
            position: Position::All(Fresh::Any),
            open: None,
            opened: None,
        }
    }

    async fn step(&mut self) -> Result<Answer, BackendError> {
        loop {
            let version = match &self.position {
                Position::All(fresh) => return self.list(fresh.clone()).await,
                Position::At(version) => version.clone(),
            };
            if self.open.is_none() && !self.follow(&version).await? {
                self.lose(Fresh::Since(version));
                continue;
            }
            let Some(line) = self.line().await? else {
                // The server ends each watch after a while. One that said nothing at all may have begun
                // at a version that is yet to come, in a cluster that was restored from a backup.
                if self.open.take().is_some_and(|open| open.spoke) {
                    return Ok(Answer::Same);
                }
                self.lose(Fresh::Now);
                continue;
            };
            if let Some(answer) = self.hear_all(line).await? {
                return Ok(answer);
            }
        }
    }

    /// What is known cannot be continued.
    fn lose(&mut self, fresh: Fresh) {
        (self.position, self.open) = (Position::All(fresh), None);
    }

    /// Everything, in place of what was known.
    async fn list(&mut self, fresh: Fresh) -> Result<Answer, BackendError> {
        let limit = self.registry.config().rules.timeout;
        // Should this fail: a server waits in vain for a version that is yet to come, and then says so.
        self.lose(Fresh::Now);
        let list = self.registry.all(&self.service, &fresh);
        let list = self.in_time(limit, list).await?;
        let mut slices = Merged::default();
        let config = self.registry.config();
        let mut skipped = 0;
        for item in list.items {
            skipped += slices.put(&self.service, config, item);
        }
        self.station.skipped(skipped);
        let instances = slices.instances()?;
        self.slices = slices;
        self.position = Position::At(list.version);
        Ok(Answer::All(instances))
    }

    /// Opens a watch; whether the server still knows the version.
    async fn follow(&mut self, version: &str) -> Result<bool, BackendError> {
        let clock = self.station.clock();
        let since = self
            .opened
            .map(|last| clock.now().saturating_duration_since(last));
        if let Some(left) = since.and_then(|since| PACE.checked_sub(since)) {
            clock.sleep(self.station.spread(left)).await;
        }
        let config = self.registry.config();
        let timeout = config.rules.timeout;
        let wait = self.station.spread(config.wait).max(Duration::from_secs(1));
        let follow = self.registry.follow(&self.service, version, wait.as_secs());
        let flow = self.in_time(timeout, follow).await?;
        let now = self.station.clock().now();
        self.opened = Some(now);
        let limit = wait + timeout;
        self.open = flow.map(|flow| Open {
            flow,
            until: now + limit,
            limit,
            spoke: false,
        });
        Ok(self.open.is_some())
    }

    /// The next line; none at the end.
    async fn line(&mut self) -> Result<Option<Bytes>, BackendError> {
        let Some(open) = &mut self.open else {
            return Ok(None);
        };
        select! {
            biased;
            line = open.flow.line() => line,
            () = self.station.clock().sleep_until(open.until) => {
                Err(BackendError::TimedOut(open.limit))
            }
        }
    }

    /// Takes this line and those that are here already: many changes at once are one answer.
    async fn hear_all(&mut self, first: Bytes) -> Result<Option<Answer>, BackendError> {
        let (mut line, mut changed) = (first, false);
        loop {
            match self.hear(&line)? {
                Heard::Changed => changed = true,
                Heard::Same => {}
                Heard::Lost(fresh) => {
                    self.lose(fresh);
                    return Ok(None);
                }
            }
            let Some(open) = &mut self.open else { break };
            open.spoke = true;
            let more = select! {
                biased;
                more = open.flow.line() => more?,
                () = future::ready(()) => None,
            };
            let Some(more) = more else { break };
            line = more;
        }
        Ok(Some(match changed {
            true => Answer::All(self.slices.instances()?),
            false => Answer::Same,
        }))
    }

    fn hear(&mut self, line: &[u8]) -> Result<Heard, BackendError> {
        let (version, heard) = match wire::event(line)? {
            Event::Is { version, object } => {
                let config = self.registry.config();
                let skipped = self.slices.put(&self.service, config, object);
                self.station.skipped(skipped);
                (version, Heard::Changed)
            }
            Event::Gone { version, object } => {
                self.slices.remove(&object);
                (version, Heard::Changed)
            }
            Event::Bookmark { version } => (version, Heard::Same),
            Event::Expired => return Ok(Heard::Lost(self.since())),
            Event::Failed(why) => return Err(BackendError::refused(why)),
            Event::Unknown => return Ok(Heard::Same),
        };
        if let Position::At(before) = &self.position
            && wire::went_back(before, &version)
        {
            return Ok(Heard::Lost(Fresh::Now));
        }
        self.position = Position::At(version);
        Ok(heard)
    }

    /// Not older than what is known.
    fn since(&self) -> Fresh {
        match &self.position {
            Position::At(version) => Fresh::Since(version.clone()),
            Position::All(fresh) => fresh.clone(),
        }
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        select! {
            biased;
            done = work => done,
            () = self.station.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        }
    }
}

#[async_trait]
impl Source for Watching {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        let answer = self.step().await;
        if answer.is_err() {
            // What happened meanwhile nobody knows.
            self.lose(self.since());
        }
        answer
    }
}
