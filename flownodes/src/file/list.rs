//! `file.list`.

use std::fs::{DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flowcore::{
    Array, Cancellation, Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor,
    NodeError, NodeFactory, NodeInstance, NodeOutput, Object, Port, Timestamp, Value,
};
use glob::Pattern;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::path::AllowedPath;

const ACTION: &str = "list";

/// The config of `file.list`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ListConfig {
    /// Which names are listed: `*` stands for any characters, `?` for one, `[a-z]` for one of a
    /// set. Case counts. By default all names, hidden ones too.
    pattern: String,
    /// Whether folders within are listed too, at any depth.
    recursive: bool,
    /// The most files and folders that are listed; more fail the node with `file.too_many`.
    max_entries: usize,
}

impl Default for ListConfig {
    fn default() -> Self {
        Self { pattern: "*".to_owned(), recursive: false, max_entries: 10_000 }
    }
}

/// A file or folder, as `file.list` describes it.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct ListedFile {
    /// The full path.
    path: String,
    /// The last part of the path.
    name: String,
    /// The size in bytes; 0 for a folder.
    size: u64,
    /// Whether it is a folder.
    is_dir: bool,
    /// When the content last changed; null where the system does not know.
    modified_at: Option<String>,
}

/// Makes `file.list` nodes.
pub(super) struct ListFactory;

impl NodeFactory for ListFactory {
    fn node_type(&self) -> &str {
        "file.list"
    }

    fn instance(&self, _config: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(ListNode)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("file.list")
            .summary("List the files of a folder")
            .description(
                "Lists files and folders, sorted by path. Relative paths start at the workflow's \
                 folder. `pattern` is compared with names, not with paths; with `recursive`, \
                 folders are searched whether their own name matches or not. Symbolic links are \
                 listed as what they are and never followed. In paths that are not UTF-8, the \
                 odd bytes are replaced.",
            )
            .input(
                Port::new("path").description("The folder to list.").typed::<String>().required(),
            )
            .output(
                Port::new("files")
                    .description("What is in the folder, sorted by path.")
                    .typed::<Vec<ListedFile>>(),
            )
            .config::<ListConfig>()
            .effect(Effect::Read)
            .execution(Execution::Blocking)
            .example(
                "All CSV files in a folder and the folders within",
                json!({ "path": ".", "pattern": "*.csv", "recursive": true }),
                json!({}),
                json!({ "files": [] }),
            )
    }
}

struct ListNode;

impl InlineNode for ListNode {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<ListConfig>()?;
        let pattern = Pattern::new(&config.pattern)
            .map_err(|error| NodeError::config("`pattern` is not a pattern").with_source(&error))?;
        let path = AllowedPath::to_read(ctx)?;
        let walk = Walk {
            path: &path,
            pattern,
            recursive: config.recursive,
            max_entries: config.max_entries,
            cancellation: ctx.cancellation(),
        };
        let mut found = walk.run()?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let files = found.iter().map(Found::describe).collect::<Result<Vec<_>, _>>()?;
        Ok(NodeOutput::of("files", Array::from_values(files)?))
    }
}

struct Found {
    path: PathBuf,
    metadata: Metadata,
}

impl Found {
    fn describe(&self) -> Result<Value, NodeError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let is_dir = self.metadata.is_dir();
        let size = if is_dir { 0 } else { self.metadata.len() };
        let modified_at = self.metadata.modified().ok().map(|at| timestamp(at).to_string());
        let object = Object::from_entries([
            ("path", Value::from(&*self.path.to_string_lossy())),
            ("name", Value::from(&*name)),
            ("size", Value::from(size)),
            ("is_dir", Value::from(is_dir)),
            ("modified_at", Value::from(modified_at)),
        ])?;
        Ok(Value::from(object))
    }
}

fn timestamp(time: SystemTime) -> Timestamp {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    })
}

struct Walk<'a> {
    path: &'a AllowedPath,
    pattern: Pattern,
    recursive: bool,
    max_entries: usize,
    cancellation: Cancellation,
}

impl Walk<'_> {
    fn run(&self) -> Result<Vec<Found>, NodeError> {
        let mut found = Vec::new();
        let mut folders = vec![self.path.full().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in self.entries(&folder)? {
                self.check_cancelled()?;
                let Some(entry) = self.look_at(entry)? else { continue };
                if self.recursive && entry.metadata.is_dir() {
                    folders.push(entry.path.clone());
                }
                if self.matches(&entry.path) {
                    found.push(entry);
                    self.check_count(found.len())?;
                }
            }
        }
        Ok(found)
    }

    /// What is in a folder; a folder below the first one may vanish while it is being listed.
    fn entries(
        &self,
        folder: &Path,
    ) -> Result<impl Iterator<Item = io::Result<DirEntry>>, NodeError> {
        match std::fs::read_dir(folder) {
            Ok(entries) => Ok(Some(entries).into_iter().flatten()),
            Err(error) if error.kind() == ErrorKind::NotFound && folder != self.path.full() => {
                Ok(None.into_iter().flatten())
            }
            Err(error) => Err(self.path.error(ACTION, &error)),
        }
    }

    /// `None` for what has vanished meanwhile.
    fn look_at(&self, entry: io::Result<DirEntry>) -> Result<Option<Found>, NodeError> {
        let entry = entry.map_err(|error| self.path.error(ACTION, &error))?;
        match entry.metadata() {
            Ok(metadata) => Ok(Some(Found { path: entry.path(), metadata })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.path.error(ACTION, &error)),
        }
    }

    fn matches(&self, path: &Path) -> bool {
        self.pattern.matches(&path.file_name().unwrap_or_default().to_string_lossy())
    }

    fn check_count(&self, count: usize) -> Result<(), NodeError> {
        if count <= self.max_entries {
            return Ok(());
        }
        let (shown, most) = (self.path.shown(), self.max_entries);
        let message = format!("`{shown}` has more than {most} files and folders to list");
        Err(NodeError::new("file.too_many", message)
            .with_hint("use a narrower `pattern`, or raise `max_entries`"))
    }

    fn check_cancelled(&self) -> Result<(), NodeError> {
        match self.cancellation.reason() {
            None => Ok(()),
            Some(reason) => {
                Err(NodeError::new("node.cancelled", format!("listing was stopped: {reason}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use flowcore::{AttemptSignals, CancelReason, Policy};

    use super::*;
    use crate::testing::{call, context};

    /// `a.csv`, `b.txt`, `in/c.csv`, `in/.hidden/d.csv`.
    fn folder() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("in/.hidden")).unwrap();
        for (name, content) in
            [("in/.hidden/d.csv", "dddd"), ("b.txt", "bb"), ("in/c.csv", "ccc"), ("a.csv", "a")]
        {
            fs::write(directory.path().join(name), content).unwrap();
        }
        directory
    }

    fn run(directory: &Path, config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        call(&ListFactory, &context(&ListFactory.descriptor(), directory, config).build())
    }

    #[track_caller]
    fn check(config: serde_json::Value, expected: &[(&str, i64, bool)]) {
        let directory = folder();
        let output = run(directory.path(), config).unwrap();
        let files = output.get("files").unwrap().as_array().unwrap().clone();
        let found: Vec<_> = files.iter().map(|file| brief(file, directory.path())).collect();
        let expected: Vec<_> =
            expected.iter().map(|(path, size, dir)| ((*path).to_owned(), *size, *dir)).collect();
        assert_eq!(found, expected);
    }

    fn brief(file: &Value, directory: &Path) -> (String, i64, bool) {
        let path = Path::new(file.get("path").unwrap().as_str().unwrap());
        assert_eq!(path.file_name().unwrap().to_str(), file.get("name").unwrap().as_str());
        let relative = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
        let size = file.get("size").unwrap().as_i64().unwrap();
        (relative, size, file.get("is_dir").unwrap().as_bool().unwrap())
    }

    #[test]
    fn folders_are_listed_in_order() {
        let flat = [("a.csv", 1, false), ("b.txt", 2, false), ("in", 0, true)];
        check(json!({"path": "."}), &flat);
        let csv = [("a.csv", 1, false), ("in/.hidden/d.csv", 4, false), ("in/c.csv", 3, false)];
        check(json!({"path": ".", "recursive": true, "pattern": "*.csv"}), &csv);
        check(json!({"path": ".", "pattern": "?.t*"}), &[("b.txt", 2, false)]);
        check(json!({"path": "in", "pattern": ".*"}), &[("in/.hidden", 0, true)]);
        check(json!({"path": ".", "pattern": "*.CSV"}), &[]);
    }

    #[test]
    fn times_are_told() {
        let directory = folder();
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        let file = fs::File::options().write(true).open(directory.path().join("a.csv")).unwrap();
        file.set_modified(before_1970).unwrap();
        let output = run(directory.path(), json!({"path": ".", "pattern": "a.*"})).unwrap();
        let at = output.get("files").unwrap().pointer("/0/modified_at").unwrap();
        assert_eq!(at.as_str(), Some("1969-12-31T23:59:58.500Z"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let directory = folder();
        std::os::unix::fs::symlink(".", directory.path().join("in/loop")).unwrap();
        let config = json!({"path": ".", "recursive": true, "pattern": "loop"});
        let output = run(directory.path(), config).unwrap();
        let files = output.get("files").unwrap().as_array().unwrap().clone();
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].get("is_dir"), Some(&Value::from(false)));
    }

    #[test]
    fn errors_have_codes() {
        let directory = folder();
        for (config, code) in [
            (json!({"path": ".", "recursive": true, "max_entries": 5}), "file.too_many"),
            (json!({"path": "missing"}), "file.not_found"),
            (json!({"path": "a.csv"}), "file.not_directory"),
            (json!({"path": ".", "pattern": "[a"}), "config.invalid"),
            (json!({}), "input.missing"),
        ] {
            assert_eq!(run(directory.path(), config).unwrap_err().code(), code);
        }
        assert!(run(directory.path(), json!({"path": ".", "max_entries": 3})).is_ok());
    }

    #[test]
    fn a_cancelled_walk_ends() {
        let directory = folder();
        let signals = Arc::new(AttemptSignals::new(None));
        signals.cancel(CancelReason::Requested);
        let ctx = context(&ListFactory.descriptor(), directory.path(), json!({"path": "."}));
        let error = call(&ListFactory, &ctx.signals(signals).build()).unwrap_err();
        assert_eq!(error.code(), "node.cancelled");
    }

    #[test]
    fn the_policy_is_asked_first() {
        let ctx = context(&ListFactory.descriptor(), Path::new("/"), json!({"path": "."}));
        let error = call(&ListFactory, &ctx.policy(Policy::deny_all()).build()).unwrap_err();
        assert_eq!(error.code(), "policy.path_denied");
    }
}
