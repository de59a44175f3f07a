//! `transform.base64`: bytes to base64 text and back.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::records::pure_inline;
use super::text::TextOrBytes;
use crate::content::{raw, text_or_bytes};
use crate::encoding::Encoding;

const DESCRIPTION: &str = "\
Encodes a string (its UTF-8) or bytes as base64 (RFC 4648), or decodes base64.
When decoding, padding may be there or not, and white space is skipped, so text that was wrapped \
into lines is read as well; everything else that is not of the alphabet is an error.";

/// The config of `transform.base64`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Base64Config {
    /// Whether to write base64 or to read it.
    mode: Mode,
    /// `standard` has `+` and `/`, `url_safe` has `-` and `_` in their place.
    alphabet: AlphabetName,
    /// Whether encoded text is filled up with `=`.
    padding: bool,
    /// What decoding gives: text, bytes, or text where it is text.
    encoding: Encoding,
}

impl Default for Base64Config {
    fn default() -> Self {
        Self {
            mode: Mode::Encode,
            alphabet: AlphabetName::Standard,
            padding: true,
            encoding: Encoding::Text,
        }
    }
}

#[derive(Clone, Copy, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// To base64.
    Encode,
    /// From base64.
    Decode,
}

#[derive(Clone, Copy, serde::Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum AlphabetName {
    /// With `+` and `/`.
    Standard,
    /// With `-` and `_`.
    UrlSafe,
}

impl AlphabetName {
    fn alphabet(self) -> &'static Alphabet {
        match self {
            Self::Standard => &STANDARD,
            Self::UrlSafe => &URL_SAFE,
        }
    }
}

/// Makes `transform.base64`.
pub(super) struct Base64Factory;

impl NodeFactory for Base64Factory {
    fn node_type(&self) -> &'static str {
        "transform.base64"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(Base64)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.base64")
            .summary("Encode or decode base64")
            .description(DESCRIPTION)
            .config::<Base64Config>()
            .input(
                Port::new("input")
                    .typed::<TextOrBytes>()
                    .required()
                    .description("What to encode, or the base64 to decode"),
            )
            .output(Port::new("output").description("The base64, or what it stands for"))
            .example(
                "Encode text",
                json!({}),
                json!({ "input": "Grüße" }),
                json!({ "output": "R3LDvMOfZQ==" }),
            )
            .example(
                "Encode bytes for a URL",
                json!({ "alphabet": "url_safe", "padding": false }),
                json!({ "input": { "$bytes": "++/+" } }),
                json!({ "output": "--_-" }),
            )
            .example(
                "Decode to bytes",
                json!({ "mode": "decode", "encoding": "bytes" }),
                json!({ "input": "AP8" }),
                json!({ "output": { "$bytes": "AP8=" } }),
            )
    }
}

struct Base64;

impl InlineNode for Base64 {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<Base64Config>()?;
        let input = ctx.required_input("input")?;
        let bytes = raw(input)
            .ok_or_else(|| NodeError::invalid_input("input", "a string or bytes", input.kind()))?;
        let engine = GeneralPurpose::new(
            config.alphabet.alphabet(),
            GeneralPurposeConfig::new()
                .with_encode_padding(config.padding)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let output = match config.mode {
            Mode::Encode => Value::from(engine.encode(bytes)),
            Mode::Decode => decoded(decode(&engine, bytes)?, config.encoding)?,
        };
        Ok(NodeOutput::of("output", output))
    }
}

fn decode(engine: &GeneralPurpose, text: &[u8]) -> Result<Vec<u8>, NodeError> {
    // Places in messages are those of the text with its white space.
    let dense: Cow<'_, [u8]> = if text.iter().any(u8::is_ascii_whitespace) {
        text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
    } else {
        Cow::Borrowed(text)
    };
    engine.decode(&dense).map_err(|error| invalid(&error, text))
}

/// The text may be a secret: the error says where, not what.
fn invalid(error: &base64::DecodeError, text: &[u8]) -> NodeError {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol, InvalidLength, InvalidPadding};

    let place = |offset: usize| {
        let mut places = text.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
        places.nth(offset).map_or(text.len(), |(place, _)| place)
    };
    let message = match error {
        InvalidByte(offset, _) => {
            format!("the text is not base64: unexpected sign at byte {}", place(*offset))
        }
        InvalidLastSymbol(offset, _) => {
            format!("the text is not base64: the sign at byte {} is cut off", place(*offset))
        }
        InvalidLength(_) => "the text is not base64: it is cut off".to_owned(),
        InvalidPadding => "the text is not base64: its padding is wrong".to_owned(),
    };
    NodeError::new("base64.invalid", message)
        .with_hint("`alphabet` is `url_safe` for text with `-` and `_`")
}

fn decoded(bytes: Vec<u8>, encoding: Encoding) -> Result<Value, NodeError> {
    match encoding {
        Encoding::Bytes => Ok(Value::from(bytes)),
        Encoding::Auto => Ok(text_or_bytes(bytes)),
        Encoding::Text => String::from_utf8(bytes).map(Value::from).map_err(|error| {
            NodeError::new("base64.not_text", "what was decoded is not text in UTF-8")
                .with_source(&error.utf8_error())
                .with_hint("set `encoding` to `bytes` or `auto`")
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{error_of, output_of};
    use super::*;

    fn run(config: serde_json::Value, input: Value) -> Value {
        let inputs = json!({ "input": input.to_json() });
        output_of(&Base64Factory, config, inputs, "output")
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_was_encoded_is_decoded(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            alphabet in prop_oneof![Just("standard"), Just("url_safe")],
            padding: bool,
        ) {
            let bytes = Value::from(bytes);
            let config = json!({ "alphabet": alphabet, "padding": padding });
            let encoded = run(config, bytes.clone());
            prop_assert_eq!(encoded.as_str().unwrap().contains('='), padding && bytes.as_bytes().unwrap().len() % 3 != 0);
            let config = json!({ "mode": "decode", "alphabet": alphabet, "encoding": "bytes" });
            prop_assert_eq!(run(config, encoded), bytes);
        }
    }

    #[test]
    fn wrapped_text_and_bytes_are_decoded() {
        let decode = |input: Value| run(json!({ "mode": "decode" }), input);
        assert_eq!(decode(Value::from(" R3LD\r\nvMOf\tZQ == \n")), Value::from("Grüße"));
        assert_eq!(decode(Value::from(&b"R3LDvMOfZQ"[..])), Value::from("Grüße"));
        assert_eq!(decode(Value::from("")), Value::from(""));
        let auto = json!({ "mode": "decode", "encoding": "auto" });
        assert_eq!(run(auto.clone(), Value::from("/w")), Value::from(vec![255_u8]));
        assert_eq!(run(auto, Value::from("YQ")), Value::from("a"));
    }

    #[track_caller]
    fn check_error(config: serde_json::Value, input: serde_json::Value, code: &str, message: &str) {
        let error = error_of(&Base64Factory, config, json!({ "input": input }));
        assert_eq!((error.code(), error.message()), (code, message));
        assert!(!error.is_retryable());
    }

    #[test]
    fn errors_say_where_and_not_what() {
        let decode = || json!({ "mode": "decode" });
        let at = "the text is not base64: unexpected sign at byte 4";
        check_error(
            decode(),
            json!("YW\n-j"),
            "base64.invalid",
            "the text is not base64: unexpected sign at byte 3",
        );
        check_error(decode(), json!("YWJj_w"), "base64.invalid", at);
        check_error(
            decode(),
            json!("YWJjY"),
            "base64.invalid",
            "the text is not base64: it is cut off",
        );
        check_error(
            decode(),
            json!("YWJjZB"),
            "base64.invalid",
            "the text is not base64: the sign at byte 5 is cut off",
        );
        check_error(
            decode(),
            json!("/w=="),
            "base64.not_text",
            "what was decoded is not text in UTF-8",
        );
        check_error(
            json!({}),
            json!(7),
            "input.invalid",
            "input port `input` expects a string or bytes and found a number",
        );
    }

    #[test]
    fn bad_configs_and_missing_inputs_are_named() {
        let code = |config, inputs| error_of(&Base64Factory, config, inputs).code().to_owned();
        assert_eq!(code(json!({ "mode": "both" }), json!({ "input": "" })), "config.invalid");
        assert_eq!(code(json!({ "paddding": true }), json!({ "input": "" })), "config.invalid");
        assert_eq!(code(json!({}), json!({})), "input.missing");
    }
}
