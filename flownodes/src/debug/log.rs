//! `debug.log`: a value for those who watch.

use flowcore::value::MASK;
use flowcore::{
    Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The longest text in an event, in bytes: an attempt's log has room for sixteen of them.
const MAX_TEXT: usize = 64 * 1024;

const DESCRIPTION: &str = "\
Strings are shown as they are, other values as JSON, and what came from a secret as `•••`. A text of \
more than 64 KiB is cut.
The text goes to those who watch the execution and to its log, and to the log of the process under \
the target `flow::debug`; it is no part of the journal. `message` goes on unchanged.";

/// The config of `debug.log`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogConfig {
    /// Whether this is worth knowing or worth worrying about.
    #[serde(default)]
    level: Level,
    /// What to put before the text.
    #[serde(default)]
    #[expect(dead_code, reason = "read untyped, as the typed config reveals secrets")]
    label: Option<String>,
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// Worth knowing.
    #[default]
    Info,
    /// Worth worrying about.
    Warning,
}

/// Makes `debug.log`.
pub(super) struct LogFactory;

impl NodeFactory for LogFactory {
    fn node_type(&self) -> &'static str {
        "debug.log"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(Log)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("debug.log")
            .summary("Show a value to those who watch")
            .description(DESCRIPTION)
            .config::<LogConfig>()
            // Not `pure`: a cached result would show nothing.
            .effect(Effect::Read)
            .execution(Execution::Inline)
            .input(Port::new("message").required().description("The value to show"))
            .output(Port::new("message").description("The same value"))
            .example(
                "A text",
                json!({ "message": "3 orders are late", "level": "warning" }),
                json!({}),
                json!({ "message": "3 orders are late" }),
            )
            .example(
                "A value on its way to somewhere else",
                json!({ "label": "order" }),
                json!({ "message": { "id": 7 } }),
                json!({ "message": { "id": 7 } }),
            )
    }
}

struct Log;

impl InlineNode for Log {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<LogConfig>()?;
        let message = ctx.required_input("message")?;
        let text = match label(ctx) {
            Some(label) => format!("{label}: {}", shown(message)),
            None => shown(message),
        };
        let (execution_id, node) = (ctx.execution_id(), ctx.address());
        let trace_id = ctx.trace_id().map(tracing::field::display);
        match config.level {
            Level::Info => {
                tracing::info!(target: "flow::debug", %execution_id, trace_id, node, "{text}");
                ctx.info(text);
            }
            Level::Warning => {
                tracing::warn!(target: "flow::debug", %execution_id, trace_id, node, "{text}");
                ctx.warning(text);
            }
        }
        Ok(NodeOutput::of("message", message.clone()))
    }
}

/// The label, if there is one. Not out of the typed config, which reveals secrets.
fn label(ctx: &NodeContext) -> Option<String> {
    ctx.config_object().get("label").filter(|label| !label.is_null()).map(shown)
}

/// The text of a value, without secrets.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.to_string(),
        Value::Tainted(_) => MASK.to_owned(),
        other => other.to_json_text(),
    };
    if text.len() <= MAX_TEXT {
        return text;
    }
    let end = text.floor_char_boundary(MAX_TEXT);
    format!("{}… ({} bytes in all)", &text[..end], text.len())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use flowcore::{Array, EventSink, NodeEvent, Object};

    use super::*;

    #[derive(Default)]
    struct Events(Mutex<Vec<NodeEvent>>);

    impl EventSink for Events {
        fn emit(&self, event: NodeEvent) {
            self.0.lock().unwrap().push(event);
        }
    }

    #[track_caller]
    fn log(message: Value, config: serde_json::Value) -> Vec<NodeEvent> {
        let events = Arc::new(Events::default());
        let config = Value::from_json(config).unwrap();
        let config: Object = config.as_object().unwrap().clone();
        let ctx = NodeContext::builder().input("message", message.clone()).config(config);
        let output = Log.call(&ctx.sink(events.clone()).build()).unwrap();
        assert_eq!(output.get("message"), Some(&message));
        assert_eq!(output.is_tainted(), message.is_tainted());
        let events = events.0.lock().unwrap();
        events.clone()
    }

    fn info(message: &str) -> Vec<NodeEvent> {
        vec![NodeEvent::Info { message: message.to_owned() }]
    }

    #[test]
    fn values_are_shown_as_text() {
        assert_eq!(log(Value::from("a \"b\""), json!({})), info("a \"b\""));
        let list = Value::try_from(vec![Value::from("a"), Value::Null]).unwrap();
        assert_eq!(log(list, json!({ "label": "list" })), info("list: [\"a\",null]"));
        let warning = vec![NodeEvent::Warning { message: "1".to_owned() }];
        assert_eq!(log(Value::from(1), json!({ "level": "warning" })), warning);
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Value::from("s3cret").tainted();
        assert_eq!(log(secret.clone(), json!({})), info("•••"));
        let list = Value::from(Array::from_values([secret]).unwrap());
        assert_eq!(log(list, json!({})), info("[\"•••\"]"));
        let label = Object::from_entries([("label", Value::from("s3cret").tainted())]).unwrap();
        let ctx = NodeContext::builder().config(label).build();
        assert_eq!(super::label(&ctx).as_deref(), Some("•••"));
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "é".repeat(MAX_TEXT);
        let expected = format!("{}… (131072 bytes in all)", "é".repeat(MAX_TEXT / 2));
        assert_eq!(log(Value::from(long), json!({})), info(&expected));
    }
}
