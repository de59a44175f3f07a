//! `transform.json_stringify`: a value to JSON text.

use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Port,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::records::pure_inline;

const DESCRIPTION: &str = "\
The text is compact, or with `pretty` indented by two spaces.
Keys keep their order, integers are exact, and bytes are written as `{\"$bytes\": \"<base64>\"}`: \
`transform.json_parse` gives the same value back.";

/// The config of `transform.json_stringify`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JsonStringifyConfig {
    /// Whether the text has line breaks and is indented.
    #[serde(default)]
    pretty: bool,
}

/// Makes `transform.json_stringify`.
pub(super) struct JsonStringifyFactory;

impl NodeFactory for JsonStringifyFactory {
    fn node_type(&self) -> &'static str {
        "transform.json_stringify"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(JsonStringify)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.json_stringify")
            .summary("Write a value as JSON text")
            .description(DESCRIPTION)
            .config::<JsonStringifyConfig>()
            .input(Port::new("value").required().description("The value; null is one, too"))
            .output(Port::new("json").typed::<String>().description("The JSON text"))
            .example(
                "Compact",
                json!({}),
                json!({ "value": { "born": 1815, "name": "Ada" } }),
                json!({ "json": "{\"born\":1815,\"name\":\"Ada\"}" }),
            )
            .example(
                "Indented",
                json!({ "pretty": true }),
                json!({ "value": [1, 2] }),
                json!({ "json": "[\n  1,\n  2\n]" }),
            )
    }
}

struct JsonStringify;

impl InlineNode for JsonStringify {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<JsonStringifyConfig>()?;
        let value = ctx.required_input("value")?.reveal();
        let json = if config.pretty {
            serde_json::to_string_pretty(&value)
        } else {
            serde_json::to_string(&value)
        };
        Ok(NodeOutput::of("json", json.expect("a value has string keys and finite numbers only")))
    }
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;
    use flowcore::{Array, Value};

    use super::*;

    fn stringify(value: impl Into<Value>) -> String {
        let ctx = NodeContext::builder().input("value", value).build();
        let output = JsonStringify.call(&ctx).unwrap();
        output.get("json").and_then(Value::as_str).unwrap().to_owned()
    }

    #[test]
    fn values_are_written_exactly() {
        let text = r#"{"z":[18446744073709551615,-0.0,1e+300],"a":{"$bytes":"AQL/"}}"#;
        assert_eq!(stringify(read_json(text).unwrap()), text);
        assert_eq!(stringify(Value::Null), "null");
    }

    #[test]
    fn the_text_of_a_secret_comes_out_for_the_engine_to_taint() {
        let secret = Array::from_values([Value::from("s3cret").tainted()]).unwrap();
        assert_eq!(stringify(secret), r#"["s3cret"]"#);
    }
}
