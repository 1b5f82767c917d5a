use std::{
    fmt,
    future::{Future, poll_fn},
    panic::resume_unwind,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use rs_core::{ConfigError, Name, config};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use super::{Places, periodic::Turns};
use crate::{
    IntoWorkerResult, Restart, Worker, WorkerConfig, WorkerContext, WorkerError, WorkerFuture,
    WorkerResult,
};

/// Where a [`queue`] takes its items from: the receiver of a channel, or anything else.
pub trait Source: Send + 'static {
    /// What it gives.
    type Item: Send + 'static;

    /// The next item, waiting for it; nothing when there will be none.
    ///
    /// # Cancel safety
    /// Dropping the future must not lose an item: it is dropped when the worker is to stop.
    fn next(&mut self) -> impl Future<Output = Option<Self::Item>> + Send;
}

impl<T: Send + 'static> Source for mpsc::Receiver<T> {
    type Item = T;

    fn next(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }
}

impl<T: Send + 'static> Source for mpsc::UnboundedReceiver<T> {
    type Item = T;

    fn next(&mut self) -> impl Future<Output = Option<T>> + Send {
        self.recv()
    }
}

/// A worker that handles what a queue gives: see [`queue`].
pub struct Queue<S, F> {
    name: Name,
    /// It stays when a run ends, and is there for the next.
    source: Arc<Mutex<S>>,
    handle: Arc<F>,
    lanes: u32,
    turns: Arc<Turns>,
}

/// A worker that handles one item after the other.
///
/// An item that fails is counted and announced, and the next follows; whatever should become of it, the
/// handler does. When it is told to stop, the item that it handles is finished, within the grace; when it
/// is drained, so is everything that is in the queue. It returns when the queue has ended.
///
/// ```
/// use rs_workers::{WorkerContext, queue};
/// use tokio::sync::mpsc;
/// # async fn send(_: String) -> std::io::Result<()> { Ok(()) }
///
/// let (outbox, mails) = mpsc::channel(100);
/// let mailer = queue("mailer", mails, |mail: String, _ctx: WorkerContext| send(mail)).with_lanes(4);
/// # let _ = (outbox, mailer);
/// ```
pub fn queue<S, F, Fut, R>(name: impl Into<Name>, source: S, handle: F) -> Queue<S, F>
where
    S: Source,
    F: Fn(S::Item, WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoWorkerResult + 'static,
{
    Queue {
        name: name.into(),
        source: Arc::new(Mutex::new(source)),
        handle: Arc::new(handle),
        lanes: 1,
        turns: Arc::default(),
    }
}

impl<S, F> Queue<S, F> {
    /// So many items are handled at once, each in a task.
    #[must_use]
    pub const fn with_lanes(mut self, lanes: u32) -> Self {
        self.lanes = lanes;
        self
    }

    /// An item waits for one of these places, which others share.
    #[must_use]
    pub fn within(self, places: &Places) -> Self {
        let places = Some(places.clone());
        self.turns(|turns| turns.places = places)
    }

    /// An item that takes longer than this is dropped, and has failed.
    #[must_use]
    pub fn with_limit(self, time: Duration) -> Self {
        self.turns(|turns| turns.limit = Some(time))
    }

    /// So many failures in a row on one lane, and the worker has failed: the supervisor decides.
    #[must_use]
    pub fn failing_after(self, failures: u32) -> Self {
        self.turns(|turns| turns.failing_after = Some(failures))
    }

    fn turns(mut self, change: impl FnOnce(&mut Turns)) -> Self {
        // Nobody else has them before it runs.
        if let Some(turns) = Arc::get_mut(&mut self.turns) {
            change(turns);
        }
        self
    }
}

impl<S, F, Fut, R> Worker for Queue<S, F>
where
    S: Source,
    F: Fn(S::Item, WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoWorkerResult + 'static,
{
    fn name(&self) -> Name {
        self.name
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        let lane = {
            let ctx = ctx.clone();
            let (source, handle) = (Arc::clone(&self.source), Arc::clone(&self.handle));
            let turns = Arc::clone(&self.turns);
            move || {
                let (source, handle) = (Arc::clone(&source), Arc::clone(&handle));
                work(ctx.clone(), source, handle, Arc::clone(&turns))
            }
        };
        if self.lanes == 1 {
            return Box::pin(lane());
        }
        let lanes = self.lanes;
        Box::pin(async move {
            let tasks: Vec<_> = (0..lanes).map(|_| ctx.spawn(lane())).collect();
            all(tasks).await
        })
    }

    fn config(&self) -> WorkerConfig {
        WorkerConfig::default().with_restart(Restart::Transient)
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::in_range("lanes", self.lanes, 1..=10_000)?;
        self.turns.check()
    }
}

async fn work<S, F, Fut, R>(
    ctx: WorkerContext,
    source: Arc<Mutex<S>>,
    handle: Arc<F>,
    turns: Arc<Turns>,
) -> WorkerResult
where
    S: Source,
    F: Fn(S::Item, WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
    R: IntoWorkerResult + 'static,
{
    let mut failures = 0;
    loop {
        ctx.pause_point().await;
        let Some(item) = take(&ctx, &source).await else {
            return Ok(());
        };
        let turn = async { handle(item, ctx.clone()).await.into_result() };
        turns.take_surely(&ctx, turn, &mut failures).await?;
    }
}

/// The next item; while it drains, only what is there already.
async fn take<S: Source>(ctx: &WorkerContext, source: &Mutex<S>) -> Option<S::Item> {
    if ctx.is_stopping() {
        return None;
    }
    let next = async { source.lock().await.next().await };
    if !ctx.is_draining() {
        if let Some(item) = ctx.unless_drained(next).await {
            return item;
        }
        // Told to drain or to stop while it waited.
        return Box::pin(take(ctx, source)).await;
    }
    // What is there is given at once; what has to be waited for is not there.
    let mut next = pin!(next);
    let look = poll_fn(|cx| match next.as_mut().poll(cx) {
        Poll::Ready(item) => Poll::Ready(item),
        Poll::Pending => Poll::Ready(None),
    });
    // A channel must not say that it has nothing only to let others run.
    tokio::task::unconstrained(look).await
}

/// The first failure of the tasks, or that all have ended.
async fn all(tasks: Vec<JoinHandle<WorkerResult>>) -> WorkerResult {
    let mut tasks = tasks;
    poll_fn(|cx| {
        let mut failed = None;
        tasks.retain_mut(|task| match Pin::new(task).poll(cx) {
            Poll::Pending => true,
            Poll::Ready(ended) => {
                if let Some(error) = failure(ended) {
                    failed.get_or_insert(error);
                }
                false
            }
        });
        match failed {
            Some(error) => Poll::Ready(Err(error)),
            None if tasks.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

fn failure(ended: Result<WorkerResult, tokio::task::JoinError>) -> Option<WorkerError> {
    match ended {
        Ok(result) => result.err(),
        Err(error) => match error.try_into_panic() {
            // As if the worker itself had panicked.
            Ok(payload) => resume_unwind(payload),
            Err(error) => Some(error.into()),
        },
    }
}

impl<S, F> fmt::Debug for Queue<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("name", &self.name)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}
