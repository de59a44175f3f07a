//! A program together with everything that it starts.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// The processes of one attempt: a process group, killed when this is dropped.
///
/// What leaves the group on purpose (`setsid`) is not reached.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    id: GroupId,
    child_exits: Signals,
    /// Once the leader is reaped, its id may belong to somebody else.
    reaped: bool,
}

impl Group {
    /// Starts a program as the leader of a group of its own.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        // Before the child exists, so that its end cannot be missed.
        let child_exits = signal(SignalKind::child())?;
        let child = command.process_group(0).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let id = GroupId(id.expect("a child that was just started has an id"));
        Ok(Self { child, id, child_exits, reaped: false })
    }

    /// The group's id, for as long as the group is not reaped.
    pub(super) fn id(&self) -> GroupId {
        self.id
    }

    /// The pipes to the program, each at most once.
    pub(super) fn pipes(&mut self) -> (Option<ChildStdin>, ChildStdout, ChildStderr) {
        let stdout = self.child.stdout.take().expect("stdout is a pipe, taken once");
        let stderr = self.child.stderr.take().expect("stderr is a pipe, taken once");
        (self.child.stdin.take(), stdout, stderr)
    }

    /// Waits until the program has exited. It stays a zombie, which keeps its id, and so the id of
    /// the group, from being given to others. Cancel safe.
    pub(super) async fn exited(&mut self) -> io::Result<()> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(self.id.0), options)?.is_none() {
            self.child_exits.recv().await;
        }
        Ok(())
    }

    /// Takes the exit status of a program that has exited, after killing what is left of the
    /// group. Cancel safe.
    pub(super) async fn reap(&mut self) -> io::Result<ExitStatus> {
        self.id.kill();
        let status = self.child.wait().await?;
        self.reaped = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.id.kill();
        }
    }
}

/// The id of a process group that is not reaped yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupId(Pid);

impl GroupId {
    /// Asks every process of the group to end.
    pub(super) fn terminate(self) {
        self.send(Signal::TERM);
    }

    /// Ends every process of the group.
    pub(super) fn kill(self) {
        self.send(Signal::KILL);
    }

    fn send(self, signal: Signal) {
        // Fails when nobody is left to get it, which is as good.
        let _ = kill_process_group(self.0, signal);
    }
}
