//! The events of all executions of a project, for whoever listens.
//!
//! One [`Hub`] for each project that somebody listens to hears of them, wherever they are executed, and
//! tells them to all its [`Reader`]s. A reader that comes again says how far it was, and reads what it
//! missed from the store.

mod cursor;
mod hub;
mod reader;
mod ring;
mod told;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::{ProjectId, Timestamp};
use flowruntime::store::{Store, StoreError};
use flowruntime::{FlowRuntime, LoadError};
use tokio::sync::watch;

pub(crate) use cursor::Cursor;
use hub::Hub;
pub(crate) use reader::{Heard, Reader, Wanted};
pub(crate) use ring::Capacity;
use ring::{Listener, Ring};
use told::Told;

/// The hubs of all projects.
pub(crate) struct Feeds(Arc<Shared>);

/// What hubs share.
struct Shared {
    runtime: FlowRuntime,
    store: Arc<dyn Store>,
    /// Whether others execute from the store as well.
    is_shared: bool,
    capacity: Capacity,
    now: fn() -> Timestamp,
    channels: Mutex<HashMap<ProjectId, Channel>>,
}

/// Where a hub can be heard.
#[derive(Clone)]
struct Channel {
    ring: Arc<Ring>,
    /// Whether the hub hears what happens from here on, or why it never will.
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone)]
enum State {
    Opening,
    Hears,
    Failed(StoreError),
}

impl Feeds {
    pub(crate) fn new(
        runtime: FlowRuntime,
        store: Arc<dyn Store>,
        is_shared: bool,
        capacity: Capacity,
        now: fn() -> Timestamp,
    ) -> Self {
        let channels = Mutex::default();
        Self(Arc::new(Shared { runtime, store, is_shared, capacity, now, channels }))
    }

    /// Listens to a project. Once this returns, everything that happens is heard; with a cursor, also
    /// what happened since.
    pub(crate) async fn listen(
        &self,
        project: &ProjectId,
        wanted: Wanted,
        after: Option<Cursor>,
    ) -> Result<Reader, StoreError> {
        let began = Cursor::at((self.0.now)());
        let listener = self.0.subscribe(project).await?;
        Ok(Reader::new(self.0.clone(), project.clone(), wanted, listener, after, began))
    }
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, HashMap<ProjectId, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the hub of a project says from here on; there is one when this returns.
    async fn subscribe(self: &Arc<Self>, project: &ProjectId) -> Result<Listener, StoreError> {
        let (listener, mut state) = {
            let mut channels = self.channels();
            let channel = channels.entry(project.clone()).or_insert_with(|| self.open(project));
            // Under the lock: a hub that nobody hears goes under it, too.
            (channel.ring.listen(), channel.state.clone())
        };
        let is_decided = |state: &State| !matches!(state, State::Opening);
        let known = match state.wait_for(is_decided).await {
            Ok(state) => State::clone(&state),
            Err(_) => return Err(StoreError::Closed),
        };
        match known {
            State::Failed(error) => Err(error),
            State::Opening | State::Hears => Ok(listener),
        }
    }

    fn open(self: &Arc<Self>, project: &ProjectId) -> Channel {
        let ring = Ring::new(self.capacity);
        let (says, state) = watch::channel(State::Opening);
        let hub = Hub::new(self.clone(), project.clone(), ring.clone());
        tokio::spawn(hub.run(says));
        Channel { ring, state }
    }
}

/// What cannot be read of an execution is no reason to be silent about the others.
fn note_unreadable(error: &LoadError, execution: flowcore::ExecutionId) {
    tracing::warn!(%execution, %error, "the events of an execution cannot be told");
}

#[cfg(test)]
mod tests;
