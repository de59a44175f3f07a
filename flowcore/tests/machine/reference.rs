//! The rules, naively: at every step, what may happen is found anew by looking at all nodes.

use flowcore::machine::{NodeStatus, Outcome};
use flowcore::{Join, NodeError, OnError};

use crate::script::{Case, End, Log};
use crate::state::{Ending, Reference};

pub(crate) fn interpret(case: &Case) -> (End, Log) {
    let mut it = Reference::new(case);
    while !it.settle() {
        it.wait();
    }
    (it.end(), it.log)
}

impl Reference<'_> {
    /// Goes on until something outside has to happen; gives whether this is the end.
    fn settle(&mut self) -> bool {
        loop {
            self.resolve();
            let busy = self.nodes.iter().filter(|node| node.running.is_some()).count();
            let is_full = self.case.max_parallel.is_some_and(|most| busy >= most as usize);
            self.wanted = None;
            if self.is_paused {
                return false;
            }
            match (self.ending, self.next(false), self.next(true)) {
                (Some(_), ..) if busy > 0 => return false,
                (Some(Ending::NewRound), ..) => self.new_round(),
                (Some(_), ..) => return true,
                (None, Some(dead), _) => self.finish(dead, NodeStatus::Skipped),
                (None, None, None) => return busy == 0 && !self.anything_is_due(),
                (None, None, Some(_)) if is_full => return false,
                (None, None, Some(node)) => match self.when(node) {
                    Err(code) => self.fail(node, &Outcome::Failed(NodeError::new(code, ""))),
                    Ok(false) => self.finish(node, NodeStatus::Skipped),
                    Ok(true) => {
                        self.decide_race(node);
                        if self.has_to_wait(node) {
                            return false;
                        }
                        self.start(node);
                        self.end_attempt(node);
                    }
                },
            }
        }
    }

    /// Finds the nodes whose connections let them run now, or never will.
    fn resolve(&mut self) {
        for n in 0..self.nodes.len() {
            let live: Vec<_> = self.incoming(n).map(|link| self.is_live(link)).collect();
            let (all, any) = (live.iter().all(Option::is_some), live.contains(&Some(true)));
            let runs = match self.case.nodes[n].join {
                _ if live.is_empty() => Some(true),
                Join::First if any => Some(true),
                Join::All if all => Some(!live.contains(&Some(false))),
                Join::Any | Join::First if all => Some(any),
                Join::All | Join::Any | Join::First => None,
            };
            if let (None, Some(runs)) = (self.nodes[n].ready, runs) {
                self.nodes[n].ready = Some((self.step, runs));
                self.nodes[n].queued = self.step;
            }
        }
    }

    /// Stops what only served to win the race that this node has decided.
    fn decide_race(&mut self, winner: usize) {
        let starts = self.nodes[winner].attempts == 0;
        let is_race = starts && self.case.nodes[winner].join == Join::First;
        let is_useless = |it: &Self, n: usize| {
            let is_open = it.nodes[n].done.is_none() && !it.nodes[n].lost && !it.case.is_read(n);
            let mut lost = it.outgoing(n).map(|link| link.to == winner || it.nodes[link.to].lost);
            is_open && lost.next() == Some(true) && lost.all(|is_lost| is_lost)
        };
        while let Some(n) = (0..self.nodes.len()).find(|&n| is_race && is_useless(self, n)) {
            self.nodes[n].lost = true;
            self.stop_node(n);
        }
    }

    pub(crate) fn fail(&mut self, n: usize, outcome: &Outcome) {
        self.note_failure(n, outcome);
        if let Some(due) = self.next_attempt(n, outcome).filter(|_| self.ending.is_none()) {
            self.nodes[n].due = Some(due);
            return;
        }
        self.finish(n, NodeStatus::Failed);
        match self.case.on_error(n) {
            _ if self.ending.is_some() => {}
            _ if self.case.handles_error(n) => self.nodes[n].outputs = self.error(n),
            OnError::ContinueOnError => {}
            OnError::RetryWorkflow { max_attempts: most } if self.round < most => {
                self.stop(Ending::NewRound);
            }
            OnError::RetryWorkflow { .. } | OnError::StopWorkflow => self.stop(Ending::Failed(n)),
        }
    }
}
