//! `transform.hash`: the digest of a value.

use std::borrow::Cow;

use flowcore::{
    InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory, NodeInstance,
    NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Digest;

use super::canonical::canonical_json;
use super::records::pure_inline;
use crate::content::raw;
use crate::digest::DigestFormat;

const DESCRIPTION: &str = "\
Gives the digest of a string (of its UTF-8), of bytes, or of any other value as canonical JSON \
(RFC 8785): its keys sorted, without white space, and `1.0` written as `1`.
The same value has the same digest, in whatever order its keys are.
SHA-1 and MD5 are there for systems that ask for them; they do not withstand forgery.
To prove who wrote a message, use `crypto.hmac`; a digest is no place for passwords.";

/// The config of `transform.hash`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct HashConfig {
    /// The algorithm.
    algorithm: Algorithm,
    /// How the digest is written.
    format: DigestFormat,
    /// Whether strings and bytes are taken as canonical JSON as well, so that a string has another
    /// digest than bytes with the same content.
    canonical_json: bool,
}

impl Default for HashConfig {
    fn default() -> Self {
        Self { algorithm: Algorithm::Sha256, format: DigestFormat::Hex, canonical_json: false }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, broken.
    Sha1,
    /// MD5, broken.
    Md5,
    /// BLAKE3, the fastest one.
    Blake3,
}

impl Algorithm {
    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
            Self::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            Self::Md5 => md5::Md5::digest(bytes).to_vec(),
            Self::Blake3 => blake3::hash(bytes).as_bytes().to_vec(),
        }
    }
}

/// Makes `transform.hash`.
pub(super) struct HashFactory;

impl NodeFactory for HashFactory {
    fn node_type(&self) -> &'static str {
        "transform.hash"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(Hash)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        pure_inline("transform.hash")
            .summary("Compute the digest of a value")
            .description(DESCRIPTION)
            .config::<HashConfig>()
            .input(Port::new("input").required().description("Text, bytes, or any other value"))
            .output(Port::new("hash").typed::<String>().description("The digest"))
            .example(
                "SHA-256 of text",
                json!({}),
                json!({ "input": "hello" }),
                json!({
                    "hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
                }),
            )
            .example(
                "A short key for an object",
                json!({ "algorithm": "md5", "format": "base64" }),
                json!({ "input": { "b": 2, "a": 1.0 } }),
                json!({ "hash": "YI3kmkYA27Wxc0knWXkuSg==" }),
            )
    }
}

struct Hash;

impl InlineNode for Hash {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<HashConfig>()?;
        let bytes = content(ctx.required_input("input")?, config.canonical_json);
        Ok(NodeOutput::of("hash", config.format.encode(&config.algorithm.digest(&bytes))))
    }
}

fn content(value: &Value, as_json: bool) -> Cow<'_, [u8]> {
    match raw(value) {
        Some(bytes) if !as_json => Cow::Borrowed(bytes),
        _ => Cow::Owned(canonical_json(value).into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error_of, output_of};
    use super::*;

    fn hash(config: serde_json::Value, input: serde_json::Value) -> String {
        let hash = output_of(&HashFactory, config, json!({ "input": input }), "hash");
        hash.as_str().unwrap().to_owned()
    }

    #[test]
    fn the_algorithms_are_those_of_the_standards() {
        for (algorithm, expected) in [
            ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "sha512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("blake3", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ] {
            assert_eq!(hash(json!({ "algorithm": algorithm }), json!("abc")), expected);
        }
    }

    #[test]
    fn text_and_bytes_are_the_same_and_objects_have_no_order() {
        let plain = |input| hash(json!({}), input);
        let as_json = |input| hash(json!({ "canonical_json": true }), input);
        let bytes = || json!({ "$bytes": "aGVsbG8=" });
        assert_eq!(plain(json!("hello")), plain(bytes()));
        assert_ne!(as_json(json!("hello")), as_json(bytes()));
        assert_eq!(as_json(json!("hello")), plain(json!("\"hello\"")));
        let object = |text: &str| {
            output_of(&HashFactory, json!({}), &*format!("{{\"input\":{text}}}"), "hash")
        };
        assert_eq!(object(r#"{"a":1,"b":[2.50]}"#), object(r#"{"b":[2.5],"a":1.0}"#));
        assert_ne!(object("[1,2]"), object("[2,1]"));
        assert_eq!(plain(json!(null)), plain(json!("null")));
    }

    #[test]
    fn secrets_inside_count() {
        let input = |text: &str| {
            let secret = Value::from(text).tainted();
            let ctx = NodeContext::builder().input("input", Value::try_from(vec![secret]).unwrap());
            Hash.call(&ctx.build()).unwrap()
        };
        assert_ne!(input("one"), input("two"));
    }

    #[test]
    fn bad_configs_and_missing_inputs_are_named() {
        let code = |config, inputs| error_of(&HashFactory, config, inputs).code().to_owned();
        assert_eq!(code(json!({ "algorithm": "crc" }), json!({ "input": 1 })), "config.invalid");
        assert_eq!(code(json!({ "hex": true }), json!({ "input": 1 })), "config.invalid");
        assert_eq!(code(json!({}), json!({})), "input.missing");
    }
}
