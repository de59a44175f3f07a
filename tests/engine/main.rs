//! The driver, proved: every test runs real executions through the public API.
//!
//! Time is tokio's paused time or does not matter; nothing here sleeps on the wall clock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[macro_use]
mod support;

mod architecture_example;
mod blocking;
mod cache;
mod cancel;
mod changes;
mod concurrency;
mod crew;
mod durable;
mod event_bus;
mod fairness;
mod handles;
mod history;
mod instances;
mod journals;
mod metrics;
mod node_events;
mod panics;
mod process;
mod rates;
mod rounds;
mod secrets;
mod site;
mod stage;
mod starting;
mod starts;
mod state;
mod time;
mod undo;
mod values;
mod virtual_time;
