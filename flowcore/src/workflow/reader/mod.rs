//! From a tree of values to a workflow: every problem is listed, none hides another.
//!
//! The reader checks the *shape*: keys, types and the ranges that Rust types have. What the values
//! mean together is for validation. A key whose value is null counts as left out.

mod document;
mod fields;
mod node;
mod settings;
mod tagged;
mod trigger;

pub use document::read_workflow;
pub(crate) use document::{read_body, read_unplaced};
pub use fields::{Area, Fields, Problems};
pub(crate) use fields::{MAX_PROBLEMS, too_many_problems};
pub(crate) use node::{EFFECTS, JOINS};
pub(crate) use settings::{DURABILITIES, ON_ERRORS, ON_LIMITS, RETRY_WORKFLOW};
pub(crate) use trigger::{METHODS, MISSED, RESPOND, TRIGGER_KEYS, TRIGGER_TYPES, TriggerKeys};

/// The keys of every kind of object, for the test that compares them with the JSON Schema.
#[cfg(test)]
pub(crate) mod keys {
    pub(crate) use super::document::{BODY_KEYS, CONNECTION_KEYS, WORKFLOW_KEYS};
    pub(crate) use super::node::{
        CACHE_KEYS, NODE_KEYS, POSITION_KEYS, RETRY_POLICY_KEYS, UNDO_KEYS,
    };
    pub(crate) use super::settings::{CONCURRENCY_KEYS, RATE_LIMIT_KEYS, SETTINGS_KEYS};
    pub(crate) use super::trigger::{TRIGGER_KEYS, TRIGGER_TYPES};
}

#[cfg(test)]
mod tests;
