//! Webhook and event triggers of the workflows that are saved: what they are, whether they are
//! enabled, which path is whose, and what their executions are started with.
//!
//! What a workflow says of its triggers is in its record. What the server adds is kept beside it and
//! changes with it in one transaction: whose a path is, in a record of the whole installation, and
//! for each trigger what an operator has said and the key in its address.

mod ask;
mod book;
mod key;
mod publish;
mod publisher;
mod save;
mod start;
mod trigger;

pub(crate) use ask::{Asked, ask};
pub(crate) use book::{Found, Triggers};
pub(crate) use key::{TriggerKey, of_workflow};
pub(crate) use publish::{PublishError, publish};
pub(crate) use publisher::ServerPublisher;
pub(crate) use save::{SaveError, save};
pub(crate) use start::{Cause, prepare};
pub(crate) use trigger::{Kind, State, Trigger};

use flowruntime::store::StoreError;

/// How often a change is tried when others change the same.
const TRIES: usize = 10;

fn busy() -> StoreError {
    StoreError::Unavailable { message: "others change the trigger all the time".to_owned() }
}
