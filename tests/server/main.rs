//! The server as its users meet it: the built binary, over HTTP.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod client;
#[cfg(feature = "postgres")]
mod cluster;
mod contract;
mod events;
mod executions;
mod feed;
mod limits;
mod listeners;
mod metrics;
mod page;
mod problems;
mod resources;
mod schedules;
mod site;
mod small_disk;
mod sockets;
mod starts;
mod stops;
mod websocket;
mod workflows;
