//! What a control node has under way: folded from events, and asked by whoever decides.

use std::collections::VecDeque;

use crate::control::OnItemError;
use crate::event::{ExecutionError, Opens, Part, ScopeEnd, ScopeId, Wait};
use crate::machine::state::Ending;
use crate::node::CancelReason;
use crate::plan::{BodyIndex, ControlPlan};
use crate::time::Timestamp;
use crate::value::{Array, Object, Value};

/// What a control node has under way.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::machine) struct Control {
    /// Its open scopes, in the order in which they were opened.
    pub(in crate::machine) open: VecDeque<ScopeId>,
    /// Why it fails, once that is certain.
    pub(in crate::machine) failure: Option<ExecutionError>,
    pub(super) work: Work,
}

/// How far it has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Work {
    ForEach(Items),
    Loop(Iterations),
    Race(Branches),
    Try(Box<Trial>),
    Call {
        inputs: Object,
        output: Option<Value>,
    },
    Wait {
        wait: Wait,
        until: Option<Timestamp>,
        /// What came with the signal that it waited for: it ends with that.
        payload: Option<Value>,
    },
    /// It has ended.
    Over,
}

/// A `control.for_each`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Items {
    pub(super) items: Array,
    pub(super) max_concurrency: u32,
    pub(super) on_item_error: OnItemError,
    /// The item that is opened next.
    pub(super) next: u32,
    /// What the items gave; `None` for those that did not succeed.
    pub(super) results: Vec<Option<Value>>,
    /// Why items failed, in the order in which they did.
    pub(super) failures: Vec<(u32, ExecutionError)>,
}

/// A `control.loop`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Iterations {
    /// What the iteration that is under way was given, or the next one is.
    pub(super) state: Value,
    pub(super) max_iterations: u32,
    /// How many iterations were opened.
    pub(super) opened: u32,
}

/// A `control.parallel_race`.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Branches {
    /// How many branches were opened.
    pub(super) opened: u32,
    pub(super) winner: Option<(u32, Value)>,
    pub(super) failures: Vec<(u32, ExecutionError)>,
}

/// A `control.try`.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Trial {
    pub(super) body: Step,
    pub(super) catch: Step,
    pub(super) finally: Step,
}

impl Trial {
    /// Why it fails, unless that is caught.
    pub(super) fn failure(&self) -> Option<&ExecutionError> {
        match (&self.finally, &self.catch, &self.body) {
            (Step::Ended(ScopeEnd::Failed(error)), _, _)
            | (_, Step::Ended(ScopeEnd::Failed(error)), _)
            | (_, Step::NotYet, Step::Ended(ScopeEnd::Failed(error))) => Some(error),
            (_, _, _) => None,
        }
    }
}

/// How far one part of a `control.try` has come.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) enum Step {
    #[default]
    NotYet,
    Open,
    Ended(ScopeEnd),
}

impl Control {
    /// A control node that has started.
    pub(in crate::machine) fn new(opens: Opens) -> Self {
        let work = match opens {
            Opens::ForEach { items, max_concurrency, on_item_error } => Work::ForEach(Items {
                results: vec![None; items.len()],
                items,
                max_concurrency,
                on_item_error,
                next: 0,
                failures: Vec::new(),
            }),
            Opens::Loop { state, max_iterations } => {
                Work::Loop(Iterations { state, max_iterations, opened: 0 })
            }
            Opens::Race => Work::Race(Branches::default()),
            Opens::Try => Work::Try(Box::default()),
            Opens::Call { inputs } => Work::Call { inputs, output: None },
        };
        Self { open: VecDeque::new(), failure: None, work }
    }

    /// A node that waits.
    pub(in crate::machine) fn waiting(wait: Wait, until: Option<Timestamp>) -> Self {
        Self {
            open: VecDeque::new(),
            failure: None,
            work: Work::Wait { wait, until, payload: None },
        }
    }

    /// Whether it only awaits what it has open: nothing changes how it ends.
    pub(in crate::machine) fn is_decided(&self) -> bool {
        let is_won = matches!(&self.work, Work::Race(Branches { winner: Some(_), .. }));
        self.failure.is_some() || is_won
    }

    /// What it waits for, and until when.
    pub(in crate::machine) fn wait(&self) -> Option<(&Wait, Option<Timestamp>)> {
        match &self.work {
            Work::Wait { wait, until, .. } => Some((wait, *until)),
            Work::ForEach(_)
            | Work::Loop(_)
            | Work::Race(_)
            | Work::Try(_)
            | Work::Call { .. }
            | Work::Over => None,
        }
    }

    /// What came with the signal that it waited for.
    pub(in crate::machine) fn payload(&self) -> Option<&Value> {
        match &self.work {
            Work::Wait { payload, .. } => payload.as_ref(),
            Work::ForEach(_)
            | Work::Loop(_)
            | Work::Race(_)
            | Work::Try(_)
            | Work::Call { .. }
            | Work::Over => None,
        }
    }

    /// Notes that its signal has come.
    pub(in crate::machine) fn woken(&mut self, with: Value) {
        if let Work::Wait { payload, .. } = &mut self.work {
            *payload = Some(with);
        }
    }

    /// The item of a scope.
    pub(in crate::machine) fn item(&self, index: u32) -> Option<&Value> {
        match &self.work {
            Work::ForEach(items) => items.items.get(index as usize),
            Work::Loop(_)
            | Work::Race(_)
            | Work::Try(_)
            | Work::Call { .. }
            | Work::Wait { .. }
            | Work::Over => None,
        }
    }

    /// What an iteration was given.
    pub(in crate::machine) fn state(&self) -> Option<&Value> {
        match &self.work {
            Work::Loop(iterations) => Some(&iterations.state),
            Work::ForEach(_)
            | Work::Race(_)
            | Work::Try(_)
            | Work::Call { .. }
            | Work::Wait { .. }
            | Work::Over => None,
        }
    }

    /// What a `control.try` caught.
    pub(in crate::machine) fn caught(&self) -> Option<&ExecutionError> {
        match &self.work {
            Work::Try(trial) => match &trial.body {
                Step::Ended(ScopeEnd::Failed(error)) => Some(error),
                Step::NotYet | Step::Open | Step::Ended(_) => None,
            },
            Work::ForEach(_)
            | Work::Loop(_)
            | Work::Race(_)
            | Work::Call { .. }
            | Work::Wait { .. }
            | Work::Over => None,
        }
    }

    /// Notes that a scope is opened: gives its body, and the inputs of a workflow. `None` when it
    /// cannot be.
    pub(in crate::machine) fn opened(
        &mut self,
        plan: &ControlPlan,
        part: Part,
    ) -> Option<(BodyIndex, Option<Object>)> {
        match (&mut self.work, plan, part) {
            (Work::ForEach(items), ControlPlan::ForEach(body), Part::Item(index)) => {
                let is_next = items.next == index && (index as usize) < items.items.len();
                items.next += 1;
                is_next.then_some((*body, None))
            }
            (Work::Loop(work), ControlPlan::Loop { body, .. }, Part::Iteration(index)) => {
                let is_next = work.opened == index;
                work.opened += 1;
                is_next.then_some((*body, None))
            }
            (Work::Race(work), ControlPlan::Race(bodies), Part::Branch(index)) => {
                let is_next = work.opened == index;
                work.opened += 1;
                bodies.get(index as usize).filter(|_| is_next).map(|body| (*body, None))
            }
            (Work::Try(trial), ControlPlan::Try { body, .. }, Part::Body) => {
                trial.body = Step::Open;
                Some((*body, None))
            }
            (Work::Try(trial), ControlPlan::Try { catch, .. }, Part::Catch) => {
                trial.catch = Step::Open;
                catch.map(|body| (body, None))
            }
            (Work::Try(trial), ControlPlan::Try { finally, .. }, Part::Finally) => {
                trial.finally = Step::Open;
                finally.map(|body| (body, None))
            }
            (Work::Call { inputs, .. }, ControlPlan::Call(body), Part::Workflow) => {
                Some((*body, Some(inputs.clone())))
            }
            _ => None,
        }
    }

    /// Notes how a scope ended; gives how the others end because of it.
    pub(in crate::machine) fn closed(&mut self, part: Part, end: ScopeEnd) -> Option<Ending> {
        match (&mut self.work, part) {
            (Work::ForEach(items), Part::Item(index)) => match end {
                ScopeEnd::Succeeded(value) => {
                    items.results[index as usize] = Some(value);
                    None
                }
                ScopeEnd::Failed(error) if items.on_item_error == OnItemError::Fail => {
                    self.failure.get_or_insert(error);
                    Some(Ending::Cancelled(CancelReason::SiblingFailed))
                }
                ScopeEnd::Failed(error) => {
                    items.failures.push((index, error));
                    None
                }
                ScopeEnd::Cancelled => None,
            },
            (Work::Loop(iterations), Part::Iteration(_)) => {
                match end {
                    ScopeEnd::Succeeded(value) => iterations.state = value,
                    ScopeEnd::Failed(error) => self.failure = Some(error),
                    ScopeEnd::Cancelled => {}
                }
                None
            }
            (Work::Race(branches), Part::Branch(index)) => match end {
                ScopeEnd::Succeeded(value) if branches.winner.is_none() => {
                    branches.winner = Some((index, value));
                    Some(Ending::Cancelled(CancelReason::LostRace))
                }
                ScopeEnd::Failed(error) => {
                    branches.failures.push((index, error));
                    None
                }
                ScopeEnd::Succeeded(_) | ScopeEnd::Cancelled => None,
            },
            (Work::Try(trial), Part::Body) => {
                trial.body = Step::Ended(end);
                None
            }
            (Work::Try(trial), Part::Catch) => {
                trial.catch = Step::Ended(end);
                None
            }
            (Work::Try(trial), Part::Finally) => {
                trial.finally = Step::Ended(end);
                None
            }
            (Work::Call { output, .. }, Part::Workflow) => {
                match end {
                    ScopeEnd::Succeeded(value) => *output = Some(value),
                    ScopeEnd::Failed(error) => self.failure = Some(error),
                    ScopeEnd::Cancelled => {}
                }
                None
            }
            _ => None,
        }
    }

    /// The node has ended: only why it failed is still asked for.
    pub(in crate::machine) fn let_go(&mut self) {
        if let Work::Try(trial) = &self.work {
            self.failure = trial.failure().cloned();
        }
        self.work = Work::Over;
        self.open = VecDeque::new();
    }
}
