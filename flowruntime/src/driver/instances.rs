//! Instances of node types that are not stateless: one per node and round.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use flowcore::{Instance, Node, NodeIndex, ScopeId};
use futures_util::FutureExt;
use futures_util::future::join_all;

use super::life::Named;
use crate::executor::InstanceSlot;

/// The instances of one execution.
#[derive(Default)]
pub(super) struct Instances {
    slots: BTreeMap<Instance, InstanceSlot>,
}

impl Instances {
    /// The slot of a node; its first attempt fills it.
    pub(super) fn slot(&mut self, instance: Instance) -> InstanceSlot {
        self.slots.entry(instance).or_default().clone()
    }

    /// An attempt that was left behind keeps its instance; the next attempt makes another. The
    /// instance is shut down when the attempt has really ended, which may be after the execution.
    pub(super) fn leave_behind(&mut self, instance: Instance, grace: Duration, of: Named) {
        if let Some(slot) = self.slots.remove(&instance) {
            // Nobody waits for it: the execution has given up on the attempt.
            tokio::spawn(shut_down(instance, slot, grace, of));
        }
    }

    /// Shuts down the instances of the nodes of a scope that is closed.
    pub(super) async fn release_scope(&mut self, scope: ScopeId, grace: Duration, of: Named) {
        let first = Instance { scope, node: 0 };
        let last = Instance { scope, node: NodeIndex::MAX };
        let gone: Vec<Instance> = self.slots.range(first..=last).map(|(at, _)| *at).collect();
        let slots = gone.into_iter().filter_map(|at| Some((at, self.slots.remove(&at)?)));
        join_all(slots.map(|(instance, slot)| shut_down(instance, slot, grace, of))).await;
    }

    /// Shuts every instance down, all at the same time, and lets them go. One that takes longer than
    /// the grace period is let go without.
    pub(super) async fn release(&mut self, grace: Duration, of: Named) {
        let slots = std::mem::take(&mut self.slots).into_iter();
        join_all(slots.map(|(instance, slot)| shut_down(instance, slot, grace, of))).await;
    }
}

/// Shuts down what is in a slot, once the attempt that uses it has ended. Whatever goes wrong is
/// logged: the outcome of the node stands already.
async fn shut_down(instance: Instance, slot: InstanceSlot, grace: Duration, of: Named) {
    let Some(node) = slot.lock().await.take() else { return };
    let shutdown = AssertUnwindSafe(shutdown_within(node, grace)).catch_unwind();
    let node = instance.node;
    let Named { execution_id, trace_id } = of;
    let trace_id = trace_id.map(tracing::field::display);
    match shutdown.await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => {
            tracing::warn!(%execution_id, trace_id, node, %error, "shutdown of a node failed");
        }
        Ok(Err(_)) => {
            let message = "shutdown of a node takes too long, left out";
            tracing::warn!(%execution_id, trace_id, node, message);
        }
        Err(_) => {
            tracing::warn!(%execution_id, trace_id, node, "shutdown of a node panicked");
        }
    }
}

async fn shutdown_within(
    mut node: Box<dyn Node>,
    grace: Duration,
) -> Result<Result<(), flowcore::NodeError>, tokio::time::error::Elapsed> {
    tokio::time::timeout(grace, node.shutdown()).await
}
