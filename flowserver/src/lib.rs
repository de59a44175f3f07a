//! The HTTP server of the Flow workflow engine.
//!
//! As a library it makes a server with one's own nodes:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     flowserver::Server::new().nodes(flownodes::register_all).main()
//! }
//! ```
#![warn(missing_docs)]

mod apart;
mod api;
mod app;
mod args;
mod audit;
mod auth;
mod body;
mod commands;
mod config;
mod connections;
pub mod documents;
mod envelope;
mod feed;
mod first_token;
mod hooks;
mod limits;
mod logs;
mod metrics;
mod openapi;
mod problem;
mod projects;
mod route;
mod schedules;
mod secrets;
mod server;
mod signals;
mod traces;
mod triggers;
mod workflows;

pub use server::Server;

/// The code in the pages for users compiles.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../docs/server.md")]
    mod server {}
}
