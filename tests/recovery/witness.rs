//! Nodes that a witness outside of Flow watches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowcore::{
    Digest, Effect, Execution, NodeContext, NodeDescriptor, NodeError, NodeOutput, NodeRegistry,
    Object, Port, Value,
};
use flowruntime::testing::crash::Deed;
use serde::Deserialize;

/// What nodes really did, in order, in whatever process.
#[derive(Clone, Default)]
pub(crate) struct Witness(Arc<Mutex<Vec<Deed>>>);

impl Witness {
    pub(crate) fn deeds(&self) -> Vec<Deed> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, process: usize, effect: Effect, ctx: &NodeContext) {
        let (key, attempt) = (ctx.idempotency_key(), ctx.attempt());
        self.0.lock().unwrap().push(Deed { process, key, attempt, effect });
    }

    /// Node types whose deeds are seen: `seen.inline`, `seen.async`, `seen.task`, `seen.blocking`, and
    /// each with `pure.`, which may be done again.
    pub(crate) fn registry(&self, process: usize) -> NodeRegistry {
        let mut registry = NodeRegistry::new();
        for (name, execution, effect) in [
            ("seen.inline", Execution::Inline, Effect::Idempotent),
            ("seen.blocking", Execution::Blocking, Effect::Idempotent),
            ("pure.inline", Execution::Inline, Effect::Pure),
        ] {
            let witness = self.clone();
            registry.register_function(descriptor(name, execution, effect), move |ctx| {
                witness.note(process, effect, ctx);
                act(ctx)
            });
        }
        for (name, execution, effect) in [
            ("seen.async", Execution::Async, Effect::Idempotent),
            ("seen.task", Execution::Task, Effect::Idempotent),
            ("pure.task", Execution::Task, Effect::Pure),
        ] {
            let witness = self.clone();
            registry.register_async(descriptor(name, execution, effect), move |ctx| {
                let witness = witness.clone();
                async move {
                    witness.note(process, effect, &ctx);
                    let millis = ctx.config::<Config>()?.sleep_ms;
                    tokio::time::sleep(Duration::from_millis(millis)).await;
                    act(&ctx)
                }
            });
        }
        registry
    }
}

fn descriptor(name: &'static str, execution: Execution, effect: Effect) -> NodeDescriptor {
    let descriptor = NodeDescriptor::new(name).execution(execution).effect(effect);
    descriptor.output(Port::new("out")).open_inputs()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    /// How long it takes.
    sleep_ms: u64,
    /// How many attempts fail.
    fails: u32,
    /// Whether every attempt fails, and no other would help.
    broken: bool,
    /// How many bytes it gives.
    size: usize,
    /// Whatever an expression gives.
    given: Option<serde_json::Value>,
}

/// Says what it was given, whichever attempt it is.
fn act(ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
    let config = ctx.config::<Config>()?;
    if config.broken {
        return Err(NodeError::new("test.broken", "it never works"));
    }
    if ctx.attempt() <= config.fails {
        return Err(NodeError::retryable("test.flaky", "it works later"));
    }
    let given = ctx.inputs().map(|(port, value)| (port.to_owned(), value.clone()));
    let inputs = Object::from_entries(given).expect("as deep as before, or nearly");
    let given = config.given.clone().unwrap_or_default().to_string();
    let told = Value::from(format!("{} {given} {}", ctx.address(), Digest::of(&inputs.into())));
    let size = Value::from("x".repeat(config.size));
    let out = Object::from_entries([("told", told), ("size", size)]).expect("not deep");
    Ok(NodeOutput::of("out", Value::from(out)))
}
