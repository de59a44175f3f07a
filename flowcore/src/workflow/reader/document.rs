//! The workflow itself.

use indexmap::IndexMap;

use super::super::path::Path;
use super::super::{
    Connection, Diagnostic, Diagnostics, InputSpec, Source, Workflow, WorkflowSpec,
};
use super::fields::{CONNECTION, Fields, Problems, Unread, WORKFLOW};
use super::{node, settings, tagged, trigger};
use crate::id::{NodeId, WorkflowId};
use crate::value::Value;
use crate::workflow::place::place;

/// The version of the format that this reader reads.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// The keys of a workflow, in the order in which they are written.
pub(crate) const WORKFLOW_KEYS: &[&str] = &[
    "$schema",
    "format_version",
    "id",
    "name",
    "description",
    INPUTS_KEY,
    "nodes",
    "connections",
    "outputs",
    "triggers",
    "settings",
    "when",
];

/// The key under which a workflow declares its inputs.
pub(crate) const INPUTS_KEY: &str = "inputs";

/// The keys of a connection, in the order in which they are written.
pub(crate) const CONNECTION_KEYS: &[&str] = &["from_node", "from_port", "to_node", "to_port"];

/// Reads a workflow file: the workflow as far as it could be read, and every problem, each with
/// its place.
///
/// There is no workflow only when the text cannot be read at all. What could not be read in a
/// workflow is left out or has its default; nodes, connections and triggers keep the indices they
/// have in the file, and an unreadable node or connection has empty ids.
///
/// Only keys and types are checked here; see [`crate::check`] for everything.
pub fn read_workflow(source: &Source) -> (Option<Workflow>, Diagnostics) {
    let (workflow, mut diagnostics, _) = read_unplaced(source);
    place(source, &mut diagnostics);
    (workflow, diagnostics)
}

/// As [`read_workflow`], for callers that add problems and then place all of them.
pub(crate) fn read_unplaced(source: &Source) -> (Option<Workflow>, Diagnostics, Unread) {
    let mut diagnostics = Diagnostics::new();
    let Some(tree) = source.read_tree(&mut diagnostics) else {
        return (None, diagnostics, Unread::default());
    };
    let (mut workflow, problems, unread) = read_value(&tree);
    diagnostics.extend(problems);
    if workflow.id.is_none() && tree.get("id").is_none() {
        workflow.id = source.default_id();
    }
    (Some(workflow), diagnostics, unread)
}

/// Reads a workflow from a tree; the diagnostics have pointers and no places.
fn read_value(value: &Value) -> (Workflow, Diagnostics, Unread) {
    let mut problems = Problems::default();
    let fields = Fields::of(value, &Path::Root, &WORKFLOW, &"the workflow", &mut problems);
    let spec = fields.map(|fields| read_spec(fields.only(WORKFLOW_KEYS))).unwrap_or_default();
    let (diagnostics, unread) = problems.finish();
    (Workflow::from(spec), diagnostics, unread)
}

/// The keys of a body, in the order in which they are written.
pub(crate) const BODY_KEYS: &[&str] = &["nodes", "connections", "outputs"];

/// Reads the body of a control node as a workflow of its own, and what it gives; the diagnostics
/// have pointers below the body, and no places.
pub(crate) fn read_body(value: &Value) -> (Workflow, Option<Value>, Diagnostics, Unread) {
    let mut problems = Problems::default();
    let fields = Fields::of(value, &Path::Root, &WORKFLOW, &"the body", &mut problems);
    let mut outputs = None;
    let spec = fields.map(|fields| {
        let mut fields = fields.only(BODY_KEYS);
        fields.require("nodes", "an array of nodes");
        outputs = fields.value("outputs").cloned();
        WorkflowSpec {
            nodes: items(&mut fields, "nodes", node::read),
            connections: items(&mut fields, "connections", read_connection),
            ..WorkflowSpec::default()
        }
    });
    let (diagnostics, unread) = problems.finish();
    (Workflow::from(spec.unwrap_or_default()), outputs, diagnostics, unread)
}

fn read_spec(mut fields: Fields<'_, '_>) -> WorkflowSpec {
    check_format_version(&mut fields);
    fields.require("nodes", "an array of nodes");
    WorkflowSpec {
        schema: fields.string("$schema").map(str::to_owned),
        id: read_id(&mut fields),
        name: fields.string("name").map(str::to_owned),
        description: fields.string("description").map(str::to_owned),
        inputs: read_inputs(&mut fields),
        nodes: items(&mut fields, "nodes", node::read),
        connections: items(&mut fields, "connections", read_connection),
        outputs: fields
            .object("outputs")
            .map(|outputs| tagged::natural(outputs, &fields.path.key("outputs"), fields.problems)),
        triggers: items(&mut fields, "triggers", trigger::read),
        settings: settings::read(&mut fields),
        when: fields.value("when").cloned(),
        extensions: fields.extensions(),
    }
}

/// Reads every item of an array; each keeps its index.
fn items<T>(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
    read: impl Fn(&Value, &Path<'_>, &mut Problems) -> T,
) -> Vec<T> {
    let items = fields.items(key);
    let path = fields.path.key(key);
    let read = |(index, item)| read(item, &path.index(index), fields.problems);
    items.iter().enumerate().map(read).collect()
}

fn check_format_version(fields: &mut Fields<'_, '_>) {
    if let Some(version) = fields.u64("format_version")
        && version != FORMAT_VERSION
    {
        let path = fields.path.key("format_version");
        fields.problems.report(|| {
            let message = format!("this Flow does not read format version {version}");
            Diagnostic::error("workflow.unknown_format_version", path.pointer(), message)
                .expected(FORMAT_VERSION.to_string())
                .hint("a newer Flow may read it")
        });
    }
}

fn read_id(fields: &mut Fields<'_, '_>) -> Option<WorkflowId> {
    let text = fields.string("id")?;
    let path = fields.path.key("id");
    let report = |error: &crate::IdError| {
        Diagnostic::error("workflow.bad_id", path.pointer(), error.to_string())
            .expected("1 to 128 letters, digits, `_` and `-`")
    };
    WorkflowId::new(text).map_err(|error| fields.problems.report(|| report(&error))).ok()
}

fn read_inputs(fields: &mut Fields<'_, '_>) -> Option<IndexMap<String, InputSpec>> {
    let inputs = fields.object(INPUTS_KEY)?;
    let path = fields.path.key(INPUTS_KEY);
    let mut read_input = |(name, value): (&std::sync::Arc<str>, &Value)| {
        if value.as_object().is_none() {
            fields.problems.report(|| {
                let message = format!("input `{name}` is {}", value.kind());
                Diagnostic::error("input.bad_schema", path.key(name).pointer(), message)
                    .expected("a JSON Schema, such as `{\"type\": \"string\"}`")
            });
        }
        let schema = value.as_object().cloned().unwrap_or_default();
        (name.to_string(), InputSpec { schema })
    };
    Some(inputs.iter().map(&mut read_input).collect())
}

fn read_connection(value: &Value, path: &Path<'_>, problems: &mut Problems) -> Connection {
    let unreadable = || Connection {
        from_node: NodeId::unchecked(""),
        from_port: None,
        to_node: NodeId::unchecked(""),
        to_port: None,
    };
    let fields = Fields::of(value, path, &CONNECTION, &"a connection", problems);
    let Some(mut fields) = fields.map(|fields| fields.only(CONNECTION_KEYS)) else {
        return unreadable();
    };
    fields.require("from_node", "the id of the node that it leaves");
    fields.require("to_node", "the id of the node that it enters");
    Connection {
        from_node: NodeId::unchecked(fields.string("from_node").unwrap_or_default()),
        from_port: fields.string("from_port").map(Into::into),
        to_node: NodeId::unchecked(fields.string("to_node").unwrap_or_default()),
        to_port: fields.string("to_port").map(Into::into),
    }
}

impl Workflow {
    /// Reads a workflow from JSON. What its nodes and expressions mean is checked when it is
    /// loaded for running, and by [`crate::check`].
    ///
    /// # Errors
    /// Every problem of the text, each with its place.
    pub fn from_json(text: &str) -> Result<Self, Diagnostics> {
        Self::from_source(&Source::json("", text))
    }

    /// Reads a workflow from YAML; see [`Workflow::from_json`].
    ///
    /// # Errors
    /// Every problem of the text, each with its place.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Self, Diagnostics> {
        Self::from_source(&Source::yaml("", text))
    }

    fn from_source(source: &Source) -> Result<Self, Diagnostics> {
        match read_workflow(source) {
            (Some(workflow), diagnostics) if !diagnostics.has_errors() => Ok(workflow),
            (_, diagnostics) => Err(diagnostics),
        }
    }

    /// Reads a workflow from a value: the workflow as far as it could be read, and every problem
    /// of its keys and types, with JSON pointers and no places.
    pub fn from_value(value: &Value) -> (Self, Diagnostics) {
        let (workflow, diagnostics, _) = read_value(value);
        (workflow, diagnostics)
    }
}
