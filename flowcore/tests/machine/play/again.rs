//! Going on after a stop, after a crash, and again from a node.

use std::collections::BTreeSet;

use flowcore::PauseReason;
use flowcore::machine::{Action, ExecutionStatus, Fact, Kept, NodeStatus, Recorded, Turn, Wish};
use flowcore::{Instance, Join};

use super::{Play, Played, Snapshot, keeps_outputs, moment, new_machine};
use crate::script::{Case, End, id, without};

/// After how many events of one execution there is a crash.
const MAX_CRASHES: usize = 24;

impl Played {
    /// Whatever the last event was before a stop, going on from there ends the same.
    pub(crate) fn check_every_stop(&self, case: &Case) {
        for Snapshot { folded, journal, world } in self.snapshots.iter().cloned() {
            let mut again = Play::new(case, folded, false);
            let at = journal.last;
            (again.journal, again.world) = (journal, world);
            again.resume();
            let again = again.go_on();
            assert_eq!(again.end, self.end, "after a stop at event {at}");
            assert_eq!(again.machine, self.machine, "after a stop at event {at}");
        }
    }

    /// Whatever the last event was before a crash: nothing that has ended starts again, and where
    /// every attempt that was cut off goes on, the end is the same.
    pub(crate) fn check_every_crash(&self, case: &Case) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        // Of long executions every so many events, or it would take too long.
        let every = 1 + self.snapshots.len() / MAX_CRASHES;
        let first = usize::try_from(case.seed).unwrap() % every;
        let snapshots = self.snapshots.iter().skip(first).step_by(every);
        for Snapshot { folded, journal, world } in snapshots.cloned() {
            let mut again = Play::new(case, folded, false);
            let at = journal.last;
            (again.journal, again.world) = (journal, world);
            again.crash();
            let mut again = again.go_on();
            seen.append(&mut again.seen);
            self.check_same(&again, &format!("after a crash at event {at}"));
        }
        seen
    }

    /// A new execution from some node, with the results that are kept of this one: they are those
    /// of all nodes that succeeded and do not follow from it, and none of them starts again.
    pub(crate) fn check_rerun(&self, case: &Case) {
        if !keeps_outputs(case) {
            return;
        }
        let from = usize::try_from(case.seed / 4).unwrap() % case.nodes.len();
        let kept = self.machine.kept_for_rerun(&id(from)).unwrap();
        let links = case.all_links();
        let mut follows = BTreeSet::from([from]);
        for _ in &case.nodes {
            let reached = links.iter().filter(|link| follows.contains(&link.from));
            follows.extend(reached.map(|link| link.to).collect::<Vec<_>>());
        }
        let succeeded = |node: &usize| self.end.nodes[*node].0 == NodeStatus::Succeeded;
        let expected: Vec<usize> = (0..case.nodes.len())
            .filter(|node| succeeded(node) && !follows.contains(node))
            .collect();
        let nodes: Vec<usize> = kept.nodes().iter().map(|kept| kept.node as usize).collect();
        assert_eq!(nodes, expected, "kept from {from}");
        let json = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&json).unwrap(), kept, "{json}");
        let mut again = Play::new(case, new_machine(case, self.machine.plan().clone()), true);
        let outputs = kept.nodes().iter().map(|kept| (kept.node as usize, kept.outputs.clone()));
        again.kept = outputs.collect();
        again.turn(Fact::Start { inputs: case.inputs(), kept: Some(Box::new(kept)) });
        let again = again.go_on();
        again.check_every_stop(case);
        // Where nothing depends on when something happens, the end is the same.
        let is_timeless = case.cancels.is_empty()
            && case.deadline.is_none()
            && case.nodes.iter().all(|node| {
                let elapsed = node.retry.as_ref().and_then(|policy| policy.max_elapsed_ms);
                node.join != Join::First && elapsed.is_none()
            });
        if is_timeless && self.end.rounds == 1 && self.end.status == ExecutionStatus::Succeeded {
            let statuses = |end: &End| end.nodes.iter().map(|node| node.0).collect::<Vec<_>>();
            assert_eq!(statuses(&again.end), statuses(&self.end), "again from {from}");
            let outputs = |end: &End| without("attempts", &end.outputs);
            assert_eq!(outputs(&again.end), outputs(&self.end), "again from {from}");
        }
    }

    fn check_same(&self, again: &Self, when: &str) {
        if again.is_same {
            assert_eq!(without_attempts(&again.end), without_attempts(&self.end), "{when}");
        }
    }

    /// As with one crash, with one after the other.
    pub(crate) fn check_many_crashes(&self, case: &Case) -> BTreeSet<String> {
        let plan = self.machine.plan().clone();
        let mut again = Play::new(case, new_machine(case, plan), false);
        again.crashes = true;
        again.turn(Fact::Start { inputs: case.inputs(), kept: None });
        let mut again = again.go_on();
        self.check_same(&again, "after many crashes");
        std::mem::take(&mut again.seen)
    }
}

impl Play<'_> {
    /// The process ends, and another one goes on with what was kept.
    pub(super) fn crash(&mut self) {
        self.machine = self.folded.clone();
        let world = &mut self.world;
        (world.inline, world.permit) = (None, None);
        world.timers.clear();
        let told = std::mem::take(&mut world.told);
        for ((instance, attempt), running) in std::mem::take(&mut world.running) {
            if !told.contains_key(&(instance, attempt)) {
                world.cut_off.insert(instance, running);
            }
        }
        let was_paused = self.machine.paused().is_some();
        let again = self.journal.to_start_again.len();
        self.turn(Fact::Recover { fence: self.journal.last });
        self.check_outstanding(&self.machine);
        // What was told to stop, or is not to start twice, does not go on.
        let goes_on = self.journal.to_start_again.len() - again;
        let is_lost = goes_on != self.journal.last_interrupted;
        // What starts again waits for a permit, and for a resume.
        let waits = self.case.permit_every > 1 || (was_paused && goes_on > 0);
        self.is_same &= !is_lost && !waits;
        if self.machine.paused() == Some(PauseReason::CrashLoop) {
            self.turn(Fact::Resume { by: None });
        }
        while self.machine.wants_permit_for().is_some_and(|instance| {
            self.case.permit_every == 1 && self.journal.to_start_again.contains(&instance)
        }) {
            self.turn(Fact::PermitGranted);
        }
    }

    /// Goes on from a fold.
    pub(super) fn resume(&mut self) {
        let mut turn = Turn::recording();
        self.machine.resume(moment(self.world.now), &mut turn).unwrap();
        for Recorded { record, .. } in &turn.events {
            self.journal.take(record);
            self.folded.apply(record.clone()).unwrap();
        }
        let is_current = |wishes: &[Wish], key: &(Instance, u32)| {
            wishes.iter().any(|wish| match wish.action {
                Action::Start { instance, attempt } => (instance, attempt) == *key,
                _ => false,
            })
        };
        self.world.running.retain(|key, _| is_current(&turn.wishes, key));
        self.world.timers.clear();
        self.perform(&turn.wishes, true);
        self.check_outstanding(&self.machine);
    }
}

/// How it ended, without the numbers that every crash makes larger.
fn without_attempts(end: &End) -> End {
    End { outputs: without("attempts", &end.outputs), ..end.clone() }
}
