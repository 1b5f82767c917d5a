use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use futures_core::{FusedStream, Stream};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use rs_core::{Call, Failure, TimedOut};

use super::watch::Watch;
use crate::Timeout;

pin_project! {
    /// A stream that ends with a failure when it has gone silent; see
    /// [`IdleTimeout::stream`](crate::IdleTimeout::stream).
    #[must_use = "streams do nothing unless polled"]
    pub struct Watched<S> {
        #[pin]
        source: Source<S>,
        watch: Watch,
        // Since when somebody waits for the next item.
        waiting: Option<Instant>,
    }
}

pin_project! {
    #[project = SourceProjection]
    enum Source<S> {
        Open { #[pin] stream: S },
        Over,
    }
}

impl<S> Watched<S> {
    pub(super) const fn new(timeout: Timeout, call: Call, stream: S) -> Self {
        Self {
            source: Source::Open { stream },
            watch: Watch::new(timeout, call),
            waiting: None,
        }
    }

    /// The next item of whatever kind, or that none came.
    fn poll_item<T>(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<Option<T>>,
    ) -> Poll<Option<Result<T, TimedOut>>> {
        let mut this = self.project();
        let SourceProjection::Open { stream } = this.source.as_mut().project() else {
            return Poll::Ready(None);
        };
        match poll(stream, context) {
            Poll::Ready(Some(item)) => {
                *this.waiting = None;
                Poll::Ready(Some(Ok(item)))
            }
            Poll::Ready(None) => {
                this.source.set(Source::Over);
                Poll::Ready(None)
            }
            Poll::Pending => {
                let since = match *this.waiting {
                    Some(since) => since,
                    None => *this.waiting.insert(this.watch.now()),
                };
                let what = ready!(this.watch.poll_over(since, context));
                this.source.set(Source::Over);
                Poll::Ready(Some(Err(what)))
            }
        }
    }

    const fn open(&self) -> Option<&S> {
        match &self.source {
            Source::Open { stream } => Some(stream),
            Source::Over => None,
        }
    }
}

impl<S: Stream> Stream for Watched<S> {
    type Item = Result<S::Item, TimedOut>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(context, S::poll_next)
    }

    /// It may end sooner, and then with one item more.
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.open().map(Stream::size_hint) {
            Some((_, most)) => (0, most.and_then(|most| most.checked_add(1))),
            None => (0, Some(0)),
        }
    }
}

impl<S: Stream> FusedStream for Watched<S> {
    fn is_terminated(&self) -> bool {
        self.open().is_none()
    }
}

impl<S> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("call", self.watch.call())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A stream whose items may be errors, or a body, that ends with a failure when it has gone silent; see
    /// [`IdleTimeout::try_stream`](crate::IdleTimeout::try_stream).
    #[must_use = "streams do nothing unless polled"]
    pub struct TryWatched<S> {
        #[pin]
        watched: Watched<S>,
    }
}

impl<S> TryWatched<S> {
    pub(super) const fn new(watched: Watched<S>) -> Self {
        Self { watched }
    }

    fn flatten<T, E>(call: &Call, item: Result<Result<T, E>, TimedOut>) -> Result<T, Failure<E>> {
        item?.map_err(|error| Failure::Operation {
            error,
            attempts: call.attempt(),
        })
    }
}

impl<T, E, S: Stream<Item = Result<T, E>>> Stream for TryWatched<S> {
    type Item = Result<T, Failure<E>>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let item = ready!(this.watched.as_mut().poll_next(context));
        Poll::Ready(item.map(|item| Self::flatten(this.watched.watch.call(), item)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.watched.size_hint()
    }
}

impl<T, E, S: Stream<Item = Result<T, E>>> FusedStream for TryWatched<S> {
    fn is_terminated(&self) -> bool {
        self.watched.is_terminated()
    }
}

impl<B: Body> Body for TryWatched<B> {
    type Data = B::Data;
    type Error = Failure<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = this.watched.as_mut().poll_item(context, B::poll_frame);
        let frame = ready!(frame);
        Poll::Ready(frame.map(|frame| Self::flatten(this.watched.watch.call(), frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.watched.open().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let open = self.watched.open();
        open.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<S> fmt::Debug for TryWatched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryWatched")
            .field("call", self.watched.watch.call())
            .finish_non_exhaustive()
    }
}
