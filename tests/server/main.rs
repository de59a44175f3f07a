//! The server as its users meet it: the built binary, over HTTP.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod access;
mod answers;
mod audit;
mod canaries;
mod client;
#[cfg(feature = "postgres")]
mod cluster;
#[cfg(feature = "postgres")]
mod cluster_rolling;
#[cfg(feature = "postgres")]
mod cluster_statuses;
mod collector;
mod command_line;
mod connections;
mod contract;
mod deploy;
mod events;
mod executions;
mod feed;
mod graph;
mod history;
mod in_memory;
mod limits;
mod listeners;
mod logs;
mod metrics;
mod monitoring;
mod page;
mod problems;
mod projects;
mod published;
mod queues;
mod recovery;
mod resources;
mod schedules;
mod secrets;
mod site;
mod small_disk;
mod sockets;
mod starts;
mod statuses;
mod stops;
mod traces;
mod webhooks;
mod websocket;
mod workflows;
mod workload;
