//! The life of a program: fed and read until it ends, or ended when the attempt is cancelled.

use std::borrow::Cow;
use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use flowcore::{CancelReason, NodeContext};
use tokio::io::AsyncWriteExt as _;
use tokio::process::ChildStdin;
use tokio::time::timeout;

use super::capture::{Capture, TooLarge};
use super::process::{Group, GroupId};

/// How long after the program's end its pipes are read on. Everything it wrote is in them already;
/// only a process that left the group can keep them open.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// How long after SIGKILL the end of the group is waited for.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no exit status.
pub(super) enum Stopped {
    Cancelled(CancelReason),
    TooLarge,
    Failed(io::Error),
}

impl From<TooLarge> for Stopped {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs to the end, or until the attempt is cancelled; then the program may take `grace` to end by
/// itself. Whatever the result, nothing of the group is left running for long: what is not ended
/// here, ends when the group is dropped.
pub(super) async fn run(
    ctx: &NodeContext,
    grace: Duration,
    group: &mut Group,
    stdin: Option<Cow<'_, [u8]>>,
    stdout: &mut Capture<'_>,
    stderr: &mut Capture<'_>,
) -> Result<ExitStatus, Stopped> {
    let id = group.id();
    let mut work = pin!(communicate(group, stdin, stdout, stderr));
    tokio::select! {
        biased;
        result = &mut work => result,
        reason = ctx.cancellation().cancelled() => {
            stop(id, grace, work).await;
            Err(Stopped::Cancelled(reason))
        }
    }
}

/// Ends a running group; `work` goes on meanwhile, so that the program is not stuck with output
/// that nobody reads, and reaps it.
async fn stop(id: GroupId, grace: Duration, mut work: impl Future + Unpin) {
    id.terminate();
    if timeout(grace, &mut work).await.is_err() {
        id.kill();
        // It ends at once, unless the kernel holds it.
        let _ = timeout(KILL_LIMIT, work).await;
    }
}

/// Writes and reads all pipes at the same time until the program has ended.
async fn communicate(
    group: &mut Group,
    stdin: Option<Cow<'_, [u8]>>,
    stdout: &mut Capture<'_>,
    stderr: &mut Capture<'_>,
) -> Result<ExitStatus, Stopped> {
    let (to_stdin, from_stdout, from_stderr) = group.pipes();
    let mut pipes = pin!(async {
        tokio::try_join!(feed(to_stdin, stdin), stdout.read(from_stdout), stderr.read(from_stderr))
    });
    let closed = tokio::select! {
        biased;
        result = &mut pipes => result.map(|_| true)?,
        result = group.exited() => result.map(|()| false)?,
    };
    group.exited().await?;
    group.id().kill();
    if !closed && let Ok(result) = timeout(DRAIN_LIMIT, pipes).await {
        result?;
    }
    Ok(group.reap().await?)
}

/// Writes the input and closes the pipe. A program that does not read all of it is fine.
async fn feed(pipe: Option<ChildStdin>, bytes: Option<Cow<'_, [u8]>>) -> Result<(), TooLarge> {
    if let (Some(mut pipe), Some(bytes)) = (pipe, bytes) {
        let _ = pipe.write_all(&bytes).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use flowcore::{
        AttemptSignals, EventSink, NodeError, NodeEvent, NodeFactory as _, NodeOutput, Value,
    };
    use serde_json::json;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::unix::pipe;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::super::exec::ExecFactory;
    use super::*;
    use crate::testing::{context, mkfifo, node};

    /// Far more than any of these takes; a test that waits longer fails.
    const DEADLINE: Duration = Duration::from_secs(60);

    async fn soon<T>(what: impl Future<Output = T>) -> T {
        timeout(DEADLINE, what).await.expect("in time")
    }

    /// A script that is running, in a directory with a pipe that all its processes hold open.
    struct Running {
        attempt: JoinHandle<Result<NodeOutput, NodeError>>,
        signals: Arc<AttemptSignals>,
        lines: mpsc::UnboundedReceiver<String>,
        held: pipe::Receiver,
        _directory: tempfile::TempDir,
    }

    struct Lines(mpsc::UnboundedSender<String>);

    impl EventSink for Lines {
        fn emit(&self, event: NodeEvent) {
            if let NodeEvent::StdoutLine { line } = event {
                let _ = self.0.send(line);
            }
        }
    }

    impl Running {
        /// Starts a script and waits until it has written `ready`.
        async fn start(script: &str, config: serde_json::Value) -> Self {
            let directory = tempfile::tempdir().unwrap();
            mkfifo(&directory.path().join("held"));
            let held = pipe::OpenOptions::new().open_receiver(directory.path().join("held"));
            let (sender, mut lines) = mpsc::unbounded_channel();
            let signals = Arc::new(AttemptSignals::new(Some(Arc::new(Lines(sender)))));
            let mut config = config;
            config["command"] = json!(format!("exec 3>held; {script}"));
            config["shell"] = json!(true);
            let ctx = context(&ExecFactory.descriptor(), directory.path(), config);
            let ctx = ctx.signals(signals.clone()).build();
            let attempt = tokio::spawn(async move { node(&ExecFactory).execute(ctx).await });
            assert_eq!(soon(lines.recv()).await.as_deref(), Some("ready"));
            Self { attempt, signals, lines, held: held.unwrap(), _directory: directory }
        }

        /// Waits until no process holds the pipe any more.
        async fn gone(mut self) {
            soon(self.held.read_to_end(&mut Vec::new())).await.unwrap();
        }

        async fn cancel(&mut self) -> NodeError {
            assert!(self.signals.cancel(CancelReason::Requested), "it listens");
            soon(&mut self.attempt).await.unwrap().unwrap_err()
        }
    }

    async fn run(config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        let ctx = context(&ExecFactory.descriptor(), Path::new("/"), config).build();
        soon(node(&ExecFactory).execute(ctx)).await
    }

    #[tokio::test]
    async fn a_cancelled_script_leaves_no_process_behind() {
        let script = "sleep 999 & sleep 999 & echo ready; sleep 999";
        let mut running = Running::start(script, json!({})).await;
        let error = running.cancel().await;
        assert_eq!(error.code(), "node.cancelled");
        assert_eq!(error.message(), "the script was stopped: requested");
        running.gone().await;
    }

    #[tokio::test]
    async fn a_dropped_attempt_leaves_no_process_behind() {
        let script = "trap '' TERM; sleep 999 & echo ready; sleep 999";
        let running = Running::start(script, json!({})).await;
        running.attempt.abort();
        running.gone().await;
    }

    #[tokio::test]
    async fn a_cancelled_script_may_clean_up() {
        let script = "trap 'echo bye; exit 0' TERM; sleep 999 & echo ready; wait";
        let mut running = Running::start(script, json!({"kill_grace_ms": 60_000})).await;
        assert_eq!(running.cancel().await.code(), "node.cancelled");
        assert_eq!(running.lines.recv().await.as_deref(), Some("bye"));
        running.gone().await;
    }

    #[tokio::test]
    async fn a_script_that_does_not_listen_is_killed_after_the_grace() {
        let script = "trap '' TERM; echo ready; while :; do sleep 999; done";
        let mut running = Running::start(script, json!({"kill_grace_ms": 1})).await;
        assert_eq!(running.cancel().await.code(), "node.cancelled");
        running.gone().await;
    }

    #[tokio::test]
    async fn what_is_left_in_the_background_ends_with_the_script() {
        let script = "sleep 999 & echo ready; echo done";
        let mut running = Running::start(script, json!({})).await;
        let output = soon(&mut running.attempt).await.unwrap().unwrap();
        assert_eq!(output.get("output"), Some(&Value::from("ready\ndone")));
        running.gone().await;
    }

    #[tokio::test]
    async fn too_much_output_ends_the_script() {
        let mut config = json!({"max_output_bytes": 1_000_000});
        for stream in ["1", "2"] {
            let script = format!("echo ready; sleep 999 & yes >&{stream}");
            let mut running = Running::start(&script, config.take()).await;
            let error = soon(&mut running.attempt).await.unwrap().unwrap_err();
            assert_eq!(error.code(), "shell.output_too_large");
            assert!(!error.is_retryable());
            running.gone().await;
            config = json!({"max_output_bytes": 1_000_000});
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_process_that_left_the_group_does_not_hold_up_the_node() {
        let directory = tempfile::tempdir().unwrap();
        let script = "setsid sh -c ': > up; exec sleep 999' & echo $!; until [ -e up ]; do :; done";
        let config = json!({"command": script, "shell": true});
        let ctx = context(&ExecFactory.descriptor(), directory.path(), config).build();
        let output = soon(node(&ExecFactory).execute(ctx)).await.unwrap();
        let id = output.get("output").unwrap().as_i64().unwrap();
        let left = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn large_inputs_and_outputs_pass_at_the_same_time() {
        let large: String = "0123456789abcde\n".repeat(4 * 1024 * 1024 / 16);
        let output = run(json!({"command": "cat", "stdin": large})).await.unwrap();
        assert_eq!(output.get("stdout").unwrap().as_str(), Some(large.as_str()));
        let both = json!({"command": "tee /dev/stderr", "shell": true, "stdin": large});
        let output = run(both).await.unwrap();
        assert_eq!(output.get("stdout"), output.get("stderr"));
    }

    #[tokio::test]
    async fn a_program_need_not_read_its_input() {
        let large = "x".repeat(4 * 1024 * 1024);
        for command in ["true", "exec 0<&-; echo closed", "head -c 1 >/dev/null"] {
            let config = json!({"command": command, "shell": true, "stdin": large});
            assert!(run(config).await.is_ok(), "{command}");
        }
    }

    #[tokio::test]
    async fn a_program_may_close_its_output_and_go_on() {
        let directory = tempfile::tempdir().unwrap();
        let config = json!({"command": "exec >&- 2>&-; : > late", "shell": true});
        let ctx = context(&ExecFactory.descriptor(), directory.path(), config).build();
        soon(node(&ExecFactory).execute(ctx)).await.unwrap();
        assert!(directory.path().join("late").exists());
    }
}
