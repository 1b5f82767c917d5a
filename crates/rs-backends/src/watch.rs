use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_core::Stream;
use rs_core::Backoff;
use tokio::select;

use crate::{
    BackendError, InstanceSet, ServiceInstance, Standing,
    belief::Belief,
    filter::Keep,
    station::{Open, Station},
};

/// The instances of a service as they change: a stream of complete sets.
///
/// - The first set comes when the registry has answered for the first time. Until then nothing comes, and
///   [`Watch::trouble`] says why.
/// - Then a set comes whenever the instances or the [`Standing`] of what is known change. Sets that nobody
///   took are replaced by newer ones, never queued.
/// - The stream ends when the backend is closed, and never before.
///
/// It does its work while it is polled; there is no task behind it. `watch.next().await` with the
/// `StreamExt` of your choice, or [`Watch::changed`] without any.
///
/// # Cancel safety
/// A set that was not handed out is handed out next time.
pub struct Watch {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    view: Arc<View>,
    ended: bool,
    only: Option<Only>,
}

/// What a filtered watch shows, and what it showed last.
struct Only {
    keep: Keep,
    shown: Option<InstanceSet>,
}

/// What the work leaves for whoever holds the watch.
#[derive(Debug, Default)]
struct View(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    news: Option<InstanceSet>,
    last: Option<InstanceSet>,
    trouble: Option<BackendError>,
}

/// What a watcher goes by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WatchRules {
    pub(crate) grace: Duration,
    pub(crate) reconnect: Backoff,
}

/// Where a watch has its answers from. The first is asked for at once; each further one may wait until
/// something has changed, but not for ever: an answer also says that what is known still holds.
#[async_trait]
pub(crate) trait Source: Send + 'static {
    async fn next(&mut self) -> Result<Answer, BackendError>;
}

#[async_trait]
impl Source for Box<dyn Source> {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        (**self).next().await
    }
}

pub(crate) enum Answer {
    /// These are all.
    All(Vec<Arc<ServiceInstance>>),
    /// As it was.
    Same,
}

impl Watch {
    pub(crate) fn new(
        station: Arc<Station>,
        open: Open,
        service: &str,
        rules: WatchRules,
        source: impl Source,
    ) -> Self {
        let view = Arc::new(View::default());
        let belief = Belief::new(service.into(), rules.grace);
        let work = Work {
            station,
            view: Arc::clone(&view),
            belief,
        };
        Self {
            work: Box::pin(work.go_on(open, rules.reconnect, source)),
            view,
            ended: false,
            only: None,
        }
    }

    /// The same watch with only some of the instances.
    pub(crate) fn only(mut self, keep: Keep) -> Self {
        let keep = match self.only.take() {
            None => keep,
            Some(Only { keep: before, .. }) => {
                Arc::new(move |instance: &ServiceInstance| before(instance) && keep(instance))
            }
        };
        self.only = Some(Only { keep, shown: None });
        self
    }

    /// Waits for the next set; none when the backend is closed.
    ///
    /// # Cancel safety
    /// A set that was not handed out is handed out next time.
    pub async fn changed(&mut self) -> Option<InstanceSet> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// What is believed now, with the moment of its last confirmation, which is newer than that of the set
    /// that was handed out. Confirmations are only heard while the watch is polled.
    #[must_use]
    pub fn latest(&self) -> Option<InstanceSet> {
        let last = self.view.lock().last.clone()?;
        Some(match &self.only {
            None => last,
            Some(only) => last.only(|instance| (only.keep)(instance)),
        })
    }

    /// How long ago the registry said so.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.view.lock().last.as_ref().map(|set| set.age(now))
    }

    /// Why the registry cannot be asked at the moment.
    #[must_use]
    pub fn trouble(&self) -> Option<BackendError> {
        self.view.lock().trouble.clone()
    }
}

impl Only {
    /// What is to be seen of this, if that is new.
    fn show(&mut self, set: &InstanceSet) -> Option<InstanceSet> {
        let set = set.only(|instance| (self.keep)(instance));
        let is_new = self.shown.as_ref().is_none_or(|shown| {
            shown.instances() != set.instances() || shown.standing() != set.standing()
        });
        self.shown = Some(set.clone());
        is_new.then_some(set)
    }
}

impl Stream for Watch {
    type Item = InstanceSet;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        let this = self.get_mut();
        if !this.ended {
            this.ended = this.work.as_mut().poll(context).is_ready();
        }
        let news = this.view.lock().news.take();
        let news = match &mut this.only {
            None => news,
            Some(only) => news.and_then(|set| only.show(&set)),
        };
        match (news, this.ended) {
            (Some(set), _) => Poll::Ready(Some(set)),
            (None, true) => Poll::Ready(None),
            (None, false) => Poll::Pending,
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.view.lock();
        f.debug_struct("Watch")
            .field("latest", &seen.last)
            .field("trouble", &seen.trouble)
            .field("ended", &self.ended)
            .finish()
    }
}

impl View {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Work {
    station: Arc<Station>,
    view: Arc<View>,
    belief: Belief,
}

impl Work {
    async fn go_on(mut self, mut open: Open, reconnect: Backoff, mut source: impl Source) {
        select! {
            biased;
            () = open.closed() => {}
            () = self.listen(&reconnect, &mut source) => {}
        }
    }

    async fn listen(&mut self, reconnect: &Backoff, source: &mut impl Source) {
        let mut delays = reconnect.delays();
        loop {
            match self.ask(source).await {
                Ok(answer) => {
                    delays = reconnect.delays();
                    self.hear(answer);
                }
                Err(BackendError::Closed) => return,
                Err(error) => {
                    self.lose(error);
                    let wait = delays.next().unwrap_or_else(|| reconnect.longest());
                    self.station.clock().sleep(wait).await;
                }
            }
        }
    }

    /// The next answer; meanwhile the grace may end.
    async fn ask(&mut self, source: &mut impl Source) -> Result<Answer, BackendError> {
        let clock = self.station.clock().clone();
        let mut answer = source.next();
        loop {
            let Some(due) = self.belief.due() else {
                return answer.await;
            };
            select! {
                biased;
                answer = &mut answer => return answer,
                () = clock.sleep_until(due) => {
                    self.belief.tick(clock.now());
                    self.show();
                }
            }
        }
    }

    fn hear(&mut self, answer: Answer) {
        let now = self.station.clock().now();
        self.station.contacted(now);
        match answer {
            Answer::All(instances) => {
                let twice = self.belief.hear(now, instances);
                self.station.skipped(twice);
            }
            Answer::Same => self.belief.same(now),
        }
        self.view.lock().trouble = None;
        self.show();
    }

    fn lose(&mut self, error: BackendError) {
        self.station.lost(&error);
        self.belief.lose(error.clone());
        self.view.lock().trouble = Some(error);
        self.show();
    }

    fn show(&mut self) {
        let news = self.belief.take_news();
        if let Some(set) = &news {
            self.station
                .published(matches!(set.standing(), Standing::Doubted));
        }
        let mut seen = self.view.lock();
        seen.last = self.belief.set();
        if news.is_some() {
            seen.news = news;
        }
    }
}
