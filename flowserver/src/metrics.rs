//! How busy the server is, for Prometheus.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use flowruntime::FlowRuntime;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::connections::Places;

/// The form of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The bounds of durations of requests, in seconds.
const BOUNDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Why connections are refused, or ended.
const REASONS: [&str; 4] = ["too_many", "too_many_of_address", "slow_head", "slow_reader"];

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
}

impl Metrics {
    pub(crate) fn new(runtime: FlowRuntime, places: Arc<Places>) -> Self {
        let mut registry = Registry::with_prefix("flow");
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
        registry.register_collector(Box::new(OfConnections(places)));
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the server", version);
        registry.register_collector(Box::new(OfRuntime(runtime)));
        Self { registry, requests, durations, problems, refused }
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

/// How many connections there are.
#[derive(Debug)]
struct OfConnections(Arc<Places>);

impl Collector for OfConnections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(i64::try_from(self.0.count()).unwrap_or(i64::MAX));
        let (name, help) = ("http_connections", "Connections, those of listeners included");
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
    }
}

/// What the runtime and its store say of themselves.
#[derive(Debug)]
struct OfRuntime(FlowRuntime);

impl Collector for OfRuntime {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let now = self.0.metrics();
        let mut gauge = |name: &str, help: &str, value: usize| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)
        };
        gauge("executions_queued", "Executions that wait for their turn", now.queued_executions)?;
        gauge(
            "executions_running",
            "Executions in which something happens",
            now.running_executions,
        )?;
        gauge(
            "executions_waiting",
            "Executions in memory that only wait; those in the store alone are not counted",
            now.waiting_executions,
        )?;
        gauge("attempts_running", "Attempts that hold a permit", now.running_attempts)?;
        gauge("attempts_limit", "How many permits there are", now.max_running_attempts)?;
        gauge("event_subscribers", "Who listens to all events", now.bus.subscribers)?;
        gauge("event_lag", "Events that the slowest of them has not taken", now.bus.lag)?;
        let Some(store) = now.store else { return Ok(()) };
        gauge(
            "store_connections",
            "How many connections to the store there may be",
            store.connections,
        )?;
        gauge("store_connections_in_use", "How many of them are in use", store.in_use)?;
        gauge("store_requests_waiting", "Requests that wait for the store", store.waiting)?;
        let mut count = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)
        };
        count(
            "store_commits",
            "Transactions that were committed, each with one flush",
            store.commits,
        )?;
        count("store_appends", "Appends to journals that they held", store.appends)
    }
}
