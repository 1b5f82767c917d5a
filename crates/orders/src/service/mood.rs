use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{HeaderMap, Request, http::request::Builder};
use rs_patterns::core::Clock;
use tokio::sync::Semaphore;

use crate::http::number;

/// What is wrong with a server: nothing, unless told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mood {
    /// Each answer takes so much longer.
    pub(crate) latency: Duration,
    /// Answers 500.
    pub(crate) fails: bool,
    /// Does what it is asked to, and closes the socket instead of answering.
    pub(crate) closes: bool,
    /// So many at once, and how long each takes; the others wait in line, as they do before a database.
    pub(crate) capacity: Option<(u32, Duration)>,
}

impl Mood {
    pub(crate) fn of_headers(headers: &HeaderMap) -> Self {
        let number = |name| number(headers, name);
        let time = |name| number(name).map(Duration::from_millis);
        let places = number("places").and_then(|places| u32::try_from(places).ok());
        Self {
            latency: time("latency-ms").unwrap_or_default(),
            fails: number("fails").is_some(),
            closes: number("closes").is_some(),
            capacity: places.zip(time("work-ms")),
        }
    }

    pub(crate) fn into_request(self) -> Builder {
        let millis = |time: Duration| time.as_millis().to_string();
        let mut request = Request::post("/mood").header("latency-ms", millis(self.latency));
        if self.fails {
            request = request.header("fails", "1");
        }
        if self.closes {
            request = request.header("closes", "1");
        }
        if let Some((places, work)) = self.capacity {
            request = request
                .header("places", places)
                .header("work-ms", millis(work));
        }
        request
    }
}

/// What becomes of a request.
pub(crate) enum Fate {
    Answer,
    Fail,
    Close,
}

/// The mood that a server is in.
#[derive(Default)]
pub(crate) struct Moods(Mutex<(Mood, Option<Arc<Semaphore>>)>);

impl Moods {
    pub(crate) fn set(&self, mood: Mood) {
        let line = mood
            .capacity
            .map(|(places, _)| Arc::new(Semaphore::new(places as usize)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (mood, line);
    }

    /// Lets a request meet the mood of the moment.
    pub(crate) async fn meet(&self) -> Fate {
        let (mood, line) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let clock = Clock::default();
        if let (Some(line), Some((_, work))) = (line, mood.capacity) {
            let _place = line.acquire().await;
            clock.sleep(work).await;
        }
        if !mood.latency.is_zero() {
            clock.sleep(mood.latency).await;
        }
        match mood {
            Mood { closes: true, .. } => Fate::Close,
            Mood { fails: true, .. } => Fate::Fail,
            _ => Fate::Answer,
        }
    }
}
