//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowcore::{Clock, ProjectId, Secrets, Timestamp};
use flowruntime::store::StoreError;
use flowruntime::{FlowRuntime, RuntimeClock, SecretSource as _};
use flowstore::Home;

use crate::auth::{Refused, Throttle, Tokens};
use crate::connections::{Door, Draining, Places};
use crate::envelope::Hosts;
use crate::feed::{Capacity, Feeds};
use crate::limits::Rates;
use crate::metrics::{Metrics, Tally};
use crate::schedules::Schedules;
use crate::secrets::KeptSecrets;
use crate::traces::{Exports, Traces, Watch};
use crate::triggers::Triggers;
use crate::workflows::Workflows;

/// How many changes are taken notice of at once.
const CHANGES_AT_ONCE: usize = 256;

/// How often the store is asked for changes that other servers made, when no bell rang.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known of a server that cannot be asked of its runtime.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) tally: Arc<Tally>,
    pub(crate) exports: Arc<Exports>,
    pub(crate) traces: Option<Traces>,
    pub(crate) has_metrics_apart: bool,
}

impl Watched {
    /// Hears what happens in executions.
    pub(crate) fn observer(&self) -> Arc<Watch> {
        Arc::new(Watch::new(self.tally.clone(), self.traces.clone()))
    }
}

/// How the server is set up.
pub(crate) struct Setup {
    pub(crate) hosts: Hosts,
    /// Clients speak TLS with a proxy in front of the server.
    pub(crate) is_behind_tls: bool,
    /// Executions that are kept nowhere may run.
    pub(crate) allows_in_memory: bool,
    /// Whether other servers execute from the store as well.
    pub(crate) has_others: bool,
    pub(crate) rates: Rates,
    pub(crate) places: Arc<Places>,
    pub(crate) watched: Watched,
}

#[cfg(test)]
impl Default for Setup {
    fn default() -> Self {
        Self {
            hosts: Hosts::new(Vec::new()),
            is_behind_tls: false,
            allows_in_memory: false,
            has_others: false,
            rates: Rates::new(None),
            places: Places::new(1, None),
            watched: Watched::default(),
        }
    }
}

/// What all requests share.
pub(crate) struct App {
    pub(crate) runtime: FlowRuntime,
    pub(crate) home: Arc<dyn Home>,
    pub(crate) workflows: Workflows,
    pub(crate) schedules: Schedules,
    pub(crate) triggers: Triggers,
    pub(crate) tokens: Tokens,
    pub(crate) secrets: Arc<KeptSecrets>,
    pub(crate) throttle: Throttle,
    pub(crate) refused: Refused,
    pub(crate) rates: Rates,
    pub(crate) feeds: Feeds,
    pub(crate) places: Arc<Places>,
    pub(crate) metrics: Arc<Metrics>,
    /// Where spans go, if they go somewhere.
    pub(crate) traces: Option<Traces>,
    /// Metrics are told elsewhere: not where everybody else asks.
    pub(crate) has_metrics_apart: bool,
    pub(crate) hosts: Hosts,
    pub(crate) draining: Draining,
    /// Clients speak TLS with a proxy in front of the server.
    pub(crate) is_behind_tls: bool,
    /// Executions that are kept nowhere may run.
    pub(crate) allows_in_memory: bool,
    /// The last change that was taken notice of.
    seen: AtomicU64,
}

impl App {
    pub(crate) fn new(
        runtime: FlowRuntime,
        home: Arc<dyn Home>,
        secrets: Arc<KeptSecrets>,
        setup: Setup,
    ) -> Self {
        let Setup { hosts, is_behind_tls, allows_in_memory, has_others, rates, places, watched } =
            setup;
        let Watched { tally, exports, traces, has_metrics_apart } = watched;
        Self {
            feeds: Feeds::new(runtime.clone(), home.clone(), has_others, Capacity::USUAL, now),
            rates,
            workflows: Workflows::new(home.clone()),
            schedules: Schedules::new(home.clone()),
            triggers: Triggers::default(),
            tokens: Tokens::new(home.clone(), now),
            secrets,
            metrics: Arc::new(Metrics::new(runtime.clone(), places.clone(), tally, exports)),
            places,
            traces,
            has_metrics_apart,
            runtime,
            home,
            throttle: Throttle::default(),
            refused: Refused::default(),
            hosts,
            draining: Draining::new(),
            is_behind_tls,
            allows_in_memory,
            seen: AtomicU64::new(0),
        }
    }

    /// What its connections come through.
    pub(crate) fn door(&self) -> Door {
        Door {
            places: self.places.clone(),
            draining: self.draining.clone(),
            metrics: self.metrics.clone(),
        }
    }

    /// The secrets that executions of a project may read.
    pub(crate) fn secrets_of(&self, project: &ProjectId) -> Secrets {
        self.secrets.secrets_of(project)
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
                self.secrets.notice(record);
                self.schedules.notice(record);
                self.triggers.notice(record);
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
