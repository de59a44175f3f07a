//! `file.read`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};

use flowcore::{
    Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::path::AllowedPath;
use crate::content::text_or_bytes;
use crate::encoding::Encoding;

const ACTION: &str = "read";

/// The config of `file.read`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ReadConfig {
    /// Whether the content becomes text or stays bytes.
    encoding: Encoding,
    /// The largest file that is read, in bytes.
    max_bytes: u64,
}

impl Default for ReadConfig {
    fn default() -> Self {
        Self { encoding: Encoding::Text, max_bytes: 64 * 1024 * 1024 }
    }
}

/// Makes `file.read` nodes.
pub(super) struct ReadFactory;

impl NodeFactory for ReadFactory {
    fn node_type(&self) -> &str {
        "file.read"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(ReadNode)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("file.read")
            .summary("Read a file")
            .description(
                "Reads a regular file whole. Relative paths start at the workflow's folder. The \
                 content is text, in UTF-8, unless `encoding` says otherwise.",
            )
            .input(Port::new("path").description("The file to read.").typed::<String>().required())
            .output(Port::new("content").description("The content: a string, or bytes."))
            .output(Port::new("size").description("The size in bytes.").typed::<u64>())
            .output(Port::new("path").description("The full path of the file.").typed::<String>())
            .config::<ReadConfig>()
            .effect(Effect::Read)
            .execution(Execution::Blocking)
            .example(
                "Read a text file",
                json!({ "path": "greeting.txt" }),
                json!({}),
                json!({ "content": "hello\n", "size": 6 }),
            )
            .example(
                "Read a file as bytes",
                json!({ "path": "greeting.txt", "encoding": "bytes" }),
                json!({}),
                json!({ "content": { "$bytes": "aGVsbG8K" } }),
            )
    }
}

struct ReadNode;

impl InlineNode for ReadNode {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<ReadConfig>()?;
        let path = AllowedPath::to_read(ctx)?;
        let bytes = read(&path, config.max_bytes)?;
        let size = bytes.len();
        let content = decode(bytes, config.encoding, &path)?;
        Ok(NodeOutput::of("content", content).with("size", size).with("path", path.to_value()))
    }
}

fn read(path: &AllowedPath, limit: u64) -> Result<Vec<u8>, NodeError> {
    let (file, metadata) = path.open_regular(OpenOptions::new().read(true), ACTION)?;
    if metadata.len() > limit {
        return Err(too_large(path, limit));
    }
    let bytes = read_up_to(file, limit).map_err(|error| path.error(ACTION, &error))?;
    bytes.ok_or_else(|| too_large(path, limit))
}

/// The content, or `None` when there is more than `limit`: a file may grow while it is read, and
/// those in `/proc` have no size at all.
fn read_up_to(file: File, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((u64::try_from(read).is_ok_and(|read| read <= limit)).then_some(bytes))
}

fn decode(bytes: Vec<u8>, encoding: Encoding, path: &AllowedPath) -> Result<Value, NodeError> {
    match encoding {
        Encoding::Bytes => Ok(Value::from(bytes)),
        Encoding::Auto => Ok(text_or_bytes(bytes)),
        Encoding::Text => String::from_utf8(bytes).map(Value::from).map_err(|error| {
            let message = format!("file `{}` is not text in UTF-8", path.shown());
            NodeError::new("file.not_text", message)
                .with_source(&error.utf8_error())
                .with_hint("set `encoding` to `bytes` or `auto`")
        }),
    }
}

fn too_large(path: &AllowedPath, limit: u64) -> NodeError {
    let message = format!("file `{}` is larger than {limit} bytes", path.shown());
    NodeError::new("file.too_large", message).with_hint("raise `max_bytes`")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flowcore::Policy;

    use super::*;
    use crate::testing::{call, context, mkfifo, object};

    fn run(directory: &Path, config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        call(&ReadFactory, &context(&ReadFactory.descriptor(), directory, config).build())
    }

    #[track_caller]
    fn check_error(directory: &Path, config: serde_json::Value, code: &str) {
        assert_eq!(run(directory, config).unwrap_err().code(), code);
    }

    #[test]
    fn the_examples_hold() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("greeting.txt"), "hello\n").unwrap();
        for example in ReadFactory.descriptor().examples {
            let output = run(directory.path(), example.config).unwrap();
            for (port, value) in object(example.outputs).iter() {
                assert_eq!(output.get(port), Some(value), "{}", example.title);
            }
        }
    }

    #[test]
    fn a_file_is_read_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let full = directory.path().join("bytes");
        std::fs::write(&full, [b'a', 0xff, b'\r', b'\n']).unwrap();
        let bytes = Value::from(vec![b'a', 0xff, b'\r', b'\n']);
        let output = run(directory.path(), json!({"path": "x/../bytes", "encoding": "auto"}));
        let output = output.unwrap();
        assert_eq!(output.get("content"), Some(&bytes));
        assert_eq!(output.get("path"), Some(&Value::from(full.to_str().unwrap())));
        check_error(directory.path(), json!({"path": "bytes"}), "file.not_text");
    }

    #[test]
    fn the_size_is_limited_with_and_without_metadata() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("five"), "12345").unwrap();
        let config = |max: u64| json!({"path": "five", "max_bytes": max});
        assert!(run(directory.path(), config(5)).is_ok());
        check_error(directory.path(), config(4), "file.too_large");
        if cfg!(target_os = "linux") {
            let config = json!({"path": "/proc/self/status", "max_bytes": 10});
            check_error(directory.path(), config, "file.too_large");
        }
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        check_error(directory.path(), json!({"path": "."}), "file.not_regular");
        check_error(directory.path(), json!({"path": "missing"}), "file.not_found");
        check_error(directory.path(), json!({"path": "a".repeat(300)}), "file.io");
        if cfg!(unix) {
            mkfifo(&directory.path().join("pipe"));
            check_error(directory.path(), json!({"path": "pipe"}), "file.not_regular");
            check_error(directory.path(), json!({"path": "/dev/zero"}), "file.not_regular");
        }
    }

    #[test]
    fn the_policy_is_asked_first() {
        let descriptor = ReadFactory.descriptor();
        let ctx = context(&descriptor, Path::new("/"), json!({"path": "missing"}));
        let error = call(&ReadFactory, &ctx.policy(Policy::deny_all()).build()).unwrap_err();
        assert_eq!(error.code(), "policy.path_denied");
    }

    #[test]
    fn bad_configs_and_inputs_are_named() {
        let directory = Path::new("/");
        check_error(directory, json!({}), "input.missing");
        check_error(directory, json!({"path": 1}), "input.invalid");
        check_error(directory, json!({"path": "x", "encodign": "text"}), "config.invalid");
    }
}
