//! Instances of node types that are not stateless: one per node and round.

use std::collections::HashMap;

use flowcore::Instance;

use crate::executor::InstanceSlot;

/// The instances of one execution.
#[derive(Default)]
pub(super) struct Instances {
    slots: HashMap<Instance, InstanceSlot>,
}

impl Instances {
    /// The slot of a node; its first attempt fills it.
    pub(super) fn slot(&mut self, instance: Instance) -> InstanceSlot {
        self.slots.entry(instance).or_default().clone()
    }

    /// An attempt that was left behind keeps its instance; the next attempt makes another.
    pub(super) fn forget(&mut self, instance: Instance) {
        self.slots.remove(&instance);
    }

    /// Shuts every instance down, one after another, and lets them go.
    pub(super) async fn release(&mut self) {
        for (instance, slot) in self.slots.drain() {
            // Only an attempt that was left behind could hold the lock, and its slot is forgotten.
            let Some(mut node) = slot.lock().await.take() else { continue };
            if let Err(error) = node.shutdown().await {
                tracing::warn!(node = instance.node, %error, "shutdown of a node failed");
            }
        }
    }
}
