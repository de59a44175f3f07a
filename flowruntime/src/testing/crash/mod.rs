//! Crashes in process: stores that fail where one wants it, and what must hold afterwards.
//!
//! A process is a tokio runtime with a [`crate::FlowRuntime`] on a store. Its store is [`Twisted`] by
//! [`Faulty`], which ends the process at one write, and over that by [`Splitting`], so that a crash
//! can leave any prefix of the events. Another process on the store below goes on, and [`check`] says
//! whether anything was lost, or done twice.

mod checker;
mod faulty;
mod keys;
mod sent;
mod splitting;
mod twisted;

pub use checker::{Crash, Deed, Finding, check};
pub use faulty::{Fault, Faulty};
pub use keys::Keys;
pub use sent::{Sent, sent};
pub use splitting::Splitting;
pub use twisted::{Twist, Twisted};
