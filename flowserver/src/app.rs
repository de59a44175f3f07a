//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowcore::{Clock, Timestamp};
use flowruntime::store::StoreError;
use flowruntime::{FlowRuntime, RuntimeClock};
use flowstore::Home;

use crate::auth::{Throttle, Tokens};
use crate::connections::{Draining, Places};
use crate::envelope::Hosts;
use crate::feed::{Capacity, Feeds};
use crate::limits::Rates;
use crate::metrics::Metrics;
use crate::schedules::Schedules;
use crate::workflows::Workflows;

/// How many changes are taken notice of at once.
const CHANGES_AT_ONCE: usize = 256;

/// How often the store is asked for changes that other servers made, when no bell rang.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How the server is set up.
pub(crate) struct Setup {
    pub(crate) hosts: Hosts,
    /// Clients speak TLS with a proxy in front of the server.
    pub(crate) is_behind_tls: bool,
    /// Whether other servers execute from the store as well.
    pub(crate) has_others: bool,
    pub(crate) rates: Rates,
    pub(crate) places: Arc<Places>,
}

#[cfg(test)]
impl Default for Setup {
    fn default() -> Self {
        Self {
            hosts: Hosts::new(Vec::new()),
            is_behind_tls: false,
            has_others: false,
            rates: Rates::new(None),
            places: Places::new(1, None),
        }
    }
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) runtime: FlowRuntime,
    pub(crate) home: Arc<dyn Home>,
    pub(crate) workflows: Workflows,
    pub(crate) schedules: Schedules,
    pub(crate) tokens: Tokens,
    pub(crate) throttle: Throttle,
    pub(crate) rates: Rates,
    pub(crate) feeds: Feeds,
    pub(crate) places: Arc<Places>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) hosts: Hosts,
    pub(crate) draining: Draining,
    /// Clients speak TLS with a proxy in front of the server.
    pub(crate) is_behind_tls: bool,
    /// The last change that was taken notice of.
    seen: AtomicU64,
}

impl App {
    pub(crate) fn new(runtime: FlowRuntime, home: Arc<dyn Home>, setup: Setup) -> Self {
        let Setup { hosts, is_behind_tls, has_others, rates, places } = setup;
        Self {
            feeds: Feeds::new(runtime.clone(), home.clone(), has_others, Capacity::USUAL, now),
            rates,
            workflows: Workflows::new(home.clone()),
            schedules: Schedules::new(home.clone()),
            tokens: Tokens::new(home.clone(), now),
            metrics: Arc::new(Metrics::new(runtime.clone(), places.clone())),
            places,
            runtime,
            home,
            throttle: Throttle::default(),
            hosts,
            draining: Draining::new(),
            is_behind_tls,
            seen: AtomicU64::new(0),
        }
    }

    /// Takes notice of everything that has changed since it looked last.
    pub(crate) async fn look(&self) -> Result<(), StoreError> {
        loop {
            let seen = self.seen.load(Ordering::Acquire);
            let changes = self.home.changes_after(seen, CHANGES_AT_ONCE).await?;
            let Some(last) = changes.last().map(|record| record.change) else { return Ok(()) };
            let mut workflows_changed = false;
            for record in &changes {
                self.tokens.notice(record);
                self.schedules.notice(record);
                workflows_changed |= self.workflows.notice(record);
            }
            if workflows_changed {
                self.runtime.workflows_changed();
            }
            self.seen.fetch_max(last, Ordering::AcqRel);
        }
    }

    /// Takes notice of changes as long as the server lives.
    pub(crate) async fn keep_looking(self: Arc<Self>) {
        let mut bell = self.home.bell();
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "changes cannot be read");
            }
            tokio::select! {
                rung = bell.changed() => if rung.is_err() { return },
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// What the clock of the wall says.
pub(crate) fn now() -> Timestamp {
    RuntimeClock::new().now()
}
