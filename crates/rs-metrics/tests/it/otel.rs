use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use http::HeaderMap;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use rs_core::{Call, Clock, Share};
use rs_metrics::tracing::{
    Incoming, Logs, Traced, Tracing, TracingError, call_span, write_headers,
};

use crate::outside::{alone, text, this_test, time, wait_until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// How the collector behaves.
#[derive(Clone, Copy)]
enum Manner {
    Good,
    /// Takes what comes and never answers.
    Silent,
    /// Says that it cannot.
    Broken,
}

/// An OTLP collector as plain as can be.
struct Collector {
    url: String,
    requests: Arc<Mutex<Vec<(String, ExportTraceServiceRequest)>>>,
}

impl Collector {
    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    while let Some((head, body)) = read_request(&mut stream) {
                        let status = match manner {
                            Manner::Good => "200 OK",
                            Manner::Broken => "500 Internal Server Error",
                            Manner::Silent => continue,
                        };
                        let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
                        kept.lock().unwrap().push((head, request));
                        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url, requests }
    }

    fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let resources = requests
            .iter()
            .flat_map(|(_, request)| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    #[track_caller]
    fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let found = spans.iter().find(|span| span.name == name).cloned();
        found.unwrap_or_else(|| panic!("no span `{name}` in {spans:#?}"))
    }
}

fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length?.trim().parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    Some((lower, body))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .clone()?;
    match value.value? {
        any_value::Value::StringValue(text) => Some(text),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn quiet(collector: &str) -> Tracing {
    Tracing::new("orders").logs(Logs::Off).otlp(collector)
}

fn from_parent(sampled: bool) -> HeaderMap {
    let flags = if sampled { "01" } else { "00" };
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", parent.parse().unwrap());
    headers.insert("tracestate", "vendor=x".parse().unwrap());
    headers
}

#[test]
fn spans_arrive_as_children_of_who_asked() {
    alone(this_test!(), "arrive", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&format!("{}/", collector.url))
            .resource("deployment.environment", "test")
            .install()
            .unwrap();
        let incoming = Incoming::read(&from_parent(true));
        let call = Call::new("checkout").at_attempt(2);
        let mut onward = HeaderMap::new();
        incoming.span(&call).in_scope(|| {
            tracing::info_span!("inner").in_scope(|| write_headers(&call, &mut onward));
        });
        traced.shutdown();

        let (checkout, inner) = (collector.span("checkout"), collector.span("inner"));
        assert_eq!(hex(&checkout.trace_id), TRACE);
        assert_eq!(hex(&checkout.parent_span_id), PARENT);
        assert_eq!(checkout.trace_state, "vendor=x");
        assert_eq!(hex(&inner.trace_id), TRACE);
        assert_eq!(inner.parent_span_id, checkout.span_id);
        let of = |key| attribute(&checkout.attributes, key);
        assert_eq!(of("correlation_id").as_deref(), Some(TRACE));
        assert_eq!(of("call").as_deref(), Some("checkout"));
        assert_eq!(of("attempt").as_deref(), Some("2"));

        let parent = format!("00-{TRACE}-{}-01", hex(&inner.span_id));
        assert_eq!(
            onward["traceparent"], parent,
            "the innermost span is who asks next"
        );
        assert_eq!(onward["tracestate"], "vendor=x");

        let requests = collector.requests.lock().unwrap();
        let (head, request) = &requests[0];
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(
            head.contains("content-type: application/x-protobuf\r\n"),
            "{head}"
        );
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        let of = |key| attribute(&resource.attributes, key);
        assert_eq!(of("service.name").as_deref(), Some("orders"));
        assert_eq!(of("deployment.environment").as_deref(), Some("test"));
    });
}

#[test]
fn without_a_caller_a_trace_begins() {
    alone(this_test!(), "root", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url).install().unwrap();
        let incoming = Incoming::read(&HeaderMap::new());
        incoming.span(&Call::new("edge")).in_scope(|| {});
        // Written by another service: taken in by one that has no span of its own.
        let outer = call_span(&Call::new("outer"));
        let mut onward = HeaderMap::new();
        outer.in_scope(|| write_headers(&Call::new("outer"), &mut onward));
        Incoming::read(&onward)
            .span(&Call::new("remote"))
            .in_scope(|| {});
        drop(outer);
        traced.shutdown();
        let (edge, outer, remote) = (
            collector.span("edge"),
            collector.span("outer"),
            collector.span("remote"),
        );
        assert!(edge.parent_span_id.is_empty());
        assert_ne!(edge.trace_id, outer.trace_id);
        assert_eq!(remote.parent_span_id, outer.span_id);
        assert_eq!(remote.trace_id, outer.trace_id);
    });
}

#[test]
fn a_caller_that_makes_no_sense_is_no_caller() {
    alone(this_test!(), "garbage", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url).install().unwrap();
        for parent in [
            "garbage",
            "",
            "00-0-0-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", parent.parse().unwrap());
            Incoming::read(&headers)
                .span(&Call::new("edge"))
                .in_scope(|| {});
        }
        traced.shutdown();
        let spans = collector.spans();
        assert_eq!(spans.len(), 4);
        assert!(
            spans.iter().all(|span| span.parent_span_id.is_empty()),
            "{spans:#?}"
        );
    });
}

#[test]
fn what_is_sampled_out_is_not_exported() {
    alone(this_test!(), "sampled", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url).sample(Share::NONE).install().unwrap();
        for _ in 0..20 {
            call_span(&Call::new("ours")).in_scope(|| {});
        }
        // Who began elsewhere follows the caller's word, in both directions.
        let mut onward = HeaderMap::new();
        let unsampled = Incoming::read(&from_parent(false)).span(&Call::new("theirs, not"));
        unsampled.in_scope(|| write_headers(&Call::new("onward"), &mut onward));
        drop(unsampled);
        Incoming::read(&from_parent(true))
            .span(&Call::new("theirs"))
            .in_scope(|| {});
        traced.shutdown();
        let names: Vec<_> = collector
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect();
        assert_eq!(names, ["theirs"]);
        let parent = onward["traceparent"].to_str().unwrap();
        assert!(
            parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"),
            "{parent}"
        );
    });
}

#[test]
fn a_share_of_the_traces_is_exported() {
    alone(this_test!(), "share", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url)
            .sample(Share::of(0.5).unwrap())
            .install()
            .unwrap();
        for _ in 0..1000 {
            call_span(&Call::new("ours")).in_scope(|| {});
        }
        traced.shutdown();
        let exported = collector.spans().len();
        assert!((400..600).contains(&exported), "{exported} of 1000");
    });
}

/// Logs are told less, and the trace still has its call.
#[test]
fn the_span_of_a_call_is_exported_whatever_the_filter() {
    alone(this_test!(), "filter", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url).filter("error").install().unwrap();
        call_span(&Call::new("kept")).in_scope(|| tracing::info_span!("left out").in_scope(|| {}));
        traced.shutdown();
        let names: Vec<_> = collector
            .spans()
            .into_iter()
            .map(|span| span.name)
            .collect();
        assert_eq!(names, ["kept"]);
    });
}

/// The service does its work beside a collector like this one, and ends.
#[track_caller]
fn slows_nobody(test: &str, start: fn() -> String) {
    alone(test, "away", || {
        let traced = quiet(&start()).install().unwrap();
        // More than it keeps for later, so that it drops some. Waiting for the collector would take
        // five seconds for each batch of 512.
        let spans = 6_000;
        let ((), took) = time(|| {
            for _ in 0..spans {
                call_span(&Call::new("busy")).in_scope(|| {});
            }
        });
        assert!(took < Duration::from_secs(4), "{spans} spans took {took:?}");
        let ((), took) = time(|| traced.shutdown());
        assert!(took < Duration::from_secs(7), "the end took {took:?}");
    });
}

#[test]
fn a_collector_that_is_not_there_slows_nobody() {
    slows_nobody(this_test!(), || {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", gone.local_addr().unwrap())
    });
}

#[test]
fn a_collector_that_is_silent_slows_nobody() {
    slows_nobody(this_test!(), || Collector::start(Manner::Silent).url);
}

#[test]
fn a_collector_that_is_broken_slows_nobody() {
    slows_nobody(this_test!(), || Collector::start(Manner::Broken).url);
}

#[test]
fn a_collector_that_is_away_is_said_in_the_logs() {
    let output = alone(this_test!(), "said", || {
        let traced = quiet("http://127.0.0.1:9")
            .logs(Logs::Json)
            .install()
            .unwrap();
        call_span(&Call::new("lost")).in_scope(|| {});
        traced.shutdown();
    });
    let Some(output) = output else { return };
    let said = text(&output.stderr);
    let mut lines = said.lines().filter(|line| line.starts_with('{'));
    assert!(
        lines.any(|line| line.contains("opentelemetry") && line.contains("ERROR")),
        "nobody would know: {said}"
    );
}

/// Spans leave without a shutdown, in batches.
#[test]
fn spans_leave_while_the_service_runs() {
    alone(this_test!(), "batches", || {
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url).install().unwrap();
        for _ in 0..600 {
            call_span(&Call::new("busy")).in_scope(|| {});
        }
        wait_until("the first batch", || collector.spans().len() >= 512);
        traced.shutdown();
        assert_eq!(collector.spans().len(), 600);
    });
}

fn exports_from_async_code(traced: Traced, shut_down: bool) {
    for _ in 0..3 {
        call_span(&Call::new("async")).in_scope(|| {});
    }
    if shut_down {
        traced.shutdown();
    } else {
        drop(traced);
    }
}

#[test]
fn it_works_in_any_runtime_and_in_none() {
    let test = this_test!();
    for (scenario, shut_down) in [
        ("none", true),
        ("current thread", true),
        ("current thread, dropped", false),
        ("many threads", true),
        ("many threads, dropped", false),
        ("many threads, spawned", false),
    ] {
        alone(test, scenario, || {
            let collector = Collector::start(Manner::Good);
            let tracing = quiet(&collector.url);
            let runtime = match scenario {
                "none" => {
                    exports_from_async_code(tracing.install().unwrap(), shut_down);
                    assert_eq!(collector.spans().len(), 3);
                    return;
                }
                _ if scenario.starts_with("current") => {
                    tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                }
                _ => tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build(),
            }
            .unwrap();
            let ((), took) = time(|| {
                runtime.block_on(async {
                    let work = async move {
                        let traced = tracing.install().unwrap();
                        tokio::task::yield_now().await;
                        exports_from_async_code(traced, shut_down);
                    };
                    if scenario.ends_with("spawned") {
                        runtime.spawn(work).await.unwrap();
                    } else {
                        work.await;
                    }
                });
            });
            assert_eq!(collector.spans().len(), 3);
            assert!(took < Duration::from_secs(4), "{took:?}");
        });
    }
}

#[test]
fn what_cannot_be_installed_is_an_error_also_in_async_code() {
    let test = this_test!();
    for scenario in ["bad url", "twice"] {
        alone(test, scenario, || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                if scenario == "bad url" {
                    let error = quiet("not a url").install().unwrap_err();
                    assert!(matches!(error, TracingError::Export(_)), "{error:?}");
                    let said = error.to_string();
                    assert!(said.starts_with("cannot export spans: "), "{said}");
                    assert!(said.contains("not a url"), "{said}");
                    return;
                }
                let _first = Tracing::new("orders").logs(Logs::Off).install().unwrap();
                let (error, took) = time(|| quiet("http://127.0.0.1:9").install().unwrap_err());
                assert!(
                    matches!(error, TracingError::Twice { first: Some(_) }),
                    "{error:?}"
                );
                assert!(took < Duration::from_secs(2), "{took:?}");
            });
        });
    }
}

/// A task that is moved between threads and cancelled leaves its span whole.
#[test]
fn a_span_that_is_dropped_half_way_is_exported() {
    alone(this_test!(), "cancelled", || {
        use tracing::Instrument as _;
        let collector = Collector::start(Manner::Good);
        let traced = quiet(&collector.url).install().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let span = Incoming::read(&from_parent(true)).span(&Call::new("cancelled"));
            let work = async { Clock::default().sleep(Duration::from_secs(3600)).await };
            let task = runtime.spawn(work.instrument(span));
            tokio::task::yield_now().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        traced.shutdown();
        assert_eq!(hex(&collector.span("cancelled").parent_span_id), PARENT);
    });
}
