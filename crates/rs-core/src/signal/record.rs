use std::{fmt, sync::Arc, time::Instant};

use super::SignalKind;
use crate::{Call, CallId, Correlation, Evidence, Mandate, Name, Rejection};

/// One of the rare, important events: a state changed, a worker restarted, a stage was passed.
///
/// It carries the numbers that caused it, and allocates nothing unless it quotes a mandate or a text.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a signal is heard once it is recorded"]
pub struct Signal {
    kind: &'static SignalKind,
    source: Name,
    evidence: [Option<Evidence>; Signal::MAX_EVIDENCE],
    call: Option<CallId>,
    correlation: Option<Correlation>,
    generation: u64,
    mandate: Option<Arc<Mandate>>,
    note: Option<Arc<str>>,
}

impl Signal {
    /// How many numbers a signal carries at most.
    pub const MAX_EVIDENCE: usize = 4;

    pub(super) const fn new(kind: &'static SignalKind, source: Name) -> Self {
        Self {
            kind,
            source,
            evidence: [None; Self::MAX_EVIDENCE],
            call: None,
            correlation: None,
            generation: 0,
            mandate: None,
            note: None,
        }
    }

    /// The same signal with one more number; beyond [`Signal::MAX_EVIDENCE`] it is left out.
    pub fn with(mut self, evidence: Evidence) -> Self {
        if let Some(free) = self.evidence.iter_mut().find(|place| place.is_none()) {
            *free = Some(evidence);
        }
        self
    }

    /// The same signal, caused by this call.
    pub const fn during(mut self, call: &Call) -> Self {
        self.call = Some(call.id());
        self.correlation = call.correlation();
        self
    }

    /// The same signal, with what a rejection observed, in the rejection's generation.
    pub fn rejecting(self, rejection: &Rejection) -> Self {
        let generation = rejection.generation();
        let signal = match (rejection.reason().measure(), rejection.observed()) {
            (Some(measure), Some(observed)) => self.with(measure.at(observed)),
            _ => self,
        };
        signal.in_generation(generation)
    }

    /// The same signal, about this generation of the state.
    pub const fn in_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The same signal, by order of somebody.
    pub fn by(mut self, mandate: Arc<Mandate>) -> Self {
        self.mandate = Some(mandate);
        self
    }

    /// The same signal with a text, such as the message of a panic.
    pub fn noting(mut self, note: impl Into<Arc<str>>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// What happened.
    #[must_use]
    pub const fn kind(&self) -> &'static SignalKind {
        self.kind
    }

    /// The instance that it happened to.
    #[must_use]
    pub const fn source(&self) -> Name {
        self.source
    }

    /// The numbers that caused it.
    pub fn evidence(&self) -> impl Iterator<Item = Evidence> {
        self.evidence.iter().flatten().copied()
    }

    /// The call that caused it.
    #[must_use]
    pub const fn call(&self) -> Option<CallId> {
        self.call
    }

    /// The request that the call belongs to.
    #[must_use]
    pub const fn correlation(&self) -> Option<Correlation> {
        self.correlation
    }

    /// The generation of the state.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// By whose order, and why.
    #[must_use]
    pub fn mandate(&self) -> Option<&Mandate> {
        self.mandate.as_deref()
    }

    /// The text, such as the message of a panic.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    fn number(&self, measure: &str) -> Option<Evidence> {
        self.evidence()
            .find(|evidence| evidence.measure().name() == measure)
    }

    fn write_words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.kind.words();
        while let Some((before, measure, after)) = split_braces(rest) {
            f.write_str(before)?;
            match self.number(measure) {
                Some(evidence) => write!(f, "{evidence}")?,
                None => f.write_str("?")?,
            }
            rest = after;
        }
        f.write_str(rest)
    }
}

fn split_braces(words: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = words.split_once('{')?;
    let (measure, after) = rest.split_once('}')?;
    Some((before, measure, after))
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.kind.policy(), self.source)?;
        self.write_words(f)?;
        if let Some(note) = &self.note {
            write!(f, ": {note}")?;
        }
        if let Some(mandate) = &self.mandate {
            write!(f, ", {mandate}")?;
        }
        if let Some(correlation) = self.correlation {
            write!(f, " [{correlation}]")?;
        }
        Ok(())
    }
}

/// A signal in the flight recorder.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// What happened.
    pub signal: Signal,
    /// Its place in the order of all signals, the first being 0.
    pub place: u64,
    /// When it was recorded.
    pub at: Instant,
}
