//! Which attempts were started, as somebody outside of Flow saw it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowcore::{Digest, Effect, NodeContext, Value};
use flowruntime::testing::crash::Deed;

/// Counts the starts of attempts, in whatever process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Vec<Start>>>);

/// The start of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) deed: Deed,
    /// What identifies the config and the inputs that it was given.
    pub(crate) given: Digest,
    /// Who made it.
    pub(crate) by: By,
}

/// Who makes an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The node.
    Itself,
    /// Somebody who stands in, with an outcome that is known.
    StandIn,
    /// Nobody: the recorded run did not have it.
    Nobody,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Vec<Start>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, process: usize, effect: Effect, context: &NodeContext, by: By) {
        let (key, attempt) = (context.idempotency_key(), context.attempt());
        let deed = Deed { process, key, attempt, effect };
        self.lock().push(Start { deed, given: given(context), by });
    }

    /// The starts so far, in order.
    pub(crate) fn starts(&self) -> Vec<Start> {
        self.lock().clone()
    }
}

/// The config of an attempt, and over it what its connections bring.
fn given(context: &NodeContext) -> Digest {
    let mut given = context.config_object().clone();
    for (port, value) in context.inputs() {
        // It was as deep in the execution, or one deeper: what does not fit is told apart elsewhere.
        let _ = given.insert(port, value.clone());
    }
    Digest::of(&Value::Object(given))
}
