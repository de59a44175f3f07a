//! Undoing: what nodes that succeeded have left behind is taken back, one after the other, the one
//! that completed last first.
//!
//! What an undo is given is evaluated when its node succeeds and stands in the event, so no scope is
//! kept open for it.

use std::sync::Arc;

use super::action::Turn;
use super::apply::Impossible;
use super::lookup::Reader;
use super::prepared::{Place, Prepared};
use super::scopes::Scope;
use super::state::{Ending, Machine};
use super::status::ExecutionStatus;
use crate::event::{Event, Instance, NotUndone, Part, ScopeEnd, ScopeId, UndoInput};
use crate::node::{ConfigCell, Effect, NodeError, NodeOutput};
use crate::plan::{BodyIndex, PortSource};
use crate::time::Timestamp;
use crate::value::{Object, Value};

/// Something that may have to be undone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Undo {
    /// The address of the node.
    pub(super) node: Arc<str>,
    /// The rounds of the workflows around it, outermost first.
    pub(super) rounds: Arc<str>,
    /// The round of its workflow.
    pub(super) round: u32,
    /// The scopes of the called workflows around it.
    calls: Box<[ScopeId]>,
    how: How,
    /// Whether the last attempt to undo it was cut off, so that nobody knows what became of it.
    cut_off: bool,
}

/// How something is undone.
#[derive(Clone, Debug, PartialEq)]
enum How {
    /// By a node.
    By { body: BodyIndex, inputs: Vec<(u16, Value)>, config: Option<Object> },
    /// Not at all.
    Not { code: String, message: String, outcome_unknown: bool },
}

impl Undo {
    fn belongs_to(&self, workflow: ScopeId, root: ScopeId) -> bool {
        workflow == root || self.calls.contains(&workflow)
    }

    fn body(&self) -> Option<BodyIndex> {
        match self.how {
            How::By { body, .. } => Some(body),
            How::Not { .. } => None,
        }
    }

    /// Its entry in the list of what was not undone.
    fn not_undone(&self, code: &str, message: &str, outcome_unknown: bool) -> NotUndone {
        NotUndone {
            node: self.node.to_string(),
            round: self.round,
            code: code.to_owned(),
            message: message.to_owned(),
            outcome_unknown,
        }
    }

    /// As [`Undo::not_undone`], for one that was never tried.
    fn left(&self) -> NotUndone {
        match &self.how {
            How::By { .. } => {
                let message = "cleaning up ended before it was undone";
                self.not_undone("undo.aborted", message, false)
            }
            How::Not { code, message, outcome_unknown } => {
                self.not_undone(code, message, *outcome_unknown)
            }
        }
    }
}

// Deciding.
impl Machine {
    /// Evaluates what the undo of a node is given, if it has one. The node is about to succeed.
    #[inline]
    pub(super) fn undo_input(
        &self,
        instance: Instance,
        outputs: &NodeOutput,
    ) -> Option<Box<UndoInput>> {
        let body = self.plan_node(instance).undo()?;
        let given = self.evaluate_undo(instance, body, outputs);
        Some(Box::new(given.unwrap_or_else(UndoInput::Failed)))
    }

    fn evaluate_undo(
        &self,
        instance: Instance,
        body: BodyIndex,
        outputs: &NodeOutput,
    ) -> Result<UndoInput, NodeError> {
        let undo = self.plan.graph().node(self.plan.body(body).first);
        let scope = self.scopes.get(instance.scope);
        let reader = Reader::of_undo(scope, instance.node, outputs);
        let mut inputs = Vec::new();
        for (port, source) in undo.sources() {
            match source {
                PortSource::Config(template) => {
                    let value = template.resolve(&mut |slot| self.lookup(slot, reader))?;
                    inputs.push((*port, value));
                }
                // It has no connections, and nothing is given to it by name.
                PortSource::Connections | PortSource::ScopeInput(_) => {}
            }
        }
        let config = match undo.config_template() {
            Some(template) => {
                let value = template.resolve(&mut |slot| self.lookup(slot, reader))?;
                Some(value.as_object().cloned().unwrap_or_default())
            }
            None => None,
        };
        Ok(UndoInput::Given { inputs, config })
    }

    /// Undoes the next node of a workflow that has ended, or is to have a new round. Gives whether
    /// there was one.
    pub(super) fn undo_next(
        &mut self,
        now: Timestamp,
        id: ScopeId,
        turn: &mut Turn,
    ) -> Result<bool, Impossible> {
        if self.undo.is_empty() || self.cleanup_aborted {
            return Ok(false);
        }
        let (scope, is_root) = (self.scopes.get(id), id == self.root);
        let mut failure = None;
        match scope.ending {
            Some(Ending::NewRound) => {}
            Some(Ending::Failed(_) | Ending::Cancelled(_) | Ending::Outputs) if is_root => {}
            // Its outputs may fail, and then it has failed.
            None if is_root => match self.outputs_failure(scope) {
                Some(error) => failure = Some(error),
                None => return Ok(false),
            },
            Some(_) | None => return Ok(false),
        }
        let Some(position) = self.next_undo(id) else { return Ok(false) };
        let node = self.undo[position].node.clone();
        if is_root || self.root_scope().ending.is_some() {
            let has_failed = failure.is_some();
            self.begin_cleanup(now, failure, turn)?;
            if has_failed {
                self.clear_deadline(turn);
            }
        }
        let scope = self.scopes.next_id();
        self.emit(now, Event::UndoStarted { scope, workflow: id, node }, turn)?;
        Ok(true)
    }

    /// The next one of a workflow that can be undone.
    fn next_undo(&self, workflow: ScopeId) -> Option<usize> {
        self.undo.iter().rposition(|undo| {
            undo.belongs_to(workflow, self.root) && matches!(undo.how, How::By { .. })
        })
    }

    /// What the end of the execution says was not undone.
    pub(super) fn left_undone(&self, status: ExecutionStatus) -> Vec<NotUndone> {
        let mut list = self.not_undone.clone();
        if status != ExecutionStatus::Succeeded {
            list.extend(self.undo.iter().rev().map(Undo::left));
        }
        list
    }

    /// What an attempt to undo something is given.
    pub(super) fn prepare_undo(undo: &Undo, prepared: &mut Prepared) {
        prepared.round = undo.round;
        let address = format!("{}~undo", undo.node).into();
        prepared.place = Some(Place::Written { rounds: undo.rounds.clone(), address });
        if let How::By { inputs, config, .. } = &undo.how {
            for (port, value) in inputs {
                prepared.inputs[usize::from(*port)] = Some(value.clone());
            }
            let cell = |config: &Object| Arc::new(ConfigCell::new(config.clone()));
            prepared.config = config.as_ref().map(cell);
        }
    }
}

// Folding.
impl Machine {
    /// A node has succeeded that may have to be undone.
    pub(super) fn note_undo(&mut self, instance: Instance, input: UndoInput) {
        let how = match input {
            UndoInput::Given { inputs, config } => {
                let Some(body) = self.plan_node(instance).undo() else { return };
                How::By { body, inputs, config }
            }
            UndoInput::Failed(error) => How::Not {
                code: error.code().to_owned(),
                message: error.to_string(),
                outcome_unknown: false,
            },
        };
        self.push_undo(instance, how);
    }

    fn push_undo(&mut self, instance: Instance, how: How) {
        let scope = self.scopes.get(instance.scope);
        let mut calls = Vec::new();
        let mut home = self.home(scope);
        while let Some(opener) = home.opener {
            calls.push(home.id);
            home = self.home(self.scopes.get(opener.scope));
        }
        let undo = Undo {
            node: self.address(instance).into(),
            rounds: self.rounds(scope).into(),
            round: self.home(scope).round(),
            calls: calls.into(),
            how,
            cut_off: false,
        };
        self.undo.push(undo);
    }

    /// An attempt has ended otherwise than well; `is_cut_off` when it did not say how itself, and no
    /// other one follows.
    pub(super) fn note_cut_off(&mut self, instance: Instance, is_cut_off: bool) {
        let node = self.plan.graph().node(instance.node);
        let is_unknown = is_cut_off
            && node.control().is_none()
            && matches!(node.effect, Effect::Idempotent | Effect::Once);
        let undoes = node.undo().is_some();
        if let Some(undo) = &mut self.scopes.get_mut(instance.scope).undo {
            undo.cut_off = is_unknown;
        } else if undoes && is_unknown {
            let message = "its last attempt was cut off, so what it has done is not known";
            self.push_undo(
                instance,
                How::Not {
                    code: "undo.outcome_unknown".to_owned(),
                    message: message.to_owned(),
                    outcome_unknown: true,
                },
            );
        }
    }

    /// The next node of a workflow is undone.
    pub(super) fn undo_started(&mut self, workflow: ScopeId) -> Result<(), Impossible> {
        let nothing = Impossible::NoSuchInstance { seq: self.seq };
        loop {
            let position = self.undo.iter().rposition(|u| u.belongs_to(workflow, self.root));
            let undo = self.undo.remove(position.ok_or(nothing.clone())?);
            let Some(body) = undo.body() else {
                self.not_undone.push(undo.left());
                continue;
            };
            let id = self.open_scope(body, Part::Undo, None, None);
            let scope = self.scopes.get_mut(id);
            scope.home = workflow;
            scope.undo = Some(Box::new(undo));
            // The workflow is not done before it.
            self.scopes.get_mut(workflow).running += 1;
            return Ok(());
        }
    }

    /// An undo has ended.
    pub(super) fn undo_ended(&mut self, scope: &Scope, end: &ScopeEnd) {
        let Some(undo) = scope.undo.as_deref() else { return };
        self.scopes.get_mut(scope.home).running -= 1;
        let entry = match end {
            ScopeEnd::Succeeded(_) => return,
            ScopeEnd::Failed(error) => undo.not_undone(&error.code, &error.message, undo.cut_off),
            ScopeEnd::Cancelled if undo.cut_off => {
                undo.not_undone("undo.aborted", "its undo was cut off", true)
            }
            ScopeEnd::Cancelled => undo.left(),
        };
        self.not_undone.push(entry);
    }

    /// A workflow starts again: what is left of the round before could not be undone.
    pub(super) fn forget_undo(&mut self, workflow: ScopeId) {
        let root = self.root;
        let is_of = |undo: &Undo| undo.belongs_to(workflow, root);
        let left = self.undo.iter().rev().filter(|undo| is_of(undo)).map(Undo::left);
        self.not_undone.extend(left);
        self.undo.retain(|undo| !is_of(undo));
    }
}
