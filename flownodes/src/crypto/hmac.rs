//! `crypto.hmac`: signs messages with a shared key, and checks signatures.

use flowcore::{
    Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Port, Value,
};
use hmac::digest::block_api::EagerHash;
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::content::raw;
use crate::digest::DigestFormat;

const DESCRIPTION: &str = "\
Signs a message with a key that both sides know (HMAC, RFC 2104), or checks such a signature.
The key belongs into a secret: `\"key\": \"{{ secrets.webhook_key }}\"`.

The message is signed byte for byte: sign text or bytes as they are sent, not a value that was \
read and is written anew.
With `\"mode\": \"verify\"` a signature that does not fit fails the node with \
`crypto.signature_mismatch`; with `fail_on_mismatch` off, the port `valid` says so instead. \
Signatures are compared in constant time.

A signature is made to be shown: unlike that of a pure node, the output is not a secret because \
the key is one.";

/// The config of `crypto.hmac`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct HmacConfig {
    /// Whether to make a signature or to check one.
    mode: Mode,
    /// The algorithm.
    algorithm: Algorithm,
    /// How signatures are written.
    format: DigestFormat,
    /// What stands before the signature, such as `sha256=`: written when signing, and expected when
    /// verifying.
    prefix: String,
    /// How the key is written, when it is text.
    key_format: KeyFormat,
    /// Whether a signature that does not fit fails the node.
    fail_on_mismatch: bool,
}

impl Default for HmacConfig {
    fn default() -> Self {
        Self {
            mode: Mode::Sign,
            algorithm: Algorithm::Sha256,
            format: DigestFormat::Hex,
            prefix: String::new(),
            key_format: KeyFormat::Text,
            fail_on_mismatch: true,
        }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Make a signature.
    Sign,
    /// Check a signature.
    Verify,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
    /// HMAC-SHA-1, for systems that ask for it.
    Sha1,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum KeyFormat {
    /// The text itself is the key.
    Text,
    /// The key in hexadecimal.
    Hex,
    /// The key in base64.
    Base64,
}

/// Makes `crypto.hmac`.
pub(super) struct HmacFactory;

impl NodeFactory for HmacFactory {
    fn node_type(&self) -> &'static str {
        "crypto.hmac"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(HmacNode)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("crypto.hmac")
            .summary("Sign a message with a shared key, or check a signature")
            .description(DESCRIPTION)
            .config::<HmacConfig>()
            .input(Port::new("message").required().description("What is signed: a string or bytes"))
            .input(Port::new("key").required().description("The key: a string or bytes"))
            .input(Port::new("signature").typed::<String>().description("The signature to check"))
            .output(
                Port::new("signature")
                    .typed::<String>()
                    .description("The signature; live when signing"),
            )
            .output(
                Port::new("valid")
                    .typed::<bool>()
                    .description("Whether the signature fits; live when verifying"),
            )
            // Pure but for one thing: what pure nodes make of a secret is a secret as well.
            .effect(Effect::Read)
            .execution(Execution::Inline)
            .example(
                "Sign a message",
                json!({ "prefix": "sha256=" }),
                json!({ "message": "what do ya want for nothing?", "key": "Jefe" }),
                json!({
                    "signature": "sha256=5bdcc146bf60754e6a042426089575c7\
                                  5a003f089d2739839dec58b964ec3843"
                }),
            )
            .example(
                "Check a signature, and go on either way",
                json!({ "mode": "verify", "format": "base64", "fail_on_mismatch": false }),
                json!({
                    "message": "what do ya want for nothing?",
                    "key": "Jefe",
                    "signature": "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
                }),
                json!({ "valid": true }),
            )
    }
}

struct HmacNode;

impl InlineNode for HmacNode {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<HmacConfig>()?;
        let output = match config.algorithm {
            Algorithm::Sha256 => run::<sha2::Sha256>(ctx, &config),
            Algorithm::Sha512 => run::<sha2::Sha512>(ctx, &config),
            Algorithm::Sha1 => run::<sha1::Sha1>(ctx, &config),
        }?;
        // The key does not shine through a signature, but what was signed may be guessed.
        let secret = ctx.required_input("message")?.is_tainted();
        let taint = |value: Value| if secret { value.tainted() } else { value };
        Ok(match output {
            Output::Signature(signature) => {
                NodeOutput::of("signature", taint(Value::from(signature)))
            }
            Output::Valid(valid) => NodeOutput::of("valid", valid),
        })
    }
}

enum Output {
    Signature(String),
    Valid(bool),
}

fn run<H: EagerHash>(ctx: &NodeContext, config: &HmacConfig) -> Result<Output, NodeError> {
    let message = bytes_input(ctx, "message")?;
    let key = key(ctx, config.key_format)?;
    let mut mac = Hmac::<H>::new_from_slice(&key).expect("a key may have any length");
    mac.update(message);
    match config.mode {
        Mode::Sign => {
            let signature = config.format.encode(&mac.finalize().into_bytes());
            Ok(Output::Signature(format!("{}{signature}", config.prefix)))
        }
        Mode::Verify => {
            let given = ctx.string_input("signature")?;
            // One that cannot be read comes from the outside like one that does not fit.
            let decoded =
                given.trim().strip_prefix(&*config.prefix).map(|text| config.format.decode(text));
            let valid =
                decoded.flatten().is_some_and(|signature| mac.verify_slice(&signature).is_ok());
            if !valid && config.fail_on_mismatch {
                return Err(mismatch());
            }
            Ok(Output::Valid(valid))
        }
    }
}

fn bytes_input<'a>(ctx: &'a NodeContext, port: &str) -> Result<&'a [u8], NodeError> {
    let value = ctx.required_input(port)?;
    raw(value).ok_or_else(|| NodeError::invalid_input(port, "a string or bytes", value.kind()))
}

fn key(ctx: &NodeContext, format: KeyFormat) -> Result<Vec<u8>, NodeError> {
    let bytes = bytes_input(ctx, "key")?;
    let text = ctx.required_input("key")?.as_str().map(str::trim);
    let key = match (format, text) {
        (KeyFormat::Text, _) | (_, None) => Some(bytes.to_vec()),
        (KeyFormat::Hex, Some(text)) => DigestFormat::Hex.decode(text),
        (KeyFormat::Base64, Some(text)) => DigestFormat::Base64.decode(text),
    };
    let key = key.ok_or_else(|| {
        NodeError::new("crypto.bad_key", "the key is not in the format of `key_format`")
    })?;
    if key.is_empty() {
        // Everybody can sign with it; mostly a variable that is not set.
        return Err(NodeError::new("crypto.bad_key", "the key is empty"));
    }
    Ok(key)
}

fn mismatch() -> NodeError {
    NodeError::new("crypto.signature_mismatch", "the signature does not fit the message")
        .with_hint("the message must be the bytes that were signed, and the key the same")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, object};

    fn run(config: serde_json::Value, inputs: serde_json::Value) -> Result<NodeOutput, NodeError> {
        let inputs = object(inputs);
        let ctx = inputs.iter().fold(NodeContext::builder(), |builder, (port, value)| {
            builder.input(port.clone(), value.clone())
        });
        call(&HmacFactory, &ctx.config(object(config)).build())
    }

    #[track_caller]
    fn check_error(config: serde_json::Value, inputs: serde_json::Value, code: &str) {
        let error = run(config, inputs).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (code, false), "{error}");
    }

    const MESSAGE: &str = "what do ya want for nothing?";

    #[test]
    fn the_test_vectors_of_the_rfcs() {
        for (algorithm, expected) in [
            ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                "sha512",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ] {
            let config = json!({ "algorithm": algorithm });
            let output = run(config, json!({ "message": MESSAGE, "key": "Jefe" })).unwrap();
            assert_eq!(output.get("signature"), Some(&Value::from(expected)));
            let config = json!({ "algorithm": algorithm, "mode": "verify" });
            let inputs = json!({ "message": MESSAGE, "key": "Jefe", "signature": expected });
            assert_eq!(run(config, inputs).unwrap().get("valid"), Some(&Value::from(true)));
        }
    }

    #[test]
    fn a_signature_that_does_not_fit_is_refused() {
        let verify = || json!({ "mode": "verify", "prefix": "sha256=" });
        let right = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let inputs =
            |signature: &str| json!({ "message": MESSAGE, "key": "Jefe", "signature": signature });
        assert!(run(verify(), inputs(&right.to_uppercase().replace("SHA", "sha"))).is_ok());
        let wrong =
            ["", "sha256=", "sha256=zz", &right[7..], &right[..70], &right.replace("5b", "5c")];
        for signature in wrong {
            check_error(verify(), inputs(signature), "crypto.signature_mismatch");
            let config =
                json!({ "mode": "verify", "prefix": "sha256=", "fail_on_mismatch": false });
            let output = run(config, inputs(signature)).unwrap();
            assert_eq!(output.get("valid"), Some(&Value::from(false)));
        }
        let other_key = json!({ "message": MESSAGE, "key": "jefe", "signature": right });
        check_error(verify(), other_key, "crypto.signature_mismatch");
    }

    #[test]
    fn keys_have_formats() {
        let signature = |config, key| {
            let output = run(config, json!({ "message": MESSAGE, "key": key })).unwrap();
            output.get("signature").unwrap().clone()
        };
        let text = signature(json!({}), json!("Jefe"));
        assert_eq!(signature(json!({ "key_format": "hex" }), json!("4a656665\n")), text);
        assert_eq!(signature(json!({ "key_format": "base64" }), json!("SmVmZQ")), text);
        assert_eq!(
            signature(json!({ "key_format": "hex" }), json!({ "$bytes": "SmVmZQ==" })),
            text
        );
        let bad = |key: &str| json!({ "message": MESSAGE, "key": key });
        check_error(json!({ "key_format": "hex" }), bad("Jefe"), "crypto.bad_key");
        check_error(json!({}), bad(""), "crypto.bad_key");
    }

    #[test]
    fn a_signature_is_not_a_secret_unless_its_message_is() {
        let signature = |message: Value| {
            let key = Value::from("Jefe").tainted();
            let ctx = NodeContext::builder().input("message", message).input("key", key);
            let output = call(&HmacFactory, &ctx.build()).unwrap();
            output.get("signature").unwrap().is_tainted()
        };
        assert!(!signature(Value::from(MESSAGE)));
        assert!(signature(Value::from(MESSAGE).tainted()));
    }

    #[test]
    fn bad_configs_and_missing_inputs_are_named() {
        let inputs = || json!({ "message": MESSAGE, "key": "Jefe" });
        check_error(json!({ "algorithm": "md5" }), inputs(), "config.invalid");
        check_error(json!({ "mode": "verify" }), inputs(), "input.missing");
        check_error(json!({}), json!({ "message": MESSAGE }), "input.missing");
        check_error(json!({}), json!({ "key": "Jefe" }), "input.missing");
        check_error(json!({}), json!({ "message": {}, "key": "Jefe" }), "input.invalid");
    }
}
