//! What the reference knows of an execution, and the steps that its rules are made of.

use std::time::Duration;

use flowcore::machine::{NodeStatus, Outcome};
use flowcore::{Effect, NodeError, NodeOutput, Object};

use crate::nodes::OUTPUTS;
use crate::script::{Attempt, Case, Happening, Key, Leaves, Link, Log, error_code, micros};

#[derive(Clone)]
pub(crate) struct State {
    pub(crate) status: NodeStatus,
    pub(crate) attempts: u32,
    /// When the first attempt started.
    pub(crate) first: i64,
    pub(crate) running: Option<Attempt>,
    /// When the next attempt is due.
    pub(crate) due: Option<i64>,
    /// The step at which its connections were resolved, and whether they let it run.
    pub(crate) ready: Option<(u64, bool)>,
    /// Its place among those that are ready.
    pub(crate) queued: u64,
    /// The step at which it came to its end.
    pub(crate) done: Option<u64>,
    /// With `error` when its failure is handled.
    pub(crate) outputs: NodeOutput,
    /// The code of its last failure.
    pub(crate) code: String,
    /// Whether it was told to stop because it lost a race.
    pub(crate) lost: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ending {
    NewRound,
    Failed(usize),
    Cancelled,
    TimedOut,
}

pub(crate) struct Reference<'a> {
    pub(crate) case: &'a Case,
    pub(crate) links: Vec<Link>,
    pub(crate) now: i64,
    /// Counts what happens to nodes.
    pub(crate) step: u64,
    pub(crate) round: u32,
    pub(crate) nodes: Vec<State>,
    pub(crate) ending: Option<Ending>,
    /// How many cancels have come.
    pub(crate) cancels: usize,
    /// How many pauses and resumes have come.
    pub(crate) pauses: usize,
    pub(crate) is_paused: bool,
    /// The node that waits for a permit.
    pub(crate) wanted: Option<usize>,
    pub(crate) log: Log,
    /// What the nodes of this round share.
    pub(crate) state: Object,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(case: &'a Case) -> Self {
        Self {
            case,
            links: case.all_links(),
            now: 0,
            step: 0,
            round: 1,
            nodes: Self::fresh(case),
            ending: None,
            cancels: 0,
            pauses: 0,
            is_paused: false,
            wanted: None,
            log: Log::new(),
            state: Object::new(),
        }
    }

    fn fresh(case: &Case) -> Vec<State> {
        let fresh = State {
            status: NodeStatus::Pending,
            attempts: 0,
            first: 0,
            running: None,
            due: None,
            ready: None,
            queued: 0,
            done: None,
            outputs: NodeOutput::new(),
            code: String::new(),
            lost: false,
        };
        vec![fresh; case.nodes.len()]
    }

    /// Until the next thing happens.
    pub(crate) fn wait(&mut self) {
        let (at, _, happening) = self.possible().into_iter().min().expect("something happens");
        self.now = at;
        match happening {
            Happening::AttemptEnds(node) => self.end_attempt(node),
            Happening::RetryIsDue(node) => {
                self.step += 1;
                self.nodes[node].due = None;
                self.nodes[node].queued = self.step;
            }
            Happening::DeadlinePasses => {
                self.is_paused = false;
                self.stop(Ending::TimedOut);
            }
            Happening::CancelComes => {
                self.cancels += 1;
                self.is_paused = false;
                self.stop(Ending::Cancelled);
            }
            Happening::PauseComes => {
                self.is_paused = self.pauses.is_multiple_of(2);
                self.pauses += 1;
            }
            Happening::PermitComes => self.start(self.wanted.expect("a node waits for it")),
        }
    }

    fn possible(&self) -> Vec<(i64, u8, Happening)> {
        let mut possible = Vec::new();
        for (n, node) in self.nodes.iter().enumerate() {
            let ends = node.running.as_ref().map(|attempt| attempt.ends);
            possible.extend(ends.map(|at| (at, Happening::AttemptEnds(n))));
            possible.extend(node.due.map(|at| (at, Happening::RetryIsDue(n))));
        }
        let deadline = self.case.deadline.filter(|_| self.may_stop());
        possible.extend(deadline.map(|at| (at, Happening::DeadlinePasses)));
        let cancel = self.case.cancels.get(self.cancels);
        possible.extend(cancel.map(|at| (*at, Happening::CancelComes)));
        let pause = self.case.pauses.get(self.pauses);
        possible.extend(pause.map(|at| (*at, Happening::PauseComes)));
        let permit = self.wanted.map(|_| self.case.next_permit(self.now));
        possible.extend(permit.map(|at| (at, Happening::PermitComes)));
        let ranked = possible.into_iter();
        ranked.map(|(at, happening)| (at, self.case.rank(happening), happening)).collect()
    }

    fn may_stop(&self) -> bool {
        matches!(self.ending, None | Some(Ending::NewRound))
    }

    /// Starts nothing more; what runs is told to stop, what waits for its next attempt has stopped.
    pub(crate) fn stop(&mut self, ending: Ending) {
        if self.may_stop() {
            self.ending = Some(ending);
            let is_busy = |n: &usize| {
                let node = &self.nodes[*n];
                node.running.is_some() || node.due.is_some()
            };
            let busy: Vec<usize> = (0..self.nodes.len()).filter(is_busy).collect();
            busy.into_iter().for_each(|n| self.stop_node(n));
        }
    }

    pub(crate) fn stop_node(&mut self, n: usize) {
        let key = self.key(n);
        match &mut self.nodes[n].running {
            Some(attempt) => self.case.tell(key, self.now, attempt),
            None => self.finish(n, NodeStatus::Cancelled),
        }
    }

    pub(crate) fn new_round(&mut self) {
        self.round += 1;
        self.ending = None;
        self.nodes = Self::fresh(self.case);
        self.state = Object::new();
    }

    /// Of the nodes that are to run, or never will, the one that has waited longest.
    pub(crate) fn next(&self, runs: bool) -> Option<usize> {
        let waits = |node: &State| {
            let is_idle = node.running.is_none() && node.due.is_none() && node.done.is_none();
            is_idle && node.ready.is_some_and(|ready| ready.1 == runs)
        };
        let waiting = (0..self.nodes.len()).filter(|&n| waits(&self.nodes[n]));
        waiting.min_by_key(|&n| self.nodes[n].queued)
    }

    pub(crate) fn anything_is_due(&self) -> bool {
        self.nodes.iter().any(|node| node.due.is_some())
    }

    pub(crate) fn incoming(&self, n: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.to == n)
    }

    pub(crate) fn outgoing(&self, n: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.from == n)
    }

    /// Whether a connection is live; `None` while its source may still run.
    pub(crate) fn is_live(&self, link: &Link) -> Option<bool> {
        let source = &self.nodes[link.from];
        source.done.map(|_| match link.leaves {
            Leaves::Anywhere => source.status == NodeStatus::Succeeded,
            Leaves::Error => source.outputs.get("error").is_some(),
            Leaves::Port(port) => source.outputs.get(OUTPUTS[port]).is_some(),
        })
    }

    fn key(&self, n: usize) -> Key {
        (self.round, n, self.nodes[n].attempts)
    }

    pub(crate) fn start(&mut self, n: usize) {
        if self.nodes[n].attempts == 0 {
            self.nodes[n].first = self.now;
        }
        let given = self.prepare(n);
        self.nodes[n].attempts += 1;
        let timeout = given.as_ref().map(|given| given.timeout);
        let timeout = timeout.map_err(|code| NodeError::new(code.clone(), ""));
        let key = self.key(n);
        self.nodes[n].running = Some(self.case.begin(key, self.now, timeout));
        self.log.insert(key, given);
    }

    /// Whether a node that may start waits for what is outside: for a permit, or for an attempt that
    /// could not be prepared, which fails before anything else starts.
    pub(crate) fn has_to_wait(&mut self, n: usize) -> bool {
        let is_inline = self.case.nodes[n].inline;
        self.wanted = (!is_inline).then_some(n);
        let fails_at_once = |node: &State| {
            node.running.as_ref().is_some_and(|it| it.started == it.ends && it.ends == self.now)
        };
        !is_inline || (self.case.is_driven && self.nodes.iter().any(fails_at_once))
    }

    pub(crate) fn end_attempt(&mut self, n: usize) {
        let attempt = self.nodes[n].running.take().expect("it runs");
        match attempt.outcome {
            Outcome::Succeeded { outputs, state_writes, .. } => {
                for (key, value) in state_writes.iter() {
                    self.state.insert(key.clone(), value.clone()).unwrap();
                }
                self.nodes[n].outputs = outputs;
                self.finish(n, NodeStatus::Succeeded);
            }
            Outcome::Cancelled => self.finish(n, NodeStatus::Cancelled),
            _ if self.nodes[n].lost => self.finish(n, NodeStatus::Cancelled),
            outcome => self.fail(n, &outcome),
        }
    }

    pub(crate) fn finish(&mut self, n: usize, status: NodeStatus) {
        self.step += 1;
        let node = &mut self.nodes[n];
        (node.status, node.done, node.due) = (status, Some(self.step), None);
    }

    pub(crate) fn note_failure(&mut self, n: usize, outcome: &Outcome) {
        let node = &mut self.nodes[n];
        // A node whose `when` failed has failed with its first attempt.
        node.attempts = node.attempts.max(1);
        node.code = error_code(outcome).to_owned();
    }

    /// When the next attempt is due, if there is one.
    pub(crate) fn next_attempt(&self, n: usize, outcome: &Outcome) -> Option<i64> {
        let (node, policy) = (&self.nodes[n], self.case.nodes[n].retry.as_ref()?);
        let (may_repeat, asked) = match outcome {
            Outcome::Failed(error) => (error.is_retryable(), error.retry_after()),
            Outcome::TimedOut => {
                (policy.retry_on_timeout && self.case.nodes[n].effect != Effect::Once, None)
            }
            _ => (false, None),
        };
        let exponent = f64::from(node.attempts) - 1.0;
        let grown = policy.delay_ms as f64 * policy.backoff_multiplier.powf(exponent);
        let jitter = if policy.jitter { self.case.plan(self.key(n)).jitter } else { 1.0 };
        let wait = grown.min(policy.max_delay_ms as f64) * jitter / 1000.0;
        let wait = Duration::from_secs_f64(wait).max(asked.unwrap_or_default());
        let due = self.now + i64::try_from(wait.as_micros()).unwrap();
        let latest = policy.max_elapsed_ms.map_or(i64::MAX, |ms| node.first + micros(ms));
        (may_repeat && node.attempts < policy.max_attempts && due < latest).then_some(due)
    }
}
