use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
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
    set::Shown,
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
    behind: Box<dyn Watching>,
    ended: bool,
    only: Option<Only>,
}

/// What is behind a watch: a registry, or other watches.
pub(crate) trait Watching: Send {
    /// A set that is new, or nothing when there will be no more.
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<InstanceSet>>;

    fn latest(&self) -> Option<InstanceSet>;

    fn trouble(&self) -> Option<BackendError>;
}

/// What a filtered watch shows, and what it showed last.
struct Only {
    keep: Keep,
    shown: Shown,
}

/// A registry that is listened to.
struct Listening {
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    view: Arc<View>,
    ended: bool,
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

    /// The rules in force now, if they may change.
    fn rules(&self) -> Option<WatchRules> {
        None
    }
}

#[async_trait]
impl Source for Box<dyn Source> {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        (**self).next().await
    }

    fn rules(&self) -> Option<WatchRules> {
        (**self).rules()
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
        Self::by(Listening {
            work: Box::pin(work.go_on(open, rules.reconnect, source)),
            view,
            ended: false,
        })
    }

    /// A watch that hands out these sets, for backends of your own that are told of changes. One that is
    /// no news, because the instances and the kind of standing are those of the one before, is left out;
    /// it counts as a confirmation. The stream ends when the backend is closed, and never before.
    ///
    /// ```
    /// use rs_backends::{InstanceSet, ServiceInstance, Watch};
    /// # struct Two(Vec<InstanceSet>);
    /// # impl futures_core::Stream for Two {
    /// #     type Item = InstanceSet;
    /// #     fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<InstanceSet>> {
    /// #         std::task::Poll::Ready(self.0.pop())
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let now = rs_core::Clock::default().now();
    /// let only = ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?;
    /// let set = InstanceSet::new("payments", [only], now);
    /// # let stream = Two(vec![set.clone(), set]); // the same twice
    /// let mut watch = Watch::from_sets(stream);
    /// assert_eq!(watch.changed().await.expect("the first set").len(), 1);
    /// assert!(watch.changed().await.is_none());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn from_sets(sets: impl Stream<Item = InstanceSet> + Send + 'static) -> Self {
        Self::by(Sets {
            sets: Box::pin(sets),
            shown: Shown::default(),
        })
    }

    pub(crate) fn by(behind: impl Watching + 'static) -> Self {
        Self {
            behind: Box::new(behind),
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
        let shown = Shown::default();
        self.only = Some(Only { keep, shown });
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
        let last = self.behind.latest()?;
        Some(match &self.only {
            None => last,
            Some(only) => last.only(|instance| (only.keep)(instance)),
        })
    }

    /// How long ago the registry said so.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.behind.latest().map(|set| set.age(now))
    }

    /// Why the registry cannot be asked at the moment.
    #[must_use]
    pub fn trouble(&self) -> Option<BackendError> {
        self.behind.trouble()
    }
}

impl Only {
    /// What is to be seen of this, if that is new.
    fn show(&mut self, set: &InstanceSet) -> Option<InstanceSet> {
        let set = set.only(|instance| (self.keep)(instance));
        self.shown.news(set)
    }
}

impl Stream for Watch {
    type Item = InstanceSet;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        let this = self.get_mut();
        while !this.ended {
            let Some(set) = ready!(this.behind.poll_news(context)) else {
                this.ended = true;
                break;
            };
            let shown = match &mut this.only {
                None => Some(set),
                Some(only) => only.show(&set),
            };
            if shown.is_some() {
                return Poll::Ready(shown);
            }
        }
        Poll::Ready(None)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("latest", &self.latest())
            .field("trouble", &self.trouble())
            .field("ended", &self.ended)
            .finish()
    }
}

impl Watching for Listening {
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        if !self.ended {
            self.ended = self.work.as_mut().poll(context).is_ready();
        }
        match (self.view.lock().news.take(), self.ended) {
            (Some(set), _) => Poll::Ready(Some(set)),
            (None, true) => Poll::Ready(None),
            (None, false) => Poll::Pending,
        }
    }

    fn latest(&self) -> Option<InstanceSet> {
        self.view.lock().last.clone()
    }

    fn trouble(&self) -> Option<BackendError> {
        self.view.lock().trouble.clone()
    }
}

/// Sets that somebody else makes.
struct Sets {
    sets: Pin<Box<dyn Stream<Item = InstanceSet> + Send>>,
    shown: Shown,
}

impl Watching for Sets {
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        while let Some(set) = ready!(self.sets.as_mut().poll_next(context)) {
            let news = self.shown.news(set);
            if news.is_some() {
                return Poll::Ready(news);
            }
        }
        Poll::Ready(None)
    }

    fn latest(&self) -> Option<InstanceSet> {
        self.shown.last().cloned()
    }

    fn trouble(&self) -> Option<BackendError> {
        match self.shown.last()?.standing() {
            Standing::Kept(why) => Some(why.clone()),
            _ => None,
        }
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
            () = self.listen(reconnect, &mut source) => {}
        }
    }

    async fn listen(&mut self, mut reconnect: Backoff, source: &mut impl Source) {
        let mut delays = reconnect.delays();
        loop {
            let answer = self.ask(source).await;
            if let Some(rules) = source.rules() {
                self.belief.go_by(rules.grace);
                if rules.reconnect != reconnect {
                    reconnect = rules.reconnect;
                    delays = reconnect.delays();
                }
            }
            match answer {
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
