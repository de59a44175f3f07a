//! Who answers instead of nodes.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{Effect, NodeContext, NodeError, NodeIndex, Plan};
use flowruntime::testing::{Pins, StandIn, StandIns, VirtualClock, covers};

use super::codes;
use super::ledger::{By, Ledger};
use super::recording::Recording;
use crate::testing::codes::NOT_PINNED;
use crate::testing::stage::HARMLESS;

/// Longer than anything takes: some ten thousand years, which is as far as a clock goes.
const FOR_EVER: Duration = Duration::from_secs(86_400 * 365 * 10_000);

/// What attempts do.
#[derive(Clone)]
pub(crate) enum Script {
    /// What they do always.
    Real,
    /// What a test file says, and what is `pure` really.
    Pinned(Arc<Pins>),
    /// What they did in a recorded run, and what is `pure` really.
    Recorded {
        recording: Arc<Recording>,
        /// The address of a node that runs really once more.
        again: Option<String>,
    },
}

/// Stands in for the nodes of one process.
pub(crate) struct Cast {
    pub(crate) script: Script,
    pub(crate) ledger: Ledger,
    /// The process, from 0.
    pub(crate) process: usize,
    /// The time of the process, unless it is the real one.
    pub(crate) clock: Option<VirtualClock>,
}

impl StandIns for Cast {
    fn stand_in(&self, plan: &Plan, node: NodeIndex, context: &NodeContext) -> Option<StandIn> {
        let effect = plan.graph().node(node).effect();
        let note = |by| self.ledger.note(self.process, effect, context, by);
        match &self.script {
            Script::Real => {
                note(By::Itself);
                None
            }
            Script::Pinned(pins) => {
                let pinned = pins.find(context.address(), context.attempt()).cloned();
                note(if pinned.is_some() { By::StandIn } else { By::Itself });
                let node_type: &str = &plan.spec(node).node_type;
                let may_run = effect == Effect::Pure || HARMLESS.contains(&node_type);
                let refused = || {
                    let message = "it would touch the world, and the test does not pin it";
                    StandIn::fails(NodeError::new(NOT_PINNED, message))
                };
                pinned.or_else(|| (!may_run).then(refused))
            }
            Script::Recorded { recording, again } => {
                let key = context.idempotency_key();
                let runs_again = again.as_deref().is_some_and(|a| covers(a, context.address()));
                let is_pure = effect == Effect::Pure && !recording.is_pinned(&key);
                let is_made = is_pure || runs_again;
                let answer = self.recorded(recording, &key, context.attempt(), is_made);
                note(match answer {
                    None => By::Nobody,
                    Some(_) if is_made => By::Itself,
                    Some(_) => By::StandIn,
                });
                match answer {
                    Some(answer) => Some(answer),
                    None if is_made => None,
                    None => Some(StandIn::fails(not_recorded())),
                }
            }
        }
    }
}

impl Cast {
    /// What the attempt does as it did then, ending when it ended then.
    fn recorded(
        &self,
        recording: &Recording,
        key: &str,
        attempt: u32,
        is_made: bool,
    ) -> Option<StandIn> {
        let recorded = recording.find(key, attempt)?;
        let clock = self.clock.as_ref()?;
        if recorded.attempt == attempt {
            // Nodes that take no virtual time took some then.
            clock.advance_to(recorded.began);
        }
        Some(match &recorded.outcome {
            None if is_made => StandIn::made().after(FOR_EVER),
            // It was told to stop, and will be.
            None => StandIn::fails(not_recorded()).after(FOR_EVER),
            Some(_) if is_made => StandIn::made().until(recorded.ended),
            Some(outcome) => StandIn::ends(outcome.clone()).until(recorded.ended),
        })
    }
}

fn not_recorded() -> NodeError {
    NodeError::new(codes::NOT_RECORDED, "the recorded run has no outcome of this attempt")
}
