//! Running one execution: what it is given, and what becomes of it.

mod events;
pub(crate) mod inputs;
pub(crate) mod interrupts;
pub(crate) mod only;
mod questions;
mod running;
pub(crate) mod secrets;
pub(crate) mod signals;
mod tee;

use std::future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{CancelReason, ExecutionId, ExecutionResult};
use flowruntime::{BlockingRuntime, FlowRuntime, Journal, PreparedExecution};

use crate::error::CliError;
use crate::messages::Messages;
use crate::report::progress::Watch;
use crate::server::{Api, Following};
use crate::store::Address;
use events::EventLines;
use interrupts::Interrupts;
use questions::Asker;
use running::{Running, There};
use signals::GivenSignal;
use tee::Tee;

/// How long what still runs at the end may take to be dropped.
///
/// Dropping ends the programs that nodes have started. A plain function cannot be ended: nobody
/// waits for it longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// How an execution is run.
pub(crate) struct Options {
    /// The longest it may take.
    pub(crate) timeout: Option<Duration>,
    /// Whether every event goes to standard output.
    pub(crate) writes_events: bool,
    /// What looks at the events.
    pub(crate) watch: Arc<Watch>,
    /// The signals that are given in advance.
    pub(crate) signals: Vec<GivenSignal>,
    /// Where to say that it is being cancelled.
    pub(crate) messages: Arc<Messages>,
    /// Where it is kept, if it is.
    pub(crate) kept: Option<Kept>,
}

/// Where an execution is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) address: Address,
    /// Whether to say at the start what it is called.
    pub(crate) is_told: bool,
}

/// An execution that is to be run.
pub(crate) enum Begin {
    /// A new one.
    New(Box<PreparedExecution>),
    /// One of the store that nobody executes.
    Kept {
        /// Its id.
        id: ExecutionId,
        /// Who resumes it, if it is paused.
        resumed_by: Option<String>,
    },
    /// One of a server.
    There {
        api: Arc<Api>,
        following: Box<Following>,
        /// Heard from before it was asked for.
        interrupts: Option<Interrupts>,
        /// Whether it is only looked at: then nobody here ends it.
        is_watched: bool,
    },
}

/// What became of an execution, as far as it was waited for.
pub(crate) enum Ended {
    /// It ended by itself, or as asked.
    Result(Box<ExecutionResult>),
    /// A second Ctrl-C: it was left as it was.
    Aborted(ExecutionId),
    /// It goes on where it is, and is no longer watched.
    Left,
}

/// What became of an execution, and of those who looked at it.
pub(crate) struct Outcome {
    pub(crate) ended: Ended,
    /// Whether somebody pressed Ctrl-C.
    pub(crate) interrupted: bool,
    /// Whether the time of `--timeout` was up.
    pub(crate) timed_out: bool,
    /// What became of the events on standard output.
    pub(crate) written: Result<(), CliError>,
}

/// Runs an execution to its end, or until a second Ctrl-C.
pub(crate) fn run(
    tokio: &BlockingRuntime,
    flow: &FlowRuntime,
    mut begin: Begin,
    options: &Options,
) -> Result<Outcome, CliError> {
    let lines = options.writes_events.then(EventLines::start).transpose()?;
    let tee = Tee::new(options.watch.clone(), lines.as_ref().map(EventLines::sender));
    let closed = lines.as_ref().map(EventLines::closed);
    let mut outcome = tokio.block_on(async {
        let heard = match &mut begin {
            Begin::There { interrupts, .. } => interrupts.take(),
            Begin::New(_) | Begin::Kept { .. } => None,
        };
        let mut interrupts = match heard {
            Some(interrupts) => interrupts,
            None => Interrupts::listen().map_err(CliError::Runtime)?,
        };
        options.watch.hold(options.kept.is_some());
        let is_watched = matches!(begin, Begin::There { is_watched: true, .. });
        let execution = start(flow, begin, Arc::new(tee), options).await;
        // From here on, what happens comes after what it is called.
        options.watch.hold(false);
        let execution = execution?;
        for signal in &options.signals {
            signal.send(&execution).await;
        }
        let mut guide = Guide::new(execution, options, is_watched);
        let ended = guide.wait(&mut interrupts, closed).await?;
        if let (Ended::Result(_), Some(_)) = (&ended, &options.kept) {
            flow.close().await;
        }
        let Guide { interrupted, timed_out, .. } = guide;
        Ok::<_, CliError>(Outcome { ended, interrupted, timed_out, written: Ok(()) })
    })?;
    options.watch.finish();
    if let (Some(lines), Ended::Result(_)) = (lines, &outcome.ended) {
        outcome.written = lines.join();
    }
    Ok(outcome)
}

/// Starts an execution, or goes on with one.
async fn start(
    flow: &FlowRuntime,
    begin: Begin,
    tee: Arc<dyn Journal>,
    options: &Options,
) -> Result<Running, CliError> {
    let (id, resumed_by) = match begin {
        Begin::New(prepared) => {
            let own = prepared.id();
            options.called(own);
            let execution = prepared.journal(tee.clone()).start().await?;
            let id = execution.id();
            if id == own {
                options.tell(id, "execution");
                return Ok(Running::Here(execution));
            }
            options.tell(id, "the key stands for execution");
            (id, None)
        }
        Begin::Kept { id, resumed_by } => {
            options.tell(id, "execution");
            (id, resumed_by)
        }
        Begin::There { api, mut following, is_watched, .. } => {
            let id = following.id();
            options.called(id);
            options.tell(id, "execution");
            if is_watched {
                options.watch.catch_up(&following.past()?);
            }
            let there = There::new(api, *following, tee, options.messages.clone());
            return Ok(Running::There(Arc::new(there)));
        }
    };
    options.called(id);
    let unknown = || CliError::UnknownExecution(id.to_string());
    let history = flow.history(id).await?.ok_or_else(unknown)?;
    options.watch.catch_up(&history.events);
    if let Some(by) = resumed_by {
        flow.resume(id, Some(&by)).await?;
    }
    let (execution, _) = flow.take_up(id, Some(tee)).await?.ok_or_else(unknown)?;
    Ok(Running::Here(execution))
}

impl Options {
    /// Notes what the execution is called.
    fn called(&self, id: ExecutionId) {
        if let Some(kept) = &self.kept {
            self.watch.signals_come_by(kept.address.command(&format!("signal {id}")));
        }
    }

    /// Says what the execution is called.
    fn tell(&self, id: ExecutionId, what: &str) {
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.is_told) {
            self.messages.line(&format!("{what} {id} in {}", kept.address.url()));
        }
    }
}

/// Ends what still runs: after an abort, and after nodes that were given up.
pub(crate) fn shut_down(runtime: BlockingRuntime) {
    runtime.shutdown_timeout(PATIENCE);
}

/// Waits for an execution and passes on what is asked of it meanwhile.
struct Guide<'a> {
    execution: Running,
    options: &'a Options,
    is_watched: bool,
    interrupted: bool,
    timed_out: bool,
}

impl<'a> Guide<'a> {
    fn new(execution: Running, options: &'a Options, is_watched: bool) -> Self {
        Self { execution, options, is_watched, interrupted: false, timed_out: false }
    }

    async fn wait(
        &mut self,
        interrupts: &mut Interrupts,
        closed: Option<Arc<tokio::sync::Notify>>,
    ) -> Result<Ended, CliError> {
        let execution = self.execution.clone();
        let mut end = pin!(execution.wait());
        let mut timeout = pin!(sleep(self.options.timeout));
        let mut closed = pin!(notified(closed));
        let mut is_closed = false;
        let mut asker = Asker::new(self.options.watch.clone(), self.options.messages.clone());
        loop {
            tokio::select! {
                biased;
                result = &mut end => {
                    asker.close();
                    return Ok(Ended::Result(Box::new(result?)));
                }
                signal = interrupts.next() => {
                    asker.close();
                    if self.is_watched {
                        return Ok(Ended::Left);
                    }
                    if self.interrupted {
                        return Ok(Ended::Aborted(self.execution.id()));
                    }
                    self.interrupt(signal);
                }
                call = asker.next(), if !self.interrupted => {
                    asker.heed(call, &self.execution).await;
                }
                () = &mut timeout, if !self.timed_out => {
                    self.timed_out = true;
                    self.cancel(CancelReason::ExecutionTimeout, "--timeout");
                }
                () = &mut closed, if !is_closed => {
                    if self.is_watched {
                        return Ok(Ended::Left);
                    }
                    is_closed = true;
                    self.cancel(CancelReason::Requested, "closed standard output");
                }
            }
        }
    }

    fn interrupt(&mut self, signal: &str) {
        self.interrupted = true;
        self.options.messages.line("cancelling; Ctrl-C again aborts at once");
        self.cancel(CancelReason::Requested, signal);
    }

    fn cancel(&self, reason: CancelReason, by: &str) {
        self.execution.cancel(reason, by);
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => future::pending().await,
    }
}

async fn notified(notify: Option<Arc<tokio::sync::Notify>>) {
    match notify {
        Some(notify) => notify.notified().await,
        None => future::pending().await,
    }
}
