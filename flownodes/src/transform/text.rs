//! Text that may come as bytes, and places in it.

use std::borrow::Cow;

use flowcore::{NodeContext, NodeError, Value};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The schema of a port that takes text, or bytes that are UTF-8.
pub(super) struct TextOrBytes;

impl JsonSchema for TextOrBytes {
    fn schema_name() -> Cow<'static, str> {
        "TextOrBytes".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "title": "bytes",
                    "properties": { "$bytes": { "type": "string" } },
                    "required": ["$bytes"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// The text on a port, without a byte order mark at its start.
///
/// # Errors
/// `input.missing`, `input.invalid`, or `input.not_utf8` for bytes that are not UTF-8.
pub(super) fn text_input<'a>(ctx: &'a NodeContext, port: &str) -> Result<&'a str, NodeError> {
    let value = ctx.required_input(port)?;
    let text = match value.untainted() {
        Value::String(text) => text,
        Value::Bytes(bytes) => std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            NodeError::new(
                "input.not_utf8",
                format!("input port `{port}` is not UTF-8 at byte {at}"),
            )
            .with_hint("convert the text to UTF-8 where it comes from")
        })?,
        other => {
            return Err(NodeError::invalid_input(port, "a string or bytes", other.kind()));
        }
    };
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The line and column, both from 1, of a byte in a text; columns are characters.
pub(crate) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("aé\nb", 3), (1, 3));
        assert_eq!(position("aé\nb", 5), (2, 2));
        assert_eq!(position("a\r\n\nb", 4), (3, 1));
        assert_eq!(position("a", 99), (1, 2));
    }
}
