//! Executions that outlive their process.
//!
//! A runtime with a store enters it as an owner, and a task of its own, the [`keeper`], takes what is
//! due from it: executions whose owner is dead, that waited long enough, or that were told something.
//! Each is folded from its journal and goes on in a driver as any other. Whoever holds a handle is told
//! what became of its execution, wherever it ended.

mod definition;
mod executions;
mod export;
mod follow;
mod heartbeat;
mod history_size;
mod journal;
mod keeper;
mod load;
mod log_lines;
mod replay;
mod since;
mod start;
mod tell;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flowcore::machine::HistoryLimits;
use flowcore::value::Codec;
use flowcore::{Digest, ExecutionId, SharedPlan};
use tokio::sync::{Notify, OnceCell, watch};
use tokio::time::Instant;

use crate::clock::Time;
use crate::control::{Command, Control};
use crate::histogram::Histogram;
use crate::plans::MAX_PLANS;
use crate::runtime::Shared;
use crate::store::{Blob, Message, Owner, OwnerId, Retention, Store, StoreError};

pub(crate) use definition::{Bundle, Recording};
use heartbeat::Heartbeat;

pub use executions::{History, RerunFailure};
pub use export::{EXPORT_VERSION, Export};
pub use follow::Follow;
pub(crate) use journal::{StoreJournal, Written};
pub use load::LoadError;
pub use replay::Replay;
pub(crate) use start::StoredStart;
pub use tell::{Tell, TellError};

/// The bounds of the durations of appends, in seconds. A flush takes from tens of microseconds to tens of
/// milliseconds; a store that is asked again takes longer.
const APPEND_BOUNDS: [f64; 11] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// What a runtime with a store has.
pub(crate) struct Durable {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) codec: Codec,
    /// Whether it goes on with executions that it did not start itself.
    recovers: bool,
    /// How long the history of each may become.
    pub(crate) history: HistoryLimits,
    retention: Retention,
    clock: Time,
    /// How long it took until appends to journals were durable.
    pub(crate) append_durations: Arc<Histogram>,
    /// Who it is in the store, once it has entered.
    owner: watch::Sender<Option<Owner>>,
    has_keeper: OnceCell<()>,
    heartbeat: Mutex<Option<Heartbeat>>,
    known: Mutex<HashMap<ExecutionId, Known>>,
    /// What was to be accepted for this process when the answer was lost, and since when it is looked
    /// for.
    doubtful: Mutex<Vec<(ExecutionId, Instant)>>,
    /// How often drivers of executions have panicked here, of those that were not left in order since.
    panics: Mutex<HashMap<ExecutionId, u32>>,
    /// The plans of what is kept, each with the generation of the node types that it was made with.
    plans: Mutex<HashMap<Digest, (u64, SharedPlan)>>,
    /// The keeper is to look again.
    look: Notify,
    /// A driver has left an execution. Not `look`, which wakes one who waits: that is the keeper.
    gone: Notify,
    closing: watch::Sender<bool>,
}

/// An execution that somebody here executes, or has a handle of.
struct Known {
    control: Weak<Control>,
    is_loaded: bool,
}

impl Durable {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        codec: Codec,
        recovers: bool,
        history: HistoryLimits,
        retention: Retention,
        clock: Time,
    ) -> Self {
        Self {
            store,
            codec,
            recovers,
            history,
            retention,
            clock,
            append_durations: Arc::new(Histogram::new(&APPEND_BOUNDS)),
            owner: watch::Sender::new(None),
            has_keeper: OnceCell::new(),
            heartbeat: Mutex::default(),
            known: Mutex::default(),
            doubtful: Mutex::default(),
            panics: Mutex::default(),
            plans: Mutex::default(),
            look: Notify::new(),
            gone: Notify::new(),
            closing: watch::Sender::new(false),
        }
    }

    /// Who this process is in the store. The first call enters, and starts the keeper on the tokio
    /// runtime that it is made in.
    pub(crate) async fn owner(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
    ) -> Result<OwnerId, StoreError> {
        let enter = || async {
            let owner = self.enter().await?;
            if let Some(lease) = owner.lease {
                let heartbeat = Heartbeat::start(self, lease).map_err(|error| {
                    StoreError::Unavailable { message: format!("no thread can be made: {error}") }
                })?;
                *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(heartbeat);
            }
            tokio::spawn(keeper::keep(Arc::downgrade(shared)));
            Ok::<_, StoreError>(())
        };
        self.has_keeper.get_or_try_init(enter).await?;
        self.owner_now().map(|owner| owner.id).ok_or(StoreError::Closed)
    }

    /// Enters the store, the first time or again: one that was taken for dead is somebody else from
    /// then on.
    async fn enter(&self) -> Result<Owner, StoreError> {
        let owner = self.store.enter().await?;
        self.owner.send_replace(Some(owner));
        Ok(owner)
    }

    fn owner_now(&self) -> Option<Owner> {
        *self.owner.borrow()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<ExecutionId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan of a definition, if it was made with these node types.
    pub(crate) fn plan(&self, digest: Digest, generation: u64) -> Option<SharedPlan> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(&digest).filter(|(made, _)| *made == generation).map(|(_, plan)| plan.clone())
    }

    pub(crate) fn keep_plan(&self, digest: Digest, generation: u64, plan: SharedPlan) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= MAX_PLANS {
            plans.clear();
        }
        plans.insert(digest, (generation, plan));
    }

    /// A driver of this process has the execution from now on. Gives what the driver shares with those
    /// who have a handle of it: what those have already, or else `new`.
    pub(crate) fn loaded(&self, new: Arc<Control>) -> Arc<Control> {
        self.know(new, true)
    }

    /// Somebody has a handle, whoever executes it. Gives what all handles of it here share: what others
    /// have already, or else `new`.
    pub(crate) fn watched(&self, new: Arc<Control>) -> Arc<Control> {
        let control = self.know(new, false);
        self.look.notify_one();
        control
    }

    /// In one step: of two who come at the same moment, nobody would tell the second one anything.
    fn know(&self, new: Arc<Control>, is_loaded: bool) -> Arc<Control> {
        let mut all = self.known();
        // The entry of one whose handles are gone says nothing any more.
        let known = all.get_mut(&new.execution_id);
        if let Some((known, control)) = known.and_then(|it| it.control.upgrade().map(|c| (it, c))) {
            known.is_loaded |= is_loaded;
            return control;
        }
        let known = Known { control: Arc::downgrade(&new), is_loaded };
        all.insert(new.execution_id, known);
        new
    }

    /// It was not accepted after all, as far as is known.
    pub(crate) fn not_accepted(&self, control: &Control) {
        self.known().remove(&control.execution_id);
        self.gone.notify_waiters();
    }

    /// As [`Durable::not_accepted`], but nobody knows: the answer was lost. If it was accepted, the
    /// keeper goes on with it.
    pub(crate) fn doubted(&self, control: &Control) {
        self.not_accepted(control);
        self.doubtful().push((control.execution_id, Instant::now()));
        self.look.notify_one();
    }

    fn doubtful(&self) -> MutexGuard<'_, Vec<(ExecutionId, Instant)>> {
        self.doubtful.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The driver has left it.
    pub(crate) fn left(&self, control: &Control) {
        let mut known = self.known();
        let was_full = known.len() >= keeper::MAX_LOADED;
        if control.is_ended() {
            known.remove(&control.execution_id);
        } else if let Some(known) = known.get_mut(&control.execution_id) {
            known.is_loaded = false;
        }
        drop(known);
        self.gone.notify_waiters();
        // What came to its end leaves nothing to look for, unless others have waited for room.
        if was_full || !control.has_result() {
            self.look.notify_one();
        }
    }

    /// The driver of an execution has panicked; gives how often by now.
    pub(crate) fn count_panic(&self, id: ExecutionId) -> u32 {
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let count = panics.entry(id).or_default();
        *count += 1;
        *count
    }

    /// An execution was left in order, or somebody has to look at it first.
    pub(crate) fn forget_panics(&self, id: ExecutionId) {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// What is shared with those who have a handle of it, if there is somebody.
    pub(crate) fn control(&self, id: ExecutionId) -> Option<Arc<Control>> {
        self.known().get(&id)?.control.upgrade()
    }

    /// What is shared with the driver that has it.
    fn loaded_control(&self, id: ExecutionId) -> Option<Arc<Control>> {
        self.known().get(&id).filter(|known| known.is_loaded)?.control.upgrade()
    }

    /// Those that are executed here.
    fn all_loaded(&self) -> Vec<Arc<Control>> {
        let known = self.known();
        known.values().filter(|known| known.is_loaded).filter_map(|k| k.control.upgrade()).collect()
    }

    /// Those that somebody waits for and that are not executed here. Forgets those that nobody waits
    /// for any more.
    fn all_watched(&self) -> Vec<Arc<Control>> {
        let mut known = self.known();
        known.retain(|_, known| known.is_loaded || known.control.strong_count() > 0);
        known
            .values()
            .filter(|known| !known.is_loaded)
            .filter_map(|k| k.control.upgrade())
            .collect()
    }

    /// Tells the driver of an execution what a message says. Those that are told already are left
    /// out there.
    fn deliver(&self, id: ExecutionId, message: &Message) {
        let Some(control) = self.loaded_control(id) else { return };
        match self.codec.read(&message.body, HashMap::new()) {
            Ok(told) => drop(control.command(Command::Told(Some(message.id), told)).ok()),
            Err(error) => {
                tracing::error!(execution_id = %id, %error, "a message cannot be read");
            }
        }
    }

    /// Waits until drivers have left what they have, as far as is asked.
    async fn until(&self, has_left: impl Fn() -> bool) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if has_left() {
                return;
            }
            gone.await;
        }
    }

    /// Stops claiming, and hands back what is executed here.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        for control in self.all_loaded() {
            // One that has ended is left already.
            let _ = control.command(Command::HandBack);
        }
        self.until(|| self.all_loaded().is_empty()).await;
        if let Some(owner) = self.owner.send_replace(None)
            && let Err(error) = self.store.leave(owner.id).await
        {
            tracing::warn!(%error, "the store was not told that this process is gone");
        }
    }
}

/// Values that stand apart, as a store keeps them.
pub(crate) fn blobs_of(apart: Vec<(Digest, Vec<u8>)>) -> Vec<Blob> {
    apart.into_iter().map(|(digest, bytes)| Blob { digest, bytes: bytes.into() }).collect()
}
