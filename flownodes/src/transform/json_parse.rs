//! `transform.json_parse`: JSON text to a value.

use flowcore::value::read_json;
use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Port,
};
use serde_json::json;

use super::records::{NoConfig, pure_inline};
use super::text::{TextOrBytes, position, text_input};

const DESCRIPTION: &str = "\
Reads one JSON document (RFC 8259), strictly: no comments, no trailing commas.
Integers of 64 bits stay exact, larger ones are an error (`json.integer_too_large`), never a float.
Objects keep the order of their keys; of a key that stands twice, the last value counts.
An object `{\"$bytes\": \"<base64>\"}` becomes bytes.
A byte order mark at the start is skipped.";

/// Makes `transform.json_parse`.
pub(super) struct JsonParseFactory;

impl NodeFactory for JsonParseFactory {
    fn node_type(&self) -> &'static str {
        "transform.json_parse"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(JsonParse)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.json_parse")
            .summary("Read a value out of JSON text")
            .description(DESCRIPTION)
            .input(Port::new("json").typed::<TextOrBytes>().required().description("The JSON text"))
            .output(Port::new("parsed").description("The value"))
            .example(
                "Read an object",
                json!({}),
                json!({ "json": "{\"name\": \"Ada\", \"born\": 1815}" }),
                json!({ "parsed": { "name": "Ada", "born": 1815 } }),
            )
    }
}

struct JsonParse;

impl InlineNode for JsonParse {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        ctx.config::<NoConfig>()?;
        let text = text_input(ctx, "json")?;
        let parsed = read_json(text).map_err(|error| {
            let (line, column) = position(text, error.offset);
            let message = format!("{} at line {line}, column {column}", error.kind);
            NodeError::new(error.kind.code(), message)
        })?;
        Ok(NodeOutput::of("parsed", parsed))
    }
}

#[cfg(test)]
mod tests {
    use flowcore::Value;

    use super::*;

    fn parse(json: impl Into<Value>) -> Result<Value, NodeError> {
        let output = JsonParse.call(&NodeContext::builder().input("json", json).build())?;
        Ok(output.get("parsed").unwrap().clone())
    }

    #[test]
    fn text_and_bytes_are_read() {
        let expected = read_json(r#"{"z": [9007199254740993], "a": null}"#).unwrap();
        let text = "{\"z\":[9007199254740993],\"a\":null}";
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse(text.as_bytes()).unwrap(), expected);
        assert_eq!(parse(format!("\u{feff}{text}")).unwrap(), expected);
        assert_eq!(parse(text).unwrap().to_json_text(), text);
    }

    #[track_caller]
    fn check_error(json: impl Into<Value>, code: &str, message: &str) {
        let error = parse(json).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
    }

    #[test]
    fn errors_have_a_place() {
        check_error(
            "{\n  \"é\": 1,\n}",
            "json.syntax",
            "expected a key in double quotes at line 3, column 1",
        );
        check_error(
            "[1",
            "json.truncated",
            "the text ends where `,` or `]` was expected at line 1, column 3",
        );
        check_error(
            "{\"é\": 18446744073709551616}",
            "json.integer_too_large",
            "the integer does not fit into 64 bits at line 1, column 7",
        );
        check_error(
            "1e999",
            "json.number_too_large",
            "the number is beyond the range of a 64-bit float at line 1, column 1",
        );
        check_error(
            "[".repeat(101),
            "json.too_deep",
            "arrays and objects are nested deeper than 100 levels at line 1, column 101",
        );
        assert_eq!(parse("{\"$bytes\": 1}").unwrap_err().code(), "json.bad_bytes");
        check_error(&b"\"\xff\""[..], "input.not_utf8", "input port `json` is not UTF-8 at byte 1");
        check_error(
            7,
            "input.invalid",
            "input port `json` expects a string or bytes and found a number",
        );
    }
}
