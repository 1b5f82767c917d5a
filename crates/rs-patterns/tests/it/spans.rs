//! What a pipeline with spans says on the wire.

use std::sync::Mutex;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rs_patterns::{
    core::{Call, Correlation, Policy},
    metrics::tracing::{Incoming, write_headers},
    policies::{Backoff, Pipeline, RetryConfig, Surroundings},
};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[tokio::test(start_paused = true)]
async fn each_attempt_says_who_asks_and_which_attempt_it_is() {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    let _guard = tracing::subscriber::set_default(subscriber);

    let mut headers = http::HeaderMap::new();
    let parent = format!("00-{TRACE}-{CALLER}-01");
    headers.insert("traceparent", parent.parse().unwrap());
    let incoming = Incoming::read(&headers);
    let call = Call::new("charge").with_correlation(incoming.correlation());

    let payments = Pipeline::named("payments")
        .within(&Surroundings::apart())
        .retry(RetryConfig::new(3, Backoff::default()))
        .build()
        .unwrap()
        .traced();
    let sent = Mutex::new(Vec::new());
    let charged = payments.call(call, async |call: Call| {
        let mut headers = http::HeaderMap::new();
        write_headers(&call, &mut headers);
        sent.lock().unwrap().push(headers);
        if call.attempt() < 2 {
            Err("reset")
        } else {
            Ok(())
        }
    });
    charged.instrument(incoming.span(&call)).await.unwrap();

    let sent = sent.into_inner().unwrap();
    assert_eq!(sent.len(), 2);
    let mut attempts = Vec::new();
    for headers in &sent {
        assert_eq!(
            headers[Correlation::HEADER],
            TRACE,
            "taken from the trace, as it came"
        );
        let parent = headers["traceparent"].to_str().unwrap().to_owned();
        let parts: Vec<_> = parent.split('-').map(str::to_owned).collect();
        assert_eq!((parts[1].as_str(), parts[3].as_str()), (TRACE, "01"));
        attempts.push(parts[2].clone());
    }
    assert_ne!(attempts[0], attempts[1], "each is a span of its own");
    assert!(!attempts.contains(&CALLER.to_owned()));
}
