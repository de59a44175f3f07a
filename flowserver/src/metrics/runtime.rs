//! What the runtime and its store say of themselves.

use std::fmt::Error;

use flowruntime::FlowRuntime;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::encode::Encode;

#[derive(Debug)]
pub(super) struct OfRuntime(pub(super) FlowRuntime);

impl Collector for OfRuntime {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let now = self.0.metrics();
        encoder.gauge(
            "executions_queued",
            "Executions that wait for their turn",
            now.queued_executions,
        )?;
        encoder.gauge(
            "executions_running",
            "Executions in which something happens",
            now.running_executions,
        )?;
        encoder.gauge(
            "executions_waiting",
            "Executions in memory that only wait; those in the store alone are not counted",
            now.waiting_executions,
        )?;
        encoder.gauge("attempts_running", "Attempts that hold a permit", now.running_attempts)?;
        encoder.gauge("attempts_limit", "How many permits there are", now.max_running_attempts)?;
        encoder.gauge("event_subscribers", "Who listens to all events", now.bus.subscribers)?;
        encoder.gauge("event_lag", "Events that the slowest of them has not taken", now.bus.lag)?;
        let (Some(store), Some(durations)) = (now.store, self.0.append_durations()) else {
            return Ok(());
        };
        encoder.gauge(
            "store_connections",
            "How many connections to the store there may be",
            store.connections,
        )?;
        encoder.gauge("store_connections_in_use", "How many of them are in use", store.in_use)?;
        encoder.gauge(
            "store_requests_waiting",
            "Requests that wait for the store",
            store.waiting,
        )?;
        encoder.counter(
            "store_commits",
            "Transactions that were committed, each with one flush",
            store.commits,
        )?;
        encoder.counter("store_appends", "Appends to journals that they held", store.appends)?;
        let help = "How long it took until appends to journals were durable, in seconds";
        encoder.durations("store_append_duration_seconds", help, &durations)
    }
}
