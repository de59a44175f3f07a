//! Control nodes: what they have under way, and what they do next.

mod advance;
mod start;
mod wait;
mod work;

pub(super) use advance::error_entries;
pub use wait::{MAX_SIGNALS, Waiter};
pub(super) use work::Control;
