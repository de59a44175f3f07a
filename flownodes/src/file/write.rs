//! `file.write`.

use std::borrow::Cow;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use flowcore::{
    Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::NamedTempFile;

use super::path::AllowedPath;
use crate::content;

const ACTION: &str = "write";

/// The config of `file.write`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct WriteConfig {
    /// What happens to a file that is there.
    mode: WriteMode,
    /// Whether missing folders on the way to the file are created.
    create_dirs: bool,
}

/// What happens to a file that is there.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WriteMode {
    /// It is replaced as a whole: others see the old content or the new one, never a part.
    #[default]
    Overwrite,
    /// It stays, and the node fails with `file.exists`.
    CreateNew,
    /// The content is added at its end.
    Append,
}

/// Makes `file.write` nodes.
pub(super) struct WriteFactory;

impl NodeFactory for WriteFactory {
    fn node_type(&self) -> &str {
        "file.write"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(WriteNode)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("file.write")
            .summary("Write a file")
            .description(
                "Writes text or bytes as they are, and any other value as indented JSON. Relative \
                 paths start at the workflow's folder.\n\n\
                 The content is on the disk when the node succeeds. `overwrite` and `create_new` \
                 write beside the file and then rename, so a failure leaves the file as it was; \
                 an existing file keeps its permissions, and a symbolic link is followed. \
                 `append` may leave a part behind when it fails, and an attempt that a crash cut \
                 off appends again: where that hurts, set `\"effect\": \"once\"` on the node.",
            )
            .input(Port::new("path").description("The file to write.").typed::<String>().required())
            .input(
                Port::new("content")
                    .description("A string or bytes as they are, any other value as JSON.")
                    .required(),
            )
            .output(Port::new("path").description("The full path of the file.").typed::<String>())
            .output(Port::new("size").description("The size of the file, in bytes.").typed::<u64>())
            .config::<WriteConfig>()
            .effect(Effect::Idempotent)
            .execution(Execution::Blocking)
            .example(
                "Write a value as JSON, in a folder that may be missing",
                json!({ "path": "reports/total.json", "create_dirs": true }),
                json!({ "content": { "total": 42 } }),
                json!({ "size": 18 }),
            )
            .example(
                "Add a line to a log",
                json!({ "path": "log.txt", "content": "done\n", "mode": "append" }),
                json!({}),
                json!({}),
            )
    }
}

struct WriteNode;

impl InlineNode for WriteNode {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<WriteConfig>()?;
        let path = AllowedPath::to_write(ctx)?;
        let content = ctx.required_input("content")?;
        if config.create_dirs {
            let created = std::fs::create_dir_all(folder(path.full()));
            created.map_err(|error| path.error("create the folder of", &error))?;
        }
        let size = write(&path, &bytes_of(content), config.mode)?;
        Ok(NodeOutput::of("path", path.to_value()).with("size", size))
    }
}

fn bytes_of(content: &Value) -> Cow<'_, [u8]> {
    content::raw(content).map_or_else(|| Cow::Owned(content::pretty_json(content)), Cow::Borrowed)
}

/// Returns the size of the file afterwards.
fn write(path: &AllowedPath, content: &[u8], mode: WriteMode) -> Result<u64, NodeError> {
    match mode {
        WriteMode::Append => append(path, content),
        WriteMode::Overwrite => {
            let existing = path.check_regular(ACTION)?;
            // Renaming over a link would replace the link.
            let target = path.full().canonicalize();
            let target = target.as_deref().unwrap_or(path.full());
            let written = replace(target, content, existing.as_ref());
            written.map_err(|error| failed(path, &error))
        }
        WriteMode::CreateNew => {
            create_new(path.full(), content).map_err(|error| failed(path, &error))
        }
    }
}

fn append(path: &AllowedPath, content: &[u8]) -> Result<u64, NodeError> {
    path.check_regular(ACTION)?;
    let opened = path.open_regular(OpenOptions::new().append(true).create(true), ACTION);
    let (mut file, _) = opened.map_err(with_hint)?;
    let write = |file: &mut File| {
        file.write_all(content)?;
        file.sync_all()?;
        file.metadata()
    };
    write(&mut file).map(|metadata| metadata.len()).map_err(|error| failed(path, &error))
}

fn replace(target: &Path, content: &[u8], existing: Option<&Metadata>) -> io::Result<u64> {
    let file = beside(target, content)?;
    if let Some(existing) = existing {
        file.as_file().set_permissions(existing.permissions())?;
    }
    file.as_file().sync_all()?;
    finish(&file.persist(target)?, target)
}

fn create_new(target: &Path, content: &[u8]) -> io::Result<u64> {
    let file = beside(target, content)?;
    file.as_file().sync_all()?;
    finish(&file.persist_noclobber(target)?, target)
}

/// A file with this content in the same folder, so that it can be renamed; removed when dropped.
fn beside(target: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    let mut file = builder.prefix(".flow-").suffix(".tmp").tempfile_in(folder(target))?;
    file.write_all(content)?;
    Ok(file)
}

/// Returns the size once the rename is on the disk too.
fn finish(file: &File, target: &Path) -> io::Result<u64> {
    if cfg!(unix) {
        File::open(folder(target))?.sync_all()?;
    }
    file.metadata().map(|metadata| metadata.len())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn failed(path: &AllowedPath, error: &io::Error) -> NodeError {
    with_hint(path.error(ACTION, error))
}

fn with_hint(error: NodeError) -> NodeError {
    match error.code() {
        "file.not_found" => error.with_hint("set `create_dirs` to create missing folders"),
        "file.exists" => error.with_hint("set `mode` to `overwrite` or `append`"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flowcore::Policy;

    use super::*;
    use crate::testing::{call, context, mkfifo, object};

    fn run(directory: &Path, config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        call(&WriteFactory, &context(&WriteFactory.descriptor(), directory, config).build())
    }

    #[track_caller]
    fn check_error(directory: &Path, config: serde_json::Value, code: &str) {
        assert_eq!(run(directory, config).unwrap_err().code(), code);
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_examples_hold() {
        let directory = tempfile::tempdir().unwrap();
        let descriptor = WriteFactory.descriptor();
        for example in &descriptor.examples {
            let mut builder = context(&descriptor, directory.path(), example.config.clone());
            for (port, value) in object(example.inputs.clone()).iter() {
                builder = builder.input(port.clone(), value.clone());
            }
            let output = call(&WriteFactory, &builder.build()).unwrap();
            for (port, value) in object(example.outputs.clone()).iter() {
                assert_eq!(output.get(port), Some(value), "{}", example.title);
            }
        }
        let json = fs::read_to_string(directory.path().join("reports/total.json")).unwrap();
        assert_eq!(json, "{\n  \"total\": 42\n}\n");
    }

    #[test]
    fn each_mode_treats_an_existing_file_in_its_way() {
        let directory = tempfile::tempdir().unwrap();
        let full = directory.path().join("a");
        let config = |mode: &str| json!({"path": "a", "content": "new\n", "mode": mode});
        let run = |mode: &str| run(directory.path(), config(mode));
        assert_eq!(run("create_new").unwrap().get("size"), Some(&Value::from(4)));
        assert_eq!(run("create_new").unwrap_err().code(), "file.exists");
        assert_eq!(run("append").unwrap().get("size"), Some(&Value::from(8)));
        assert_eq!(fs::read_to_string(&full).unwrap(), "new\nnew\n");
        let output = run("overwrite").unwrap();
        assert_eq!(output.get("path"), Some(&Value::from(full.to_str().unwrap())));
        assert_eq!(fs::read_to_string(&full).unwrap(), "new\n");
        assert_eq!(names(directory.path()), ["a"], "no temporary file is left");
    }

    #[test]
    fn bytes_and_secrets_are_written_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let full = directory.path().join("a");
        let write = |content: Value| {
            let ctx = context(&WriteFactory.descriptor(), directory.path(), json!({"path": "a"}));
            call(&WriteFactory, &ctx.input("content", content).build()).unwrap();
            fs::read(&full).unwrap()
        };
        assert_eq!(write(Value::from(vec![0_u8, 255])), [0, 255]);
        assert_eq!(write(Value::from("s3cret").tainted()), b"s3cret");
        let secrets = Value::try_from(vec![Value::from("s3cret").tainted()]).unwrap();
        assert_eq!(write(secrets), b"[\n  \"s3cret\"\n]\n");
        assert_eq!(write(Value::Null), b"null\n");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_survive() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let directory = tempfile::tempdir().unwrap();
        let full = directory.path().join("a");
        fs::write(&full, "old").unwrap();
        fs::set_permissions(&full, fs::Permissions::from_mode(0o740)).unwrap();
        symlink("a", directory.path().join("link")).unwrap();
        run(directory.path(), json!({"path": "link", "content": "new"})).unwrap();
        assert_eq!(fs::read_to_string(&full).unwrap(), "new");
        assert_eq!(fs::metadata(&full).unwrap().permissions().mode() & 0o777, 0o740);
        assert!(fs::symlink_metadata(directory.path().join("link")).unwrap().is_symlink());
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for mode in ["overwrite", "append"] {
            let config = |path: &str| json!({"path": path, "content": "x", "mode": mode});
            check_error(directory.path(), config("."), "file.not_regular");
            check_error(directory.path(), config("missing/a"), "file.not_found");
            check_error(directory.path(), config(&"a".repeat(300)), "file.io");
            if cfg!(unix) {
                let pipe = directory.path().join(mode);
                mkfifo(&pipe);
                check_error(directory.path(), config(mode), "file.not_regular");
                check_error(directory.path(), config("/dev/null"), "file.not_regular");
            }
        }
    }

    #[test]
    fn the_policy_is_asked_before_anything_is_created() {
        let directory = tempfile::tempdir().unwrap();
        let config = json!({"path": "x/a", "content": "x", "create_dirs": true});
        let ctx = context(&WriteFactory.descriptor(), directory.path(), config);
        let policy = Policy::deny_all().directory(directory.path());
        let error = call(&WriteFactory, &ctx.policy(policy).build()).unwrap_err();
        assert_eq!(error.code(), "policy.path_denied");
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn bad_configs_and_inputs_are_named() {
        check_error(Path::new("/"), json!({"path": "x"}), "input.missing");
        check_error(Path::new("/"), json!({"path": 1, "content": ""}), "input.invalid");
        let config = json!({"path": "x", "content": "", "mode": "replace"});
        check_error(Path::new("/"), config, "config.invalid");
    }
}
