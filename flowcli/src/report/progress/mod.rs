//! What a running execution looks like from the terminal.
//!
//! The engine hands every event to [`Watch::note`], which folds it into a state and never waits. A
//! thread of its own shows the state as often as a person can read, so a slow terminal loses
//! pictures but never what is in them. Only lines can be lost, when there are more than a terminal
//! takes, and then it is said how many.

mod inside;
mod line;
mod moment;
mod state;
mod tree;
mod waiting;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flowcore::{ExecutionEvent, Plan};
use terminal_size::{Height, Width};
use tokio::sync::Notify;

use crate::messages::Messages;
pub(crate) use inside::Failure;
pub(crate) use state::Detail;
use state::State;
use tree::Room;
pub(crate) use waiting::{Givers, Question};

/// How often the picture changes: some fifteen times a second.
const FRAME: Duration = Duration::from_millis(66);

/// How often lines say how far a large workflow is when nothing else is said.
const STILL_RUNNING: Duration = Duration::from_secs(10);

/// How an execution is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// Not at all.
    Nothing,
    /// A line for everything that happens.
    Lines,
    /// A picture that changes.
    Tree,
}

/// Sees every event of an execution.
pub(crate) struct Watch {
    state: Mutex<State>,
    /// Something is to be shown at once.
    urgent: Condvar,
    /// Other approvals are to be asked for than before.
    questions: Notify,
    view: View,
}

impl Watch {
    /// A watch over an execution that is about to start.
    pub(crate) fn new(plan: &Plan, view: View, detail: Detail, givers: Givers) -> Self {
        let detail = Detail { statuses: detail.statuses && view == View::Lines, ..detail };
        let state = Mutex::new(State::new(plan, detail, givers));
        Self { state, urgent: Condvar::new(), questions: Notify::new(), view }
    }

    /// How the execution is shown.
    pub(crate) fn view(&self) -> View {
        self.view
    }

    /// Takes events, in order; never waits for the terminal.
    pub(crate) fn note(&self, events: &[ExecutionEvent]) {
        let mut state = self.lock();
        let now = Instant::now();
        let was_quiet = state.lines.is_empty();
        let mut asks = false;
        for event in events {
            asks |= state.apply(event, now);
        }
        if asks {
            self.questions.notify_one();
        }
        let has_lines =
            !state.is_held && was_quiet && !state.lines.is_empty() && self.view == View::Lines;
        if has_lines || state.ended {
            self.urgent.notify_one();
        }
    }

    /// Whether nothing is to be shown for now.
    pub(crate) fn hold(&self, is_held: bool) {
        self.lock().is_held = is_held;
        self.urgent.notify_one();
    }

    /// Takes what happened before anybody watched, without a word about it.
    pub(crate) fn catch_up(&self, events: &[ExecutionEvent]) {
        self.lock().catch_up(events, Instant::now());
        self.questions.notify_one();
    }

    /// From now on this command gives signals from elsewhere, but for their names.
    pub(crate) fn signals_come_by(&self, command: String) {
        self.lock().waiting.set_command(command);
    }

    /// Waits until other approvals are to be asked for than before. Cancel safe.
    pub(crate) async fn questions_changed(&self) {
        self.questions.notified().await;
    }

    /// The approval that has been asked for longest.
    pub(crate) fn next_question(&self) -> Option<Question> {
        self.lock().waiting.next().cloned()
    }

    /// Whether an approval is still waited for and not answered.
    pub(crate) fn still_asks(&self, question: &Question) -> bool {
        self.lock().waiting.holds(question)
    }

    /// An approval is answered.
    pub(crate) fn answered(&self, question: &Question) {
        self.lock().waiting.answered(question);
    }

    /// Nobody can be asked any more.
    pub(crate) fn cannot_ask(&self) {
        self.lock().stop_asking();
        self.urgent.notify_one();
    }

    /// There will be no more events, whatever the last one was.
    pub(crate) fn finish(&self) {
        self.lock().ended = true;
        self.urgent.notify_one();
    }

    /// The last lines that the programs of a failed node wrote.
    pub(crate) fn tail(&self, node: &str) -> Vec<String> {
        let state = self.lock();
        let row = state.rows.iter().find(|row| row.id == node);
        row.map(|row| row.tail.iter().cloned().collect()).unwrap_or_default()
    }

    /// The failure of the node at an address inside of a control node, such as `each[3].fetch`.
    pub(crate) fn failure(&self, address: &str) -> Option<Failure> {
        self.lock().inside.failure(address).cloned()
    }

    /// The nodes inside of control nodes that failed and that the execution went on without: how
    /// many, and the first of them, with why.
    pub(crate) fn tolerated_inside(&self) -> (usize, Vec<(String, String)>) {
        let state = self.lock();
        (state.inside.tolerated_count, state.inside.tolerated().to_vec())
    }

    /// The nodes that failed and neither ended the execution nor were handled.
    pub(crate) fn tolerated_failures(&self) -> Vec<usize> {
        let state = self.lock();
        let failed = state.rows.iter().enumerate().filter(|(_, row)| row.is_tolerated);
        failed.map(|(index, _)| index).collect()
    }

    /// Whether a node failed, wherever it stands, and the execution went on without it.
    pub(crate) fn has_tolerated_failures(&self) -> bool {
        let state = self.lock();
        state.inside.tolerated_count > 0 || state.rows.iter().any(|row| row.is_tolerated)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to show.
    fn wait(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        let (view, longest) = match self.view {
            View::Tree => (View::Tree, FRAME),
            view => (view, STILL_RUNNING),
        };
        let idle = |state: &mut State| {
            let is_told = view == View::Tree || state.lines.is_empty();
            state.is_held || (!state.ended && is_told)
        };
        let waited = self.urgent.wait_timeout_while(state, longest, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Shows what a watch sees until the execution has ended.
pub(crate) fn show(
    watch: Arc<Watch>,
    messages: Arc<Messages>,
) -> io::Result<Option<JoinHandle<()>>> {
    if watch.view == View::Nothing {
        return Ok(None);
    }
    let work = move || while !show_once(&watch, &messages) {};
    thread::Builder::new().name("flow-progress".to_owned()).spawn(work).map(Some)
}

/// Returns whether the execution has ended.
fn show_once(watch: &Watch, messages: &Messages) -> bool {
    let mut state = watch.wait();
    if state.is_held {
        return false;
    }
    let mut lines = state.take_lines();
    if lines.is_empty() && !state.ended && watch.view == View::Lines {
        lines.extend(line::still_running(&state));
    }
    let ended = state.ended;
    let picture = (watch.view == View::Tree).then(|| tree::draw(&state, Instant::now(), room()));
    drop(state);
    if !lines.is_empty() {
        messages.write(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    if let Some(picture) = picture {
        messages.draw(picture);
    }
    if ended {
        messages.settle();
    }
    ended
}

fn room() -> Room {
    let size = terminal_size::terminal_size_of(io::stderr());
    let (Width(columns), Height(rows)) = size.unwrap_or((Width(80), Height(24)));
    Room { columns: usize::from(columns), rows: usize::from(rows) }
}
