use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::select;

use super::registry::{DnsRegistry, Resolved};
use crate::{
    BackendError,
    station::Station,
    watch::{Answer, Source},
};

/// How long an answer holds that does not say so.
const UNSAID: Duration = Duration::from_secs(5);

/// A watch by asking again when what is known is over.
pub(super) struct Looking {
    registry: Arc<DnsRegistry>,
    station: Arc<Station>,
    service: String,
    wait: Option<Duration>,
}

impl Looking {
    pub(super) fn new(registry: Arc<DnsRegistry>, station: Arc<Station>, service: &str) -> Self {
        Self {
            registry,
            station,
            service: service.to_owned(),
            wait: None,
        }
    }

    async fn resolve(&self) -> Result<Resolved, BackendError> {
        let limit = self.registry.config().rules.timeout;
        select! {
            biased;
            resolved = self.registry.resolve(&self.service) => resolved,
            () = self.station.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        }
    }
}

#[async_trait]
impl Source for Looking {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        if let Some(wait) = self.wait.take() {
            self.station.clock().sleep(wait).await;
        }
        let Resolved { listed, fresh } = self.resolve().await?;
        let (least, most) = (self.registry.config().least, self.registry.config().most);
        self.wait = Some(
            self.station
                .spread(fresh.unwrap_or(UNSAID).clamp(least, most)),
        );
        self.station.skipped(listed.skipped);
        let all = listed.instances.into_iter().map(Arc::new).collect();
        Ok(Answer::All(all))
    }
}
