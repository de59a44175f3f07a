//! The one run that is really made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowcore::{
    Clock, Event, ExecutionEvent, ExecutionId, ExecutionStatus, Instance, Object, Wait,
};
use flowruntime::store::{MemoryStore, Store};
use flowruntime::{BlockingRuntime, FlowRuntime, History, RuntimeClock};

use super::cast::{Cast, Script};
use super::ledger::Ledger;
use super::{Recording, Site};
use crate::commands::how::{Shown, can_ask, run_and_show};
use crate::error::CliError;
use crate::execution::signals::GivenSignal;
use crate::execution::{Begin, Ended};
use crate::exit_code::ExitCode;
use crate::session::Session;
use crate::store;

/// How often it is looked whether the execution waits for somebody who will not come.
const LOOK: Duration = Duration::from_millis(100);

/// How long a wait may be that nobody can end, unless a longer time was given.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the run is made.
pub(crate) struct How {
    pub(crate) inputs: Object,
    pub(crate) signals: Vec<GivenSignal>,
    pub(crate) timeout: Option<crate::duration::Given>,
    /// Whether standard input is read for something else than answers.
    pub(crate) reads_stdin: bool,
}

/// What came of it.
pub(crate) struct Made {
    pub(crate) recording: Arc<Recording>,
    pub(crate) ledger: Ledger,
    /// What its nodes have opened lives here.
    pub(crate) tokio: BlockingRuntime,
}

/// Runs the workflow as `flowcli run` does, in a store in memory, and records it. Without a record,
/// gives how the process ends.
pub(crate) fn record(
    site: &Site,
    session: &Session,
    how: How,
) -> Result<Result<Made, ExitCode>, CliError> {
    let (store, ledger) = (Arc::new(MemoryStore::new()), Ledger::default());
    let cast = Cast { script: Script::Real, ledger: ledger.clone(), process: 0, clock: None };
    let flow = site.builder().store(store.clone()).stand_ins(cast).build();
    let flow = flow.expect("no limit is set");
    let tokio = store::threads()?;
    let prepared = flow.prepare(&site.workflow, how.inputs)?;
    let (id, plan) = (prepared.id(), prepared.plan().clone());
    let waits = Arc::new(AtomicBool::new(false));
    if !can_ask(how.reads_stdin) {
        let patience = how.timeout.as_ref().map_or(PATIENCE, |timeout| timeout.duration);
        let watch = cancel_if_it_waits(store, flow.clone(), id, waits.clone(), patience);
        tokio.block_on(async { drop(tokio::spawn(watch)) });
    }
    let shown = Shown {
        timeout: how.timeout.as_ref().map(|timeout| timeout.duration),
        writes_events: false,
        kept: None,
        reads_stdin: how.reads_stdin,
    };
    let begin = Begin::New(Box::new(prepared));
    let (outcome, _) = run_and_show(session, &tokio, &flow, begin, &plan, how.signals, shown)?;
    if matches!(outcome.ended, Ended::Aborted(_)) || outcome.interrupted {
        return Ok(Err(ExitCode::Interrupted));
    }
    let history = tokio.block_on(flow.history(id))?;
    let history = history.ok_or_else(|| CliError::UnknownExecution(id.to_string()))?;
    if waits.load(Ordering::Relaxed) {
        return Err(CliError::NeverEnds(waited_for(&history)));
    }
    if let Some(timeout) = how.timeout.filter(|_| outcome.timed_out) {
        return Err(CliError::TookTooLong(timeout.text));
    }
    let recording = Arc::new(Recording::new(history));
    Ok(Ok(Made { recording, ledger, tokio }))
}

/// Ends an execution that does nothing but wait, for what nobody gives or for longer than this.
async fn cancel_if_it_waits(
    store: Arc<MemoryStore>,
    flow: FlowRuntime,
    id: ExecutionId,
    waits: Arc<AtomicBool>,
    patience: Duration,
) {
    let clock = RuntimeClock::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(Some(row)) = store.execution(id).await else { continue };
        if row.status.is_terminal() {
            return;
        }
        let is_late = row.wake_at.is_none_or(|at| at.since(clock.now()) > patience);
        let is_let_go = row.owner.is_none() && is_late;
        let is_told = store.messages(id).await.is_ok_and(|messages| !messages.is_empty());
        if row.status == ExecutionStatus::Waiting && is_let_go && !is_told {
            waits.store(true, Ordering::Relaxed);
            // One that has ended meanwhile needs no cancel.
            let _ = flow.cancel(id, None).await;
            return;
        }
    }
}

/// The signals and approvals that an execution waited for when it was cancelled.
pub(crate) fn waited_for(history: &History) -> Vec<String> {
    let mut open: Vec<(Instance, String)> = Vec::new();
    for event in &history.events {
        match event.event() {
            Some(Event::NodeWaiting {
                instance,
                wait: Wait::Signal { name, .. } | Wait::Approval { name, .. },
                ..
            }) => open.push((*instance, name.to_string())),
            Some(Event::NodeCompleted { instance, .. } | Event::NodeFailed { instance, .. }) => {
                open.retain(|(other, _)| other != instance);
            }
            Some(Event::CancelRequested { instance: None, .. }) => break,
            _ => {}
        }
    }
    open.into_iter().map(|(_, name)| name).collect()
}

/// The nodes whose attempts failed with this code.
pub(crate) fn failed_with(history: &History, code: &str) -> Vec<String> {
    let is_meant = |event: &&ExecutionEvent| match event.event() {
        Some(Event::NodeFailed { error, .. }) => error.code() == code,
        _ => false,
    };
    let failed = history.events.iter().filter(is_meant);
    let mut nodes: Vec<String> = failed.filter_map(|e| e.node_id()).map(str::to_owned).collect();
    nodes.sort();
    nodes.dedup();
    nodes
}
