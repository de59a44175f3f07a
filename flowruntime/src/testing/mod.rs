//! What tests of workflows need: time that passes at once, and stand-ins for nodes.
//!
//! ```
//! use std::time::Duration;
//!
//! use flowcore::{NodeDescriptor, NodeOutput, NodeRegistry, Workflow};
//! use flowruntime::FlowRuntime;
//! use flowruntime::testing::{Pins, StandIn, VirtualClock};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let workflow = Workflow::from_json(r#"{ "nodes": [
//!   { "id": "pause", "node_type": "time.delay", "config": { "delay_ms": 259200000 } },
//!   { "id": "pay", "node_type": "bank.pay" }
//! ], "connections": [ { "from_node": "pause", "to_node": "pay" } ] }"#)?;
//! let mut registry = NodeRegistry::new();
//! registry.register_function(NodeDescriptor::untyped("bank.pay"), |_| panic!("real money"));
//! let clock = VirtualClock::starting_at("2026-01-01T09:00:00Z".parse()?);
//! let pins = Pins::new().pin("pay", [StandIn::gives(NodeOutput::of("receipt", 7))]);
//! let runtime =
//!     FlowRuntime::builder().registry(registry).virtual_time(&clock).stand_ins(pins).build()?;
//! let result = runtime.execute(&workflow, ()).await?;
//! assert!(result.is_success());
//! assert_eq!(result.duration(), Duration::from_secs(3 * 86_400));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
//! #     .block_on(example()).unwrap();
//! ```

mod attempt_clock;
mod clock;
pub mod crash;
mod pins;
mod stand_in;

pub(crate) use attempt_clock::{AttemptClock, AttemptTime};
pub(crate) use clock::Sleep;
pub use clock::{Hold, VirtualClock};
pub use pins::{Pins, covers};
pub use stand_in::{StandIn, StandIns};
