//! The command line of the Flow workflow engine.
//!
//! As a library it makes a binary with one's own nodes, which every verb then knows:
//!
//! ```no_run
//! use flowcore::{NodeDescriptor, NodeError, NodeFactory};
//!
//! struct Hello;
//!
//! impl NodeFactory for Hello {
//!     fn node_type(&self) -> &str {
//!         "my.hello"
//!     }
//!     // …
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     flowcli::Cli::new().nodes(flownodes::register_all).node(Hello).main()
//! }
//! ```
#![warn(missing_docs)]

mod cli;
mod commands;
mod duration;
mod error;
mod execution;
mod exit_code;
mod import;
mod messages;
mod moment;
mod output;
mod place;
mod report;
mod sealing;
mod server;
mod session;
mod settings;
mod source;
mod store;
mod testing;
mod verify;
mod workflows;

pub use cli::Cli;

/// The code in the pages for users compiles and runs.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/custom-nodes.md")]
    mod custom_nodes {}
    #[doc = include_str!("../../docs/embedding.md")]
    mod embedding {}
    #[doc = include_str!("../../docs/runtime-flavours.md")]
    mod runtime_flavours {}
}
