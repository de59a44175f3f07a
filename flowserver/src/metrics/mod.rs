//! How busy the server is, for Prometheus. `docs/metrics.md` lists all of it.

mod encode;
mod process;
mod runtime;
mod tally;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use flowruntime::{FlowRuntime, Histogram as Durations};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::connections::Places;
use crate::traces::Exports;
use encode::{Encode, Tell, Told};
use process::OfProcess;
use runtime::OfRuntime;
pub(crate) use tally::{AttemptEnd, Ending, Tally};

/// The form of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The bounds of durations of requests, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Why connections are refused, or ended.
const REASONS: [&str; 4] = ["too_many", "too_many_of_address", "slow_head", "slow_reader"];

/// The bounds of how late schedules are, in seconds.
const LATENESS_BOUNDS: [f64; 9] = [0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    reason: &'static str,
}

/// What is counted here, and what is read when somebody asks.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter<u64, AtomicU64>>,
    durations: Family<Asked, Histogram>,
    problems: Family<Refused, Counter<u64, AtomicU64>>,
    refused: Family<Ended, Counter<u64, AtomicU64>>,
    more: Arc<More>,
}

/// What is counted besides requests.
#[derive(Debug)]
struct More {
    streams: AtomicI64,
    lateness: Durations,
}

/// Somebody follows events; counted until this is dropped.
pub(crate) struct Stream(Arc<More>);

impl Metrics {
    /// Metrics of a runtime, of connections, of what the tally has heard of executions, and of exports
    /// of traces.
    pub(crate) fn new(
        runtime: FlowRuntime,
        places: Arc<Places>,
        tally: Arc<Tally>,
        exports: Arc<Exports>,
    ) -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("flow");
        let requests = Family::default();
        let durations =
            Family::new_with_constructor((|| Histogram::new(BOUNDS)) as fn() -> Histogram);
        registry.register("http_requests", "Requests that were answered", requests.clone());
        let help = "How long answers took, in seconds, waiting for executions included";
        registry.register("http_request_duration_seconds", help, durations.clone());
        let problems = Family::default();
        let refused: Family<Ended, Counter<u64, AtomicU64>> = Family::default();
        for reason in REASONS {
            // Nothing refused yet is a number, too.
            drop(refused.get_or_create(&Ended { reason }));
        }
        let help = "Requests that were not done, by the code of the answer";
        registry.register("http_problems", help, problems.clone());
        let help = "Connections that were not accepted, or ended because the other side was slow";
        registry.register("http_connections_refused", help, refused.clone());
        registry.register_collector(Box::new(Told(places)));
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the server", version);
        let lateness = Durations::new(&LATENESS_BOUNDS);
        let more = Arc::new(More { streams: AtomicI64::new(0), lateness });
        registry.register_collector(Box::new(OfRuntime(runtime)));
        registry.register_collector(Box::new(Told(tally)));
        registry.register_collector(Box::new(Told(more.clone())));
        registry.register_collector(Box::new(Told(exports)));
        root.register_collector(Box::new(OfProcess));
        Self { registry: root, requests, durations, problems, refused, more }
    }

    /// A request was answered. What no route is for counts as one, so that strangers make no labels.
    pub(crate) fn answered(&self, method: &str, route: Option<&str>, status: u16, took: Duration) {
        let route = route.unwrap_or("other").to_owned();
        self.durations.get_or_create(&Asked { route: route.clone() }).observe(took.as_secs_f64());
        let method = if route == "other" { "other" } else { method }.to_owned();
        self.requests.get_or_create(&Answered { method, route, status }).inc();
    }

    /// A request was not done.
    pub(crate) fn problem(&self, code: Cow<'static, str>) {
        self.problems.get_or_create(&Refused { code: code.into_owned() }).inc();
    }

    /// A connection was not accepted, or was ended because the other side was slow.
    pub(crate) fn connection_refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Ended { reason }).inc();
    }

    /// An execution was started this long after its due time.
    pub(crate) fn started_late(&self, late: Duration) {
        self.more.lateness.count(late);
    }

    /// Somebody follows events.
    pub(crate) fn stream(&self) -> Stream {
        self.more.streams.fetch_add(1, Ordering::Relaxed);
        Stream(self.more.clone())
    }

    /// All of it, as text.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn to_text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Tell for More {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let streams = self.streams.load(Ordering::Relaxed);
        encoder.gauge("event_streams", "Clients that follow events", streams)?;
        let help = "How long after its due time an execution was started, in seconds";
        encoder.durations("schedule_lateness_seconds", help, &self.lateness.durations())
    }
}

impl Tell for Places {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let count = i64::try_from(self.count()).unwrap_or(i64::MAX);
        let help = "Connections, those of listeners included";
        encoder.gauge("http_connections", help, count)
    }
}

impl Tell for Exports {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let [exported, dropped, failed] = self.counts();
        encoder.counter("spans_exported", "Spans that were sent", exported)?;
        let help = "Spans that were not sent: there was no room for them, or sending failed";
        encoder.counter("spans_dropped", help, dropped)?;
        encoder.counter("span_exports_failed", "Exports of spans that failed", failed)
    }
}
