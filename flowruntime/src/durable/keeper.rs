//! The task that looks after the executions in a store.
//!
//! It is a loop over what the store holds, never a pass that is made once: whatever nobody executes
//! and is due is found again and again until somebody does.

use std::sync::{Arc, Weak};
use std::time::Duration;

use flowcore::{Origin, ProjectId, Timestamp};

use super::load::Loaded;
use super::{Durable, LoadError};
use crate::concurrency::{Hold, Place};
use crate::control::{Command, Control};
use crate::driver::ledger::Ledger;
use crate::driver::{Begin, Driver};
use crate::runtime::{FlowRuntime, Shared, StartedWith};
use crate::store::{
    Append, Appended, Claim, ExecutionRow, OwnerId, Progress, Pruned, Retention, StoreError,
};

use super::{StoreJournal, Written};

/// How long it waits at most before it looks again, whatever rings.
const POLL: Duration = Duration::from_secs(1);

/// How many executions one claim takes.
const CLAIMED_AT_ONCE: usize = 256;

/// How many executions may be in memory before it claims no more. Those that wait are not.
pub(super) const MAX_LOADED: usize = 20_000;

/// How long an execution is kept that cannot go on here, before anybody may try again.
const UNLOADABLE: Duration = Duration::from_secs(60);

/// The same after the store did not give it, which it may do soon.
const UNANSWERED: Duration = Duration::from_secs(1);

/// How long an execution is looked for that was to be accepted when the answer was lost. What was on
/// its way to the store then has arrived by now.
const DOUBT: Duration = Duration::from_secs(60);

/// How often it forgets executions that need not be kept.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// Looks after executions until the runtime is gone.
pub(super) async fn keep(shared: Weak<Shared>) {
    let Some(mut bell) = bell_of(&shared) else { return };
    let mut pruned_at = None;
    while let Some(shared) = shared.upgrade() {
        let Some(durable) = shared.durable.clone() else { return };
        let Some(owner) = durable.owner_now().filter(|_| !*durable.closing.borrow()) else {
            return;
        };
        let runtime = FlowRuntime { shared };
        let now = tokio::time::Instant::now();
        let next_at = look(&runtime, &durable, owner.id).await;
        if pruned_at.is_none_or(|pruned_at| now - pruned_at >= PRUNE_EVERY) {
            pruned_at = Some(now);
            prune(&runtime, &durable).await;
        }
        let pause = next_at.map_or(POLL, |at| at.since(runtime.shared.clock.now())).min(POLL);
        let mut closing = durable.closing.subscribe();
        // The runtime may go meanwhile.
        drop(runtime);
        tokio::select! {
            _ = bell.changed() => {}
            _ = closing.changed() => {}
            () = durable.look.notified() => {}
            () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
        }
    }
}

fn bell_of(shared: &Weak<Shared>) -> Option<tokio::sync::watch::Receiver<u64>> {
    Some(shared.upgrade()?.durable.as_ref()?.store.bell())
}

async fn prune(runtime: &FlowRuntime, durable: &Durable) {
    if durable.retention == Retention::default() {
        return;
    }
    let now = runtime.shared.clock.now();
    loop {
        match durable.store.prune(&durable.retention, now).await {
            Ok(Pruned { executions: 0, .. }) => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => return tracing::warn!(%error, "ended executions were not forgotten"),
        }
    }
}

/// Looks once. Gives when something is due by itself.
async fn look(runtime: &FlowRuntime, durable: &Arc<Durable>, owner: OwnerId) -> Option<Timestamp> {
    let looked = async {
        let next_at = claim(runtime, durable, owner).await?;
        resolve(runtime, durable, owner).await?;
        for (id, message) in durable.store.inbox(owner).await? {
            durable.deliver(id, &message);
        }
        for control in durable.all_watched() {
            hear_of_end(runtime, durable, &control).await?;
        }
        Ok::<_, StoreError>(next_at)
    };
    match looked.await {
        Ok(next_at) => next_at,
        Err(error) => {
            tracing::warn!(%error, "the store is looked at again");
            None
        }
    }
}

/// Claims what is due, and goes on with it.
async fn claim(
    runtime: &FlowRuntime,
    durable: &Arc<Durable>,
    owner: OwnerId,
) -> Result<Option<Timestamp>, StoreError> {
    if !durable.recovers {
        return claim_own(runtime, durable, owner).await;
    }
    // All of them wait for each other: those that are claimed last may be loaded first.
    let mut hold = None;
    loop {
        let room = MAX_LOADED.saturating_sub(durable.all_loaded().len()).min(CLAIMED_AT_ONCE);
        if room == 0 {
            return Ok(None);
        }
        let now = runtime.shared.clock.now();
        let claimed = durable.store.claim(owner, now, room).await?;
        let is_all = claimed.executions.len() < room;
        for claim in claimed.executions {
            let hold = hold.get_or_insert_with(|| Arc::new(runtime.shared.lanes.hold())).clone();
            tokio::spawn(go_on(runtime.clone(), durable.clone(), owner, claim, hold));
        }
        if is_all {
            return Ok(claimed.next_at);
        }
    }
}

/// Goes on with executions that somebody here waits for, and with no others.
async fn claim_own(
    runtime: &FlowRuntime,
    durable: &Arc<Durable>,
    owner: OwnerId,
) -> Result<Option<Timestamp>, StoreError> {
    let mut next_at: Option<Timestamp> = None;
    for control in durable.all_watched() {
        let id = control.execution_id;
        let Some(row) = durable.store.execution(id).await? else { continue };
        if row.owner.is_some() || row.status.is_terminal() {
            continue;
        }
        let is_told = !durable.store.messages(id).await?.is_empty();
        if is_told || row.wake_at.is_some_and(|at| at <= runtime.shared.clock.now()) {
            if let Some(claim) = durable.store.claim_one(owner, id).await? {
                begin_to_go_on(runtime, durable, owner, claim);
            }
        } else if let Some(at) = row.wake_at {
            next_at = Some(next_at.map_or(at, |next| next.min(at)));
        }
    }
    Ok(next_at)
}

/// Goes on with executions that were accepted for this process and of which it never heard: nobody
/// else may, as long as it lives.
async fn resolve(
    runtime: &FlowRuntime,
    durable: &Arc<Durable>,
    owner: OwnerId,
) -> Result<(), StoreError> {
    let doubtful = durable.doubtful().clone();
    for (id, since) in doubtful {
        match durable.store.execution(id).await? {
            None if since.elapsed() < DOUBT => continue,
            Some(row) if row.owner == Some(owner) => {
                let claim = Claim { execution: id, fence: row.fence };
                begin_to_go_on(runtime, durable, owner, claim);
            }
            // Whoever claims what is due finds it.
            None | Some(_) => {}
        }
        durable.doubtful().retain(|(other, _)| *other != id);
    }
    Ok(())
}

/// Goes on with an execution that was claimed by itself, in a task of its own.
fn begin_to_go_on(runtime: &FlowRuntime, durable: &Arc<Durable>, owner: OwnerId, claim: Claim) {
    let hold = Arc::new(runtime.shared.lanes.hold());
    tokio::spawn(go_on(runtime.clone(), durable.clone(), owner, claim, hold));
}

async fn go_on(
    runtime: FlowRuntime,
    durable: Arc<Durable>,
    owner: OwnerId,
    claim: Claim,
    hold: Arc<Hold>,
) {
    let id = claim.execution;
    let mut hold = Some(hold);
    // One that this process lost and got again: what it still does ends first, which takes a while.
    if let Some(control) = durable.loaded_control(id) {
        hold = None;
        let _ = control.command(Command::HandBack);
        drop(control);
        durable.until(|| durable.loaded_control(id).is_none()).await;
    }
    let loaded = load_and_run(&runtime, &durable, &claim).await;
    // It has its place, or needs none.
    drop(hold);
    if let Err(error) = loaded {
        tracing::error!(execution_id = %id, %error, "the execution cannot go on here");
        let pause = match error {
            LoadError::Store(_) => UNANSWERED,
            _ => UNLOADABLE,
        };
        // It is kept meanwhile: let go, it would come back at once if a message waits for it.
        tokio::time::sleep(pause).await;
        put_off(&runtime, &durable, owner, &claim).await;
    }
}

pub(super) async fn load_and_run(
    runtime: &FlowRuntime,
    durable: &Arc<Durable>,
    claim: &Claim,
) -> Result<(), LoadError> {
    let id = claim.execution;
    let Some(kept) = durable.store.load(id).await? else { return Ok(()) };
    let plan = runtime.plan_of(durable, kept.row.definition).await?;
    let (project, last_line) = (kept.row.project.clone(), kept.last_line);
    let secrets = runtime.shared.secrets.secrets_of(&project);
    let version = kept.row.version;
    let mut loaded = durable.fold(kept, plan.clone(), secrets.clone(), false).await?;
    let messages = durable.store.messages(id).await?;
    // Nothing fails from here on: one that is loaded has a driver.
    let control = durable.loaded(runtime.new_control(id, plan.clone()));
    // Before it looks whether it has only to wait. Those that come meanwhile are in the inbox.
    messages.iter().for_each(|message| durable.deliver(id, message));
    let journal = StoreJournal::new(
        durable,
        id,
        claim.fence,
        Written {
            last_seq: loaded.machine.seq(),
            last_line,
            size: std::mem::take(&mut loaded.size),
        },
    );
    let place = place_again(runtime, &project, &loaded, &control);
    let begin = if loaded.machine.seq() == 0 {
        Begin::Start(loaded.start.inputs, loaded.start.kept)
    } else {
        Begin::Resume(claim.fence)
    };
    let origin = Origin { project, hops: loaded.start.hops };
    let (directory, caller) = (Some(&*loaded.start.directory), loaded.start.trace);
    let given = StartedWith { origin, secrets, directory, version, caller };
    let scope = runtime.scope(&control, given);
    let shared = runtime.shared.clone();
    let ledger = Ledger::Store(Box::new(journal));
    let own = || Some(runtime.shared.journal.clone()).filter(|journal| journal.is_enabled());
    let follower = control.follower().or_else(own);
    let driver = Driver::new(shared, loaded.machine, scope, control, ledger, follower, place);
    tokio::spawn(driver.run(begin));
    durable.look.notify_one();
    Ok(())
}

/// Its place among the executions of its workflow, if that limits how many run.
fn place_again(
    runtime: &FlowRuntime,
    project: &ProjectId,
    loaded: &Loaded,
    control: &Arc<Control>,
) -> Option<Place> {
    let plan = loaded.machine.plan();
    match plan.concurrency(&loaded.start.inputs) {
        Ok(limit) => Some(runtime.shared.lanes.rejoin(project, plan, &limit?, control)),
        Err(error) => {
            // It had a value when it was accepted, and what has begun goes on.
            tracing::warn!(execution_id = %control.execution_id, %error, "it is not counted");
            None
        }
    }
}

/// Lets an execution go that cannot be loaded.
pub(super) async fn put_off(
    runtime: &FlowRuntime,
    durable: &Durable,
    owner: OwnerId,
    claim: &Claim,
) {
    let row = match durable.store.execution(claim.execution).await {
        Ok(Some(row)) if row.owner == Some(owner) => row,
        Ok(_) => return,
        Err(error) => return tracing::warn!(%error, "the execution was not let go"),
    };
    let now = runtime.shared.clock.now();
    let append = letting_go(&row, now);
    match durable.store.append(append).await {
        Ok(Appended::Committed | Appended::Fenced | Appended::OutOfOrder { .. }) => {}
        Err(error) => tracing::warn!(%error, "the execution was not let go"),
    }
}

fn letting_go(row: &ExecutionRow, now: Timestamp) -> Append {
    Append {
        execution: row.id,
        fence: row.fence,
        first_seq: row.last_seq + 1,
        last_seq: row.last_seq,
        segment: Vec::new(),
        blobs: Vec::new(),
        taken: Vec::new(),
        first_line: 0,
        logs: Vec::new(),
        progress: Progress {
            status: row.status,
            started_at: row.started_at,
            at: now,
            wake_at: Some(now),
            release: true,
            error: None,
        },
    }
}

/// Tells those who wait for an execution that another process executes when it has ended.
async fn hear_of_end(
    runtime: &FlowRuntime,
    durable: &Durable,
    control: &Control,
) -> Result<(), StoreError> {
    let id = control.execution_id;
    match durable.store.execution(id).await? {
        Some(row) if row.status.is_terminal() => {}
        Some(_) => return Ok(()),
        None => {
            control.end(Err(crate::handle::WaitError::Lost));
            durable.left(control);
            return Ok(());
        }
    }
    let Some(kept) = durable.store.load(id).await? else { return Ok(()) };
    let secrets = runtime.shared.secrets.secrets_of(&kept.row.project);
    let result = match durable.fold(kept, control.plan.clone(), secrets, false).await {
        Ok(loaded) => loaded.machine.into_result().ok_or(crate::handle::WaitError::Lost),
        Err(error) => {
            tracing::error!(execution_id = %id, %error, "the result cannot be read");
            Err(crate::handle::WaitError::Lost)
        }
    };
    control.end(result);
    durable.left(control);
    Ok(())
}
