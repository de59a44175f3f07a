//! The server as its users meet it: the built binary, over HTTP.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod client;
#[cfg(feature = "postgres")]
mod cluster;
mod collector;
mod contract;
mod events;
mod executions;
mod logs;
mod metrics;
mod monitoring;
mod page;
mod problems;
mod schedules;
mod site;
mod starts;
mod stops;
mod traces;
mod workflows;
