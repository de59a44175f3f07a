//! The task that sends spans, over OTLP and HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use reqwest::{Client, Url, redirect};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::Exports;
use super::span::Finished;

/// How many spans are sent at once.
const AT_ONCE: usize = 512;

/// How long the first of them waits for others.
const DELAY: Duration = Duration::from_secs(1);

/// How long sending may take, with what is tried again.
const EXPORT_TIME: Duration = Duration::from_secs(10);

/// What the server is called, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "flowserver";

/// Where spans are sent.
pub(crate) struct Endpoint {
    exporter: SpanExporter,
    /// As it may be shown.
    url: String,
}

impl Endpoint {
    /// A collector: `http://localhost:4318`. Headers come from `OTEL_EXPORTER_OTLP_HEADERS`, what the
    /// server says of itself from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(base: &str) -> Result<Self, String> {
        let parsed = Url::parse(base).map_err(|error| error.to_string());
        let mut url = parsed.map_err(|error| format!("`--otlp-endpoint` is not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("`--otlp-endpoint` is neither an `http` nor an `https` URL".to_owned());
        }
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        // Fails when the program has chosen another one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || Client::builder().timeout(EXPORT_TIME).redirect(redirect::Policy::none());
        let is_plain = url.scheme() == "http";
        // A system without certificates can still speak HTTP.
        let built = client().build().or_else(|error| match is_plain {
            true => client().tls_certs_only([]).build(),
            false => Err(error),
        });
        let built = built.map_err(|error| format!("spans cannot be sent: {error}"))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(built);
        let exporter = exporter.with_endpoint(url.as_str()).with_timeout(EXPORT_TIME).build();
        let mut exporter = exporter.map_err(|error| format!("spans cannot be sent: {error}"))?;
        exporter.set_resource(&resource());
        // Fail for URLs that have no place for them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { exporter, url: url.to_string() })
    }
}

/// What the server says of itself with every export.
fn resource() -> Resource {
    let found = Resource::builder().build();
    let name = found.get(&Key::from_static_str("service.name"));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let builder = Resource::builder().with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
    ]);
    match is_named {
        true => builder,
        false => builder.with_service_name(SERVICE),
    }
    .build()
}

/// Sends spans, many at once.
pub(super) struct Exporter {
    endpoint: Endpoint,
    instrumentation: InstrumentationScope,
    waiting: mpsc::Receiver<Finished>,
    closes: watch::Receiver<bool>,
    exports: Arc<Exports>,
    is_failing: bool,
}

impl Exporter {
    pub(super) fn new(
        endpoint: Endpoint,
        waiting: mpsc::Receiver<Finished>,
        closes: watch::Receiver<bool>,
        exports: Arc<Exports>,
    ) -> Self {
        let instrumentation =
            InstrumentationScope::builder("flow").with_version(env!("CARGO_PKG_VERSION"));
        Self {
            endpoint,
            instrumentation: instrumentation.build(),
            waiting,
            closes,
            exports,
            is_failing: false,
        }
    }

    /// Sends what comes until it is closed, and then what is left.
    pub(super) async fn run(mut self) {
        let mut spans = Vec::with_capacity(AT_ONCE);
        while self.fill(&mut spans).await {
            self.export(&mut spans).await;
        }
    }

    /// Waits for spans; gives whether there are any. More come along as long as there is room and the
    /// first one may wait.
    async fn fill(&mut self, spans: &mut Vec<Finished>) -> bool {
        let mut until = None::<Instant>;
        while spans.len() < AT_ONCE {
            let room = AT_ONCE - spans.len();
            let is_due = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                taken = self.waiting.recv_many(spans, room) => if taken == 0 { break },
                () = is_due => break,
                // Its sender is as good as closed when it is gone.
                _ = self.closes.wait_for(|closes| *closes), if !self.waiting.is_closed() => {
                    self.waiting.close();
                }
            }
            until = until.or_else(|| Some(Instant::now() + DELAY));
        }
        !spans.is_empty()
    }

    async fn export(&mut self, spans: &mut Vec<Finished>) {
        let instrumentation = &self.instrumentation;
        let data: Vec<SpanData> =
            spans.drain(..).filter_map(|span| span.into_data(instrumentation)).collect();
        let count = data.len() as u64;
        let sent = timeout(EXPORT_TIME, self.endpoint.exporter.export(data)).await;
        let failure = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("it took too long".to_owned()),
        };
        match failure {
            None => {
                self.exports.exported.fetch_add(count, Ordering::Relaxed);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!(url = self.endpoint.url, "spans are sent again");
                }
            }
            Some(error) => {
                self.exports.dropped.fetch_add(count, Ordering::Relaxed);
                self.exports.failed.fetch_add(1, Ordering::Relaxed);
                // Once, and not every second.
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(url = self.endpoint.url, error, "spans cannot be sent");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_the_base_of_a_path() {
        for (base, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("http://ada:s3cret@h/otlp/", "http://h/otlp/v1/traces"),
        ] {
            assert_eq!(Endpoint::new(base).unwrap().url, url);
        }
        for bad in ["", "localhost:4318", "grpc://h:4317", "http://"] {
            assert!(Endpoint::new(bad).is_err(), "{bad}");
        }
    }
}
