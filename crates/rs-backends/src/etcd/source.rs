use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::select;

use super::{
    registry::EtcdRegistry,
    wire::{self, Change, Range, Said, Watched},
};
use crate::{
    BackendError, ServiceInstance,
    http::Flow,
    station::Station,
    watch::{Answer, Source},
};

/// A watch: a list, and what happens from the next revision on.
pub(super) struct Listening {
    registry: Arc<EtcdRegistry>,
    station: Arc<Station>,
    service: String,
    known: BTreeMap<String, Arc<ServiceInstance>>,
    /// What is known is true at this one.
    at: Option<At>,
    flow: Option<Flow>,
    /// How many keys the last list had that were not understood.
    strange: u64,
    /// What was heard since the last answer has changed something.
    changed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct At {
    cluster: u64,
    revision: i64,
}

impl Listening {
    pub(super) fn new(registry: Arc<EtcdRegistry>, station: Arc<Station>, service: &str) -> Self {
        Self {
            registry,
            station,
            service: service.to_owned(),
            known: BTreeMap::new(),
            at: None,
            flow: None,
            strange: 0,
            changed: false,
        }
    }

    async fn step(&mut self) -> Result<Answer, BackendError> {
        loop {
            let Some(at) = self.at else {
                let range = self.in_time(self.registry.range(&self.service)).await?;
                return Ok(self.replace(range));
            };
            let Some(flow) = &mut self.flow else {
                let from = at.revision.saturating_add(1);
                let follow = self.registry.follow(&self.service, from);
                self.flow = Some(self.in_time(follow).await?);
                continue;
            };
            let wait = self.station.spread(self.registry.config().wait);
            let line = select! {
                biased;
                line = flow.line() => line?,
                () = self.station.clock().sleep(wait) => return self.look().await,
            };
            // A watch is never over: a member that ends it is about to leave.
            let Some(line) = line else {
                return Err(BackendError::unreachable("etcd ended the watch"));
            };
            let said = wire::read_watch(&self.service, &line)?;
            if let Some(answer) = self.hear(at, said)? {
                return Ok(answer);
            }
        }
    }

    /// A watch may be silent because there is nothing to say, or because nobody listens at the other end.
    /// Only when something has changed it asks for all.
    async fn look(&mut self) -> Result<Answer, BackendError> {
        if let Some(at) = self.at {
            let glance = self.registry.glance(&self.service, at.revision);
            let seen = self.in_time(glance).await?;
            let known = self.known.len() as u64 + self.strange;
            let same_place = seen.cluster == at.cluster && seen.revision >= at.revision;
            if same_place && !seen.found && seen.count == known {
                return Ok(Answer::Same);
            }
        }
        (self.at, self.flow) = (None, None);
        let range = self.in_time(self.registry.range(&self.service)).await?;
        Ok(self.replace(range))
    }

    fn replace(&mut self, range: Range) -> Answer {
        self.station.skipped(range.skipped);
        self.strange = range.skipped;
        self.changed = false;
        let known = range.known.into_iter();
        self.known = known
            .map(|(key, instance)| (key, Arc::new(instance)))
            .collect();
        self.at = Some(At {
            cluster: range.cluster,
            revision: range.revision,
        });
        self.all()
    }

    fn all(&self) -> Answer {
        Answer::All(self.known.values().map(Arc::clone).collect())
    }

    /// What follows from this, if anything does.
    fn hear(&mut self, at: At, said: Watched) -> Result<Option<Answer>, BackendError> {
        match said.what {
            Said::Compacted => {
                (self.at, self.flow) = (None, None);
                return Ok(None);
            }
            Said::Cancelled(why) => {
                // It may be the token, which only the beginning of a watch depends on.
                self.registry.session().forget();
                return Err(BackendError::refused(why));
            }
            Said::Failed(why) => return Err(BackendError::unreachable(why)),
            Said::Begun | Said::Changes { .. } => {}
        }
        if said.cluster != at.cluster || said.revision < at.revision {
            // Another one, or an older one: it would be silent until it has come so far.
            (self.at, self.flow) = (None, None);
            return Ok(None);
        }
        let Said::Changes { changes, more } = said.what else {
            return Ok(Some(Answer::Same));
        };
        for (key, revision, change) in changes {
            if revision <= at.revision {
                continue;
            }
            self.changed = true;
            match change {
                Change::Put(instance) => {
                    self.known.insert(key, Arc::new(instance));
                }
                Change::Gone => {
                    self.known.remove(&key);
                }
                Change::Skipped => {
                    self.station.skipped(1);
                    self.known.remove(&key);
                }
            }
        }
        if more {
            // The rest of one revision: half of it was never true.
            return Ok(None);
        }
        self.at = Some(At {
            revision: said.revision,
            ..at
        });
        let changed = mem::take(&mut self.changed);
        Ok(Some(if changed { self.all() } else { Answer::Same }))
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let limit: Duration = self.registry.config().rules.timeout;
        select! {
            biased;
            done = work => done,
            () = self.station.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        }
    }
}

#[async_trait]
impl Source for Listening {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        let answer = self.step().await;
        if answer.is_err() {
            // What happens meanwhile nobody knows: everything is asked for.
            if self.flow.take().is_some() {
                self.registry.session().turn_away();
            }
            self.at = None;
        }
        answer
    }
}
