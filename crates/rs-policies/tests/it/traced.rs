//! Spans, as a subscriber sees them.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    future::{Future, pending},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::support::{Bench, MS, SECOND, at_once, poll};
use rs_core::{Call, Correlation, Failure, Fault, Outcome, Policy, operation, operation_once};
use rs_metrics::CALL_SPANS;
use rs_policies::{
    Backoff, Bulkhead, BulkheadConfig, HedgeConfig, Jitter, Pipeline, PipelineBuilder, RetryConfig,
    Traced,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// What a subscriber saw of a span, or of an event, which has no end.
#[derive(Debug, Default, Clone)]
struct Seen {
    name: &'static str,
    target: String,
    id: u64,
    parent: u64,
    fields: BTreeMap<&'static str, String>,
    is_closed: bool,
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("-", String::as_str)
    }

    /// Attempt, hedge, outcome, reason, status.
    fn told(&self) -> String {
        let fields = ["attempt", "hedge", "outcome", "reason", "otel.status_code"];
        fields.map(|name| self.field(name)).join(" ")
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    /// Sees what this thread does, as long as the guard lives.
    fn installed() -> (Self, DefaultGuard) {
        let recorder = Self::default();
        let subscriber = tracing_subscriber::registry().with(recorder.clone());
        (recorder, tracing::subscriber::set_default(subscriber))
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.0.lock().unwrap()
    }

    /// The one call, and its attempts in the order in which they were begun. All are over.
    #[track_caller]
    fn call(&self) -> (Seen, Vec<Seen>) {
        let seen = self.seen().clone();
        let spans = seen.into_iter().filter(|it| it.target == CALL_SPANS);
        let (mut calls, attempts): (Vec<_>, Vec<_>) = spans.partition(|it| it.name == "call");
        let call = calls.pop().unwrap();
        assert!(calls.is_empty() && call.is_closed);
        for attempt in &attempts {
            assert_eq!((attempt.name, attempt.parent), ("attempt", call.id));
            assert!(attempt.is_closed);
            assert_eq!(attempt.field("call"), call.field("call"));
        }
        (call, attempts)
    }

    #[track_caller]
    fn check(&self, call: &str, attempts: &[&str]) {
        let (seen, tried) = self.call();
        assert_eq!(seen.told(), call);
        let tried: Vec<_> = tried.iter().map(Seen::told).collect();
        assert_eq!(tried, attempts);
        let begun = match attempts.len() {
            0 => "-".to_owned(),
            begun => begun.to_string(),
        };
        assert_eq!(seen.field("attempts"), begun);
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context
            .span(id)
            .unwrap()
            .parent()
            .map(|it| it.id().into_u64());
        let mut seen = about(attributes.metadata(), id.into_u64(), parent);
        attributes.record(&mut seen);
        self.seen().push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut all = self.seen();
        let seen = all.iter_mut().find(|it| it.id == id.into_u64()).unwrap();
        values.record(seen);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let parent = context.lookup_current().map(|it| it.id().into_u64());
        let mut seen = about(event.metadata(), 0, parent);
        event.record(&mut seen);
        self.seen().push(seen);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut all = self.seen();
        let seen = all.iter_mut().find(|it| it.id == id.into_u64()).unwrap();
        seen.is_closed = true;
        // The registry gives ids out again.
        seen.id += 1 << 60;
        let (old, new) = (id.into_u64(), seen.id);
        for child in all.iter_mut().filter(|it| it.parent == old) {
            child.parent = new;
        }
    }
}

fn about(metadata: &'static Metadata<'_>, id: u64, parent: Option<u64>) -> Seen {
    Seen {
        name: metadata.name(),
        target: metadata.target().to_owned(),
        id,
        parent: parent.unwrap_or(0),
        ..Seen::default()
    }
}

fn builder(bench: &Bench) -> PipelineBuilder {
    let backoff = Backoff::constant(10 * MS).with_jitter(Jitter::None);
    Pipeline::named("payments")
        .within(&bench.around)
        .retry(RetryConfig::new(3, backoff))
}

#[test]
fn attempts_are_children_of_their_call() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let pipeline = builder(&bench).build().unwrap().traced();
    let id = Correlation::fresh();
    let call = Call::new("charge").with_correlation(id);
    let around = tracing::info_span!("request");
    let charged = pipeline.call(call, async |call: Call| {
        tracing::info!(number = call.attempt(), "asked");
        if call.attempt() < 3 {
            Err("reset")
        } else {
            Ok(17)
        }
    });
    let charged = tracing::Instrument::instrument(charged, around.clone());
    assert_eq!(bench.run(charged).0, Ok(17));
    recorder.check(
        "- - success - -",
        &[
            "1 - failure transient ERROR",
            "2 - failure transient ERROR",
            "3 - success - -",
        ],
    );
    let (call, attempts) = recorder.call();
    assert_eq!(Some(call.parent), around.id().map(|id| id.into_u64()));
    let expected = ["charge".to_owned(), "charge".to_owned(), id.to_string()];
    assert_eq!(
        ["call", "otel.name", "correlation_id"].map(|name| call.field(name)),
        expected
    );
    // What happens in an attempt is in its span.
    let seen = recorder.seen();
    let asked = seen.iter().filter(|it| it.fields.contains_key("number"));
    let asked: Vec<_> = asked
        .map(|it| (it.parent, it.field("number").to_owned()))
        .collect();
    let expected = attempts
        .iter()
        .map(|it| (it.id, it.field("attempt").to_owned()));
    assert_eq!(asked, expected.collect::<Vec<_>>());
}

#[test]
fn what_is_dropped_says_so() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let pipeline = builder(&bench).build().unwrap().traced();
    {
        let mut charged = pin!(
            pipeline.call("charge", async |call: Call| match call.attempt() {
                1 => Err("reset"),
                _ => pending::<Result<(), _>>().await,
            })
        );
        assert!(poll(charged.as_mut()).is_pending());
        bench.wait(10 * MS);
        assert!(poll(charged.as_mut()).is_pending());
    }
    recorder.check(
        "- - cancelled - -",
        &["1 - failure transient ERROR", "2 - cancelled - -"],
    );
}

#[test]
fn what_is_never_polled_has_no_span() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let pipeline = builder(&bench).build().unwrap().traced();
    drop(pipeline.call("charge", async |_| Ok::<(), ()>(())));
    assert!(recorder.seen().is_empty());
}

#[test]
fn a_refusal_is_a_call_without_an_attempt() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let bulkhead = Bulkhead::within(&bench.around, "b", BulkheadConfig::of(1)).unwrap();
    let pipeline = builder(&bench).bulkhead(bulkhead.clone()).build().unwrap();
    let _taken = rs_core::Guard::try_admit(&bulkhead, &Call::new("other")).unwrap();
    let refused = at_once(pipeline.traced().call("charge", async |_| Ok::<(), ()>(())));
    assert!(refused.unwrap_err().is_rejected());
    recorder.check("- - rejected bulkhead full ERROR", &[]);
}

#[test]
fn a_limit_drops_the_attempt_and_the_call_says_which() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let limited = Pipeline::named("payments")
        .within(&bench.around)
        .attempt_timeout(SECOND);
    let pipeline = limited.build().unwrap().traced();
    let hangs = async |_| pending::<Result<(), &'static str>>().await;
    assert!(
        bench
            .run(pipeline.call("charge", hangs))
            .0
            .unwrap_err()
            .is_timed_out()
    );
    recorder.check("- - timed_out attempt ERROR", &["1 - cancelled - -"]);

    let (recorder, _guard) = Recorder::installed();
    let call = Call::new("charge").limited_to(MS);
    let late = bench.run(pipeline.call(call, hangs)).0;
    assert!(late.unwrap_err().is_timed_out());
    recorder.check("- - timed_out deadline ERROR", &["1 - cancelled - -"]);
}

#[test]
fn a_hedge_has_a_number() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let hedged = builder(&bench)
        .hedge(HedgeConfig::after(SECOND))
        .safe_to_repeat();
    let pipeline = hedged.build().unwrap().traced();
    let charged = pipeline.call("charge", async |call: Call| match call.hedge() {
        0 => pending().await,
        hedge => Ok::<_, &'static str>(hedge),
    });
    assert_eq!(bench.run(charged).0, Ok(1));
    recorder.check("- - success - -", &["1 - cancelled - -", "1 1 success - -"]);
}

#[test]
fn outcomes_are_those_of_the_classifier() {
    let bench = Bench::new();
    let check = |outcome: Outcome, call: &str, attempt: &str| {
        let (recorder, _guard) = Recorder::installed();
        let once = Pipeline::named("payments")
            .within(&bench.around)
            .build()
            .unwrap();
        let judged =
            operation(async |_| Ok::<u32, ()>(7)).classified(move |_: Result<&u32, &()>| outcome);
        assert_eq!(
            at_once(once.traced().run(&Call::new("charge"), &judged)),
            Ok(7)
        );
        recorder.check(call, &[attempt]);
    };
    check(Outcome::Ignored, "- - ignored - -", "1 - ignored - -");
    check(
        Fault::throttled().into(),
        "- - failure throttled ERROR",
        "1 - failure throttled ERROR",
    );
    check(
        Outcome::PERMANENT,
        "- - failure permanent ERROR",
        "1 - failure permanent ERROR",
    );
}

#[test]
fn a_panic_is_none_of_these() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let pipeline = builder(&bench).build().unwrap().traced();
    let panics = std::panic::AssertUnwindSafe(|| {
        let panics = pipeline.call("charge", async |_| -> Result<(), ()> {
            panic!("as planned")
        });
        at_once(panics)
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    recorder.check("- - panicked - -", &["1 - panicked - -"]);
}

#[test]
fn any_policy_can_have_spans_and_one_in_another_is_its_child() {
    let bench = Bench::new();
    let (recorder, _guard) = Recorder::installed();
    let inner = Traced::new(builder(&bench).build().unwrap());
    let outer = Traced::new((inner.get_ref().clone().erased(), ()));
    let twice = Traced::new((outer, inner));
    let once = operation_once(async |_: Call| Err::<(), _>("reset"));
    let call = Call::new("charge");
    let failed = bench.run(twice.run(&call, &once)).0.unwrap_err();
    assert_eq!(
        failed,
        Failure::Operation {
            error: "reset",
            attempts: 1
        }
    );
    let seen = recorder.seen();
    let names: Vec<_> = seen.iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        ["call", "call", "attempt", "call", "attempt", "attempt"]
    );
    assert!(
        seen.iter()
            .all(|it| it.is_closed && it.field("outcome") == "failure")
    );
    // Each attempt is a child of the call that made it; only what they share runs in all of them.
    let parents: Vec<_> = seen
        .iter()
        .map(|it| seen.iter().position(|of| of.id == it.parent))
        .collect();
    assert_eq!(parents, [None, Some(0), Some(1), Some(2), Some(3), Some(0)]);
}

/// Nobody listens: no span, no allocation, and the same answers.
#[test]
fn unheard_it_allocates_nothing() {
    let bench = Bench::new();
    let pipeline = builder(&bench).build().unwrap().traced();
    let calls = || {
        for _ in 0..100 {
            assert_eq!(
                at_once(pipeline.call("charge", async |_| Ok::<_, ()>(7))),
                Ok(7)
            );
        }
    };
    calls();
    assert_eq!(allocation_counter::measure(calls).count_total, 0);
}

#[test]
fn a_filter_that_drops_the_call_drops_its_attempts() {
    let bench = Bench::new();
    let recorder = Recorder::default();
    let targets = tracing_subscriber::filter::Targets::new().with_default(tracing::Level::TRACE);
    let targets = targets.with_target(CALL_SPANS, tracing_subscriber::filter::LevelFilter::OFF);
    let subscriber = tracing_subscriber::registry().with(recorder.clone().with_filter(targets));
    let _guard = tracing::subscriber::set_default(subscriber);
    let pipeline = builder(&bench).build().unwrap().traced();
    let charged = pipeline.call("charge", async |_| {
        tracing::info!("heard");
        Ok::<_, ()>(7)
    });
    assert_eq!(bench.run(charged).0, Ok(7));
    let seen = recorder.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].parent, 0);
}

fn assert_send<F: Future + Send>(future: F) -> F {
    future
}

#[test]
fn its_future_is_send_and_no_larger() {
    let bench = Bench::new();
    let plain = builder(&bench).build().unwrap();
    let traced = plain.clone().traced();
    let (call, charge) = (
        Call::new("charge"),
        operation(async |_: Call| Ok::<_, ()>([0_u64; 8])),
    );
    let sizes = [
        size_of_val(&assert_send(plain.run(&call, &charge))),
        size_of_val(&assert_send(traced.run(&call, &charge))),
    ];
    println!("bytes of the future, without and with spans: {sizes:?}");
    assert!(sizes[1] <= sizes[0] + 16, "{sizes:?}");
}
