//! The task that starts executions when they are due.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use flowcore::Timestamp;
use flowruntime::StartError;
use flowruntime::store::{AuditEntry, StoreError};
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::schedule::start_key;
use super::state::{Claim, Outcome, Run};
use super::step::{CLAIM_TIME, Step, next_step};
use super::{Schedule, TRIES, busy};
use crate::app::App;
use crate::audit;
use crate::problem::reason_of;
use crate::triggers::TriggerKey;

/// How many schedules are looked at side by side.
const AT_ONCE: usize = 16;

/// The longest that it sleeps: the clock on the wall may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// How soon it tries again what the store did not do.
const RETRY: Duration = Duration::from_secs(1);

/// Starts executions when they are due. There may be any number, here and on other servers.
pub(crate) struct Scheduler<N> {
    app: Arc<App>,
    now: N,
    id: Uuid,
}

impl<N: Fn() -> Timestamp + Send + Sync> Scheduler<N> {
    /// One that goes by this clock.
    pub(crate) fn new(app: Arc<App>, now: N) -> Self {
        Self { app, now, id: Uuid::now_v7() }
    }

    /// Starts what is due until the server drains.
    pub(crate) async fn run(self) {
        loop {
            self.step().await;
            let pause = self.app.schedules.next_look().map(|moment| moment.since((self.now)()));
            let pause = pause.map_or(LONGEST_SLEEP, |pause| pause.min(LONGEST_SLEEP));
            tokio::select! {
                biased;
                () = self.app.draining.begins() => return,
                () = self.app.schedules.changes() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Does all that is to be done now.
    pub(super) async fn step(&self) {
        let keys = self.app.schedules.to_look_at((self.now)());
        let each = |key: TriggerKey| async move {
            // One that meets a bug does not stop the others.
            let wait = match AssertUnwindSafe(self.attend(&key)).catch_unwind().await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::warn!(schedule = key.subject(), %error, "a schedule has to wait");
                    RETRY
                }
                Err(_) => {
                    tracing::error!(schedule = key.subject(), "a schedule panicked");
                    LONGEST_SLEEP
                }
            };
            let entry = self.app.schedules.entry(&key);
            self.app.schedules.look_at(&key, &entry, Some((self.now)().after(wait)));
        };
        stream::iter(keys).for_each_concurrent(AT_ONCE, each).await;
    }

    /// Does what is to be done now for a schedule.
    async fn attend(&self, key: &TriggerKey) -> Result<(), StoreError> {
        let schedules = &self.app.schedules;
        let mut has_looked = false;
        for _ in 0..TRIES {
            if self.app.draining.has_begun() {
                return Ok(());
            }
            let (entry, now) = (schedules.entry(key), (self.now)());
            let (schedule, state) = (entry.schedule.as_deref(), entry.state.as_deref());
            let kept = match next_step(schedule, state, now, self.id) {
                Step::Wait(moment) => {
                    schedules.look_at(key, &entry, moment);
                    return Ok(());
                }
                // Whether the trigger is gone is known from what was noticed, all of it.
                Step::Keep(None) if !has_looked => {
                    has_looked = true;
                    false
                }
                Step::Keep(state) => {
                    schedules.keep(key, &entry, state.as_ref(), now, Vec::new()).await?
                }
                Step::Claim(state, skipped) => {
                    let audit = skipped.iter().map(|run| told(key, run)).collect();
                    let kept = schedules.keep(key, &entry, Some(&state), now, audit).await?;
                    if let (true, Some(schedule), Some(claim)) = (kept, schedule, &state.claim) {
                        self.start(schedule, claim).await?;
                    }
                    kept
                }
            };
            if !kept {
                self.app.look().await?;
            }
        }
        Err(busy())
    }

    /// Starts what was claimed. What is left stays claimed, and is tried again later.
    async fn start(&self, schedule: &Schedule, claim: &Claim) -> Result<(), StoreError> {
        let (mut runs, mut failure) = (Vec::new(), None);
        for due in &claim.due {
            // Others may be about to start it by now.
            let is_late = (self.now)().since(claim.at) >= CLAIM_TIME;
            if is_late || self.app.draining.has_begun() {
                break;
            }
            match self.start_one(schedule, *due).await {
                Ok(run) => runs.push(run),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.note(&schedule.key, claim, &runs).await?;
        failure.map_or(Ok(()), Err)
    }

    /// Starts the execution of a due time. An error is one of the store: it was started or not.
    async fn start_one(&self, schedule: &Schedule, due: Timestamp) -> Result<Run, StoreError> {
        let (app, key, version) = (&self.app, &schedule.key, schedule.version);
        let failed = |reason: String| Run {
            version: Some(version),
            ..Run::without_execution(due, Outcome::Failed, reason)
        };
        let id = key.workflow.as_str();
        let Some(saved) = app.workflows.get(&key.project, id, Some(version)).await? else {
            return Ok(failed("the workflow cannot be read".to_owned()));
        };
        let inputs = schedule.cron.inputs_at(due);
        let prepared = app.workflows.with_calls(&key.project, |calls| {
            app.runtime.prepare_with(&saved.workflow, inputs.clone(), calls)
        });
        let prepared = match prepared.await? {
            Ok(prepared) => prepared,
            Err(error) => return Ok(failed(reason_of(error))),
        };
        let more = [
            ("due_at", json!(due)),
            ("execution", json!(prepared.id().to_string())),
            ("version", json!(version)),
        ];
        let entry = entry(key, "schedule.start", more);
        let prepared = prepared.version(version).project(key.project.clone());
        let started = prepared.key(start_key(key, due)).audit(entry).start().await;
        Ok(match started {
            Ok(handle) => {
                app.metrics.started_late((self.now)().since(due));
                Run {
                    due_at: due,
                    until: None,
                    count: Some(1),
                    outcome: Outcome::Started,
                    reason: None,
                    execution: Some(handle.id().to_string()),
                    version: Some(version),
                }
            }
            Err(StartError::Store(StoreError::KeyConflict { .. })) => Run::without_execution(
                due,
                Outcome::Skipped,
                "it was started before, by another version or with other inputs".to_owned(),
            ),
            Err(StartError::Store(error)) => return Err(error),
            Err(error @ StartError::Skipped { .. }) => {
                Run::without_execution(due, Outcome::Skipped, reason_of(error))
            }
            Err(error) => failed(reason_of(error)),
        })
    }

    /// Keeps what became of due times that were claimed.
    async fn note(&self, key: &TriggerKey, claim: &Claim, runs: &[Run]) -> Result<(), StoreError> {
        let schedules = &self.app.schedules;
        for _ in 0..TRIES {
            let entry = schedules.entry(key);
            // The schedule is gone, and nothing is kept of it.
            let Some(state) = entry.state.as_deref() else { return Ok(()) };
            let mut state = state.clone();
            if let Some(held) = &mut state.claim
                && (held.by, held.at) == (claim.by, claim.at)
            {
                held.due.retain(|due| runs.iter().all(|run| run.due_at != *due));
            }
            if state.claim.as_ref().is_some_and(|claim| claim.due.is_empty()) {
                state.claim = None;
            }
            runs.iter().for_each(|run| state.note(run.clone()));
            // Those that were started have their entry already.
            let others = runs.iter().filter(|run| run.outcome != Outcome::Started);
            let audit = others.map(|run| told(key, run)).collect();
            if schedules.keep(key, &entry, Some(&state), (self.now)(), audit).await? {
                return Ok(());
            }
            self.app.look().await?;
        }
        Err(busy())
    }
}

fn entry<const N: usize>(key: &TriggerKey, action: &str, more: [(&str, Json); N]) -> AuditEntry {
    let more = more.map(|(name, value)| (name.to_owned(), value)).into_iter();
    let more: Map<_, _> = more.filter(|(_, value)| !value.is_null()).collect();
    audit::scheduled(&key.project, action, &key.subject(), more)
}

/// What the audit log says of due times without an execution.
fn told(key: &TriggerKey, run: &Run) -> AuditEntry {
    let action = match run.outcome {
        Outcome::Started => "schedule.start",
        Outcome::Skipped => "schedule.skip",
        Outcome::Failed => "schedule.fail",
    };
    let more = [
        ("due_at", json!(run.due_at)),
        ("until", json!(run.until)),
        ("count", json!(run.count)),
        ("reason", json!(run.reason)),
    ];
    entry(key, action, more)
}
