//! The idempotency keys of attempts, from events.

use std::collections::HashMap;

use flowcore::{Event, ExecutionEvent, Part, ScopeId};

/// Follows the events of an execution, in order, and knows the key that each node is told as
/// [`flowcore::NodeContext::idempotency_key`].
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// The rounds of the workflows around the nodes of a scope, outermost first.
    rounds: HashMap<ScopeId, String>,
    /// Those around the nodes that completed, by address: an undo has those of its node.
    completed: HashMap<String, Vec<String>>,
}

impl Keys {
    /// Takes the next event. Gives the key of the node that it is about, if it is about one.
    pub fn follow(&mut self, event: &ExecutionEvent) -> Option<String> {
        if let Some(fact) = event.event() {
            self.note(fact);
        }
        let (rounds, address) = (self.rounds(event.instance()?.scope), event.node_id()?);
        let key = format!("{}/{rounds}/{address}", event.execution_id);
        if let Some(Event::NodeCompleted { .. }) = event.event() {
            self.completed.entry(address.to_owned()).or_default().push(rounds);
        }
        Some(key)
    }

    fn rounds(&self, scope: ScopeId) -> String {
        self.rounds.get(&scope).cloned().unwrap_or_else(|| "1".to_owned())
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::ScopeOpened { scope, opener, part } => {
                let around = self.rounds(opener.scope);
                let own = if *part == Part::Workflow { format!("{around}.1") } else { around };
                self.rounds.insert(*scope, own);
            }
            Event::UndoStarted { scope, workflow, node } => {
                let own = self.completed.get_mut(&**node).and_then(Vec::pop);
                let own = own.unwrap_or_else(|| self.rounds(*workflow));
                self.rounds.insert(*scope, own);
            }
            Event::RoundStarted { round, scope, after } => {
                let before = self.rounds(*after);
                let own = match before.rsplit_once('.') {
                    Some((around, _)) => format!("{around}.{round}"),
                    None => round.to_string(),
                };
                self.rounds.insert(*scope, own);
            }
            _ => {}
        }
    }
}
