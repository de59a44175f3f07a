//! The server as its users meet it: the built binary, over HTTP.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod answers;
mod client;
#[cfg(feature = "postgres")]
mod cluster;
mod contract;
mod events;
mod executions;
mod metrics;
mod page;
mod problems;
mod published;
mod schedules;
mod site;
mod starts;
mod stops;
mod webhooks;
mod workflows;
