//! Which requests are traced, and where the traces go: OpenTelemetry over OTLP/HTTP.
//!
//! A share of the requests is traced, and each that comes with a sampled `traceparent`, up to a
//! rate. A collector that is away costs spans, never requests: they wait in a bounded queue, and
//! what does not fit is dropped.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{HeaderMap, Request, Response};
use bellpull_domain::node::NodeName;
use bellpull_port::trace::TraceSpan;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt};
use opentelemetry::{KeyValue, global};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{info, warn};

use bellpull_config::OtlpConfig;

/// Traces a second that clients may ask for by their own `traceparent`.
const ASKED_PER_S: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// What health checks and scrapes would fill a collector with.
const UNTRACED: [&str; 3] = ["/healthz/", "/readyz/", "/metrics/"];
const EXPORT_MAX: Duration = Duration::from_secs(10);
/// How long a stopping hub waits for the last spans.
const FLUSH_MAX: Duration = Duration::from_secs(5);
/// Of an answer, which is empty or says what was wrong.
const ANSWER_MAX: usize = 64 * 1024;

/// Set once: tests run several hubs in one process.
static SAMPLING: OnceLock<Sampling> = OnceLock::new();

/// Which requests are traced.
struct Sampling {
    share: f64,
    asked: DefaultDirectRateLimiter,
}

/// A request that is traced.
#[derive(Debug, PartialEq)]
struct Sampled {
    /// The caller's step, which its own continues.
    parent: Option<SpanContext>,
}

impl Sampling {
    fn new(share: f64) -> Self {
        Self { share, asked: RateLimiter::direct(Quota::per_second(ASKED_PER_S)) }
    }

    /// Whether a request is traced. A caller's `traceparent` beyond the rate counts as none: the
    /// request is traced like any other, by the share.
    fn request(&self, headers: &HeaderMap, route: &str) -> Option<Sampled> {
        if UNTRACED.contains(&route) {
            return None;
        }
        let parent = parent(headers).filter(|_| self.asked.check().is_ok());
        let is_traced = parent.is_some() || fastrand::f64() < self.share;
        is_traced.then_some(Sampled { parent })
    }
}

/// The exporter of a process that traces.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

/// Begins to trace. Call it within the runtime that is to send the traces.
///
/// # Errors
/// A text, if the exporter cannot be built.
pub fn init_traces(otlp: &OtlpConfig, node: &NodeName) -> Result<Traces, String> {
    let client = bellpull_tls::outbound_client().timeout(EXPORT_MAX).build();
    let client = client.map_err(|error| error.to_string())?;
    let collector =
        Collector { client, runtime: Handle::current(), is_away: AtomicBool::new(false) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(collector)
        .with_endpoint(endpoint(otlp))
        .with_timeout(EXPORT_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    let resource = Resource::builder_empty().with_service_name("bellpull").with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", node.to_string()),
    ]);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        // What is not traced has no span at all.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource.build())
        .build();
    global::set_tracer_provider(provider.clone());
    let _ = SAMPLING.set(Sampling::new(otlp.share));
    Ok(Traces(provider))
}

/// The endpoint is a collector's base URL, as in OpenTelemetry's own variable.
fn endpoint(otlp: &OtlpConfig) -> String {
    let base = otlp.endpoint.trim_end_matches('/');
    if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") }
}

impl Traces {
    /// Sends what is left.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH_MAX));
        if let Ok(Err(error)) = ended.await {
            warn!(%error, "the last traces were not sent");
        }
    }
}

/// The step of a trace that a request is, if it is traced.
pub fn request(headers: &HeaderMap, method: &'static str, route: &str) -> TraceSpan {
    let sampled = SAMPLING.get().and_then(|sampling| sampling.request(headers, route));
    let Some(Sampled { parent }) = sampled else { return TraceSpan::none() };
    let mut span = TraceSpan::root(format!("{method} {route}"), SpanKind::Server, parent.as_ref());
    span.set("http.request.method", method);
    span.set("http.route", route.to_owned());
    span
}

/// The caller's place in a trace that it samples.
fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    if !headers.contains_key("traceparent") {
        return None;
    }
    let found = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    let context = found.span().span_context().clone();
    (context.is_valid() && context.is_sampled()).then_some(context)
}

/// How spans are posted: by the clients that everything else uses, with one TLS. The exporter's own
/// thread has no runtime; the process' does the work.
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    is_away: AtomicBool,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    /// Says once that traces are lost, and once that they are no longer.
    fn note(&self, failure: Option<&str>) {
        match (failure, self.is_away.swap(failure.is_some(), Relaxed)) {
            (Some(error), false) => warn!(error, "the traces' collector does not take them"),
            (None, true) => info!("the traces' collector takes them again"),
            (Some(_), true) | (None, false) => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let mut answer = client.execute(request).await?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await?
                && body.len() + chunk.len() <= ANSWER_MAX
            {
                body.extend_from_slice(&chunk);
            }
            Ok::<_, reqwest::Error>((answer.status(), Bytes::from(body)))
        });
        match sent.await? {
            Ok((status, body)) => {
                let failure = (!status.is_success()).then(|| format!("it answered {status}"));
                self.note(failure.as_deref());
                Ok(Response::builder().status(status).body(body)?)
            }
            Err(error) => {
                self.note(Some(&error.without_url().to_string()));
                Err("the collector cannot be reached".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_endpoint_is_a_base_or_the_whole_path() {
        for endpoint in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            let otlp = OtlpConfig { endpoint: endpoint.to_owned(), share: 1.0 };
            assert_eq!(super::endpoint(&otlp), "http://c:4318/v1/traces");
        }
    }

    #[test]
    fn a_share_is_traced_and_callers_get_no_more_than_their_rate() {
        const ROUTE: &str = "/api/tickets/";
        let traced = |sampling: &Sampling, headers: &HeaderMap, of: u32| {
            (0..of).filter_map(|_| sampling.request(headers, ROUTE)).collect::<Vec<_>>()
        };
        let none = HeaderMap::new();
        fastrand::seed(7);
        assert_eq!(traced(&Sampling::new(0.0), &none, 1_000).len(), 0);
        let all = Sampling::new(1.0);
        assert_eq!(traced(&all, &none, 1_000).len(), 1_000);
        for route in UNTRACED {
            assert_eq!(all.request(&none, route), None, "{route}");
        }
        // 250 of 1,000, give or take five standard deviations.
        let share = traced(&Sampling::new(0.25), &none, 1_000);
        assert!((182..=318).contains(&share.len()), "{}", share.len());
        assert!(share.iter().all(|sampled| sampled.parent.is_none()));

        let mut asked = HeaderMap::new();
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        asked.insert("traceparent", parent.parse().unwrap());
        // A second's worth at once, then one for each hundredth of a second.
        let begun = Instant::now();
        let continued = traced(&Sampling::new(0.0), &asked, 1_000);
        let more = begun.elapsed().as_secs_f64() * f64::from(ASKED_PER_S.get());
        let wanted = 100.0..=101.0 + more;
        assert!(wanted.contains(&f64::from(u32::try_from(continued.len()).unwrap())), "{wanted:?}");
        assert!(continued.iter().all(|sampled| sampled.parent.is_some()));

        // Beyond the rate the share decides, and the trace begins here.
        let all = traced(&Sampling::new(1.0), &asked, 10_000);
        let continued = all.iter().filter(|sampled| sampled.parent.is_some()).count();
        assert!(all.len() == 10_000 && continued < 10_000, "{continued} of {}", all.len());
    }

    #[test]
    fn only_a_sampled_traceparent_is_gone_on_from() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            parent(&headers).map(|context| context.trace_id().to_string())
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        for bad in ["00-00f067aa0ba902b7-01", "x", "00-0-0-01"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(of(&format!("00-{trace}-00f067aa0ba902b7-00")), None, "not sampled");
        assert_eq!(parent(&HeaderMap::new()), None);
    }
}
