//! Under which key the result of an attempt is cached.

use super::prepared::Prepared;
use super::state::Machine;
use crate::event::Instance;
use crate::node::NodeError;
use crate::plan::PlanNode;
use crate::value::{Digest, DigestHasher, Value};

/// What attempts whose results are the same share; the number is that of the form of what is hashed.
const PURPOSE: &str = "flow.result.1";

impl Machine {
    /// The key under which the result of this attempt is cached: a digest of the node type, its
    /// version, and what the attempt is given, or in its stead the value of `cache.key`.
    ///
    /// `None` when the node has no cache, and when what it is given, or the key, comes from a secret:
    /// that is never cached.
    ///
    /// # Errors
    /// The error with which the attempt failed: that of the expression `cache.key`.
    pub fn cache_key(
        &self,
        instance: Instance,
        prepared: &Prepared,
    ) -> Result<Option<Digest>, NodeError> {
        let node = self.plan_node(instance);
        let Some(cache) = node.cache() else { return Ok(None) };
        if prepared.is_tainted {
            return Ok(None);
        }
        let descriptor = &self.plan.node_type(node).descriptor;
        let mut hasher = DigestHasher::new(PURPOSE);
        hasher.text(&descriptor.node_type);
        hasher.value(&Value::from(descriptor.version));
        match &cache.key {
            Some(expression) => {
                let key = self.evaluate(expression, instance)?;
                if key.is_tainted() {
                    return Ok(None);
                }
                hasher.text("key");
                hasher.value(&key);
            }
            None => {
                hasher.text("given");
                self.hash_given(node, prepared, &mut hasher);
            }
        }
        Ok(Some(hasher.finish()))
    }

    /// All that an attempt can see: its inputs by name, its config, and the execution's inputs if it
    /// takes those.
    fn hash_given(&self, node: &PlanNode, prepared: &Prepared, hasher: &mut DigestHasher) {
        let names = self.plan.input_names(node).iter();
        let inputs = names.zip(prepared.inputs());
        let inputs = inputs.filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?)));
        hasher.entries(inputs.collect());
        let config = prepared.config().unwrap_or_else(|| self.plan.config(node).object());
        hasher.object(config);
        match &prepared.execution_inputs {
            Some(inputs) => hasher.object(inputs),
            None => hasher.value(&Value::Null),
        }
    }
}
