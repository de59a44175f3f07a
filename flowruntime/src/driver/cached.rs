//! Results that are reused instead of calling the node.

use flowcore::machine::{Outcome, Prepared};
use flowcore::{CacheUse, Digest, Instance, NodeError, NodeOutput, Object, Timestamp};

use super::Driver;

/// What the cache says of an attempt.
pub(super) enum Cached {
    /// The result of an earlier one.
    Hit(NodeOutput),
    /// Nothing. The key is there if the result may be kept.
    Miss(Option<Digest>),
}

impl Driver {
    /// Asks for the result of an attempt; nodes without a cache are not asked about.
    #[inline]
    pub(super) fn ask_cache(
        &self,
        instance: Instance,
        prepared: &Prepared,
        now: Timestamp,
    ) -> Result<Cached, NodeError> {
        if self.machine.plan().graph().node(instance.node).cache_ttl().is_none() {
            return Ok(Cached::Miss(None));
        }
        let Some(key) = self.machine.cache_key(instance, prepared)? else {
            return Ok(Cached::Miss(None));
        };
        Ok(match self.shared.result_cache.get(&key, now) {
            Some(outputs) => Cached::Hit(outputs),
            None => Cached::Miss(Some(key)),
        })
    }

    /// Keeps the result of an attempt that the cache knew nothing of, if it is a success and nothing
    /// secret.
    pub(super) fn keep(&self, instance: Instance, key: Digest, outcome: &mut Outcome) {
        let Outcome::Succeeded { outputs, state_writes, cache } = outcome else { return };
        *cache = Some(CacheUse::Miss);
        let ttl = self.machine.plan().graph().node(instance.node).cache_ttl();
        if let Some(ttl) = ttl
            && !outputs.is_tainted()
            && state_writes.is_empty()
        {
            self.shared.result_cache.put(key, outputs.clone(), self.now().after(ttl));
        }
    }
}

/// The end of an attempt whose result was kept.
pub(super) fn reused(outputs: NodeOutput) -> Outcome {
    Outcome::Succeeded { outputs, state_writes: Object::new(), cache: Some(CacheUse::Hit) }
}
