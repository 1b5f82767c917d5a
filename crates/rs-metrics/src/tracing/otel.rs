//! Spans to a collector, and the caller's span from and to the wire.

use std::{fmt, time::Duration};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::TracerProvider,
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use rs_core::Share;
use tokio::runtime::{Builder, Handle};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::Registry;

use super::TracingError;
use crate::background::Background;

/// How long one batch may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to export, and where.
#[derive(Debug, Clone)]
pub(super) struct Export {
    pub(super) collector: String,
    pub(super) share: Share,
    pub(super) resource: Vec<(&'static str, String)>,
}

impl Default for Export {
    fn default() -> Self {
        Self {
            collector: "http://localhost:4318".to_owned(),
            share: Share::ALL,
            resource: Vec::new(),
        }
    }
}

impl Export {
    pub(super) fn start(
        self,
        service: String,
    ) -> Result<(OpenTelemetryLayer<Registry, SdkTracer>, Exporting), TracingError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("rs-metrics-otlp")
            .enable_all()
            .build()
            .map_err(failed)?;
        let client = Client::on(runtime.handle().clone());
        let runtime = Background::new(runtime);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!(
                "{}/v1/traces",
                self.collector.trim_end_matches('/')
            ))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| failed(format!("to `{}`: {error}", self.collector)))?;
        let attributes = self.resource.into_iter();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                self.share.get(),
            ))))
            .with_resource(
                Resource::builder()
                    .with_service_name(service)
                    .with_attributes(attributes.map(|(key, value)| KeyValue::new(key, value)))
                    .build(),
            )
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("rs-patterns"));
        Ok((
            layer,
            Exporting {
                provider,
                _runtime: runtime,
            },
        ))
    }
}

fn failed(error: impl fmt::Display) -> TracingError {
    TracingError::Export(error.to_string())
}

/// The export, running on a runtime of its own.
#[derive(Debug)]
pub(super) struct Exporting {
    provider: SdkTracerProvider,
    _runtime: Background,
}

impl Drop for Exporting {
    fn drop(&mut self) {
        // A collector that is away must not keep the process from ending; its own log line says so.
        let _ = self.provider.shutdown_with_timeout(PATIENCE);
    }
}

/// The SDK exports from a thread without a runtime; hyper needs one.
#[derive(Debug, Clone)]
struct Client {
    runtime: Handle,
    hyper: HyperClient,
}

impl Client {
    fn on(runtime: Handle) -> Self {
        Self {
            runtime,
            hyper: HyperClient::with_default_connector(PATIENCE, None),
        }
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let hyper = self.hyper.clone();
        let sent = self
            .runtime
            .spawn(async move { hyper.send_bytes(request).await });
        sent.await?
    }
}

/// The caller's span, if the headers name one.
pub(super) fn parent_in(headers: &HeaderMap) -> Context {
    TraceContextPropagator::new().extract(&Read(headers))
}

/// Makes a span the child of the caller's. It must not have been entered.
pub(super) fn adopt(span: &Span, parent: &Context) {
    // Fails where no OpenTelemetry layer is installed; there is no parent to lose then.
    let _ = span.set_parent(parent.clone());
}

/// Writes the current span into the headers.
pub(super) fn write_current(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Write(headers));
}

struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct Write<'a>(&'a mut HeaderMap);

impl Injector for Write<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(key), value.try_into()) {
            self.0.insert(name, value);
        }
    }
}
