//! The keys of workflow files, as types whose schema is derived. No value of them is ever made: the
//! reader and the writer know the keys on their own, and a test compares them.
#![expect(dead_code, reason = "only the schemas of these types count")]

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::super::CacheSpec;
use super::super::definition::{Connection, Join, OnError, Position, RetryPolicy, Settings};
use crate::node::Effect;

const ID: &str = "^[A-Za-z0-9_-]{1,128}$";

/// A workflow of Flow: nodes joined by connections into a directed acyclic graph.
#[derive(JsonSchema)]
#[schemars(rename = "Workflow", deny_unknown_fields)]
struct WorkflowFile {
    /// Where editors find the schema of this file.
    #[schemars(rename = "$schema")]
    schema: Option<String>,
    /// The version of the file's format.
    #[schemars(range(min = 1, max = 1))]
    format_version: Option<u64>,
    /// The id; a file without one takes its stem.
    #[schemars(regex(pattern = ID))]
    id: Option<String>,
    /// A name for people.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// The inputs that an execution takes, each with a JSON Schema and perhaps a `default`; without
    /// this key it takes any.
    #[schemars(default, schema_with = "inputs")]
    inputs: Option<Json>,
    /// The nodes.
    #[schemars(length(min = 1))]
    nodes: Vec<NodeFile>,
    /// The connections between nodes. An expression that reads a node connects as well.
    connections: Option<Vec<Connection>>,
    /// What an execution gives, as expressions by name; without this key the outputs of the nodes on
    /// which nothing depends.
    outputs: Option<Map<String, Json>>,
    /// What starts executions.
    #[schemars(default, schema_with = "triggers")]
    triggers: Option<Json>,
    /// Limits and policies.
    settings: Option<Settings>,
    /// Which messages the workflow is for: an expression over `inputs`, or a rule in JSONLogic.
    #[schemars(default, schema_with = "condition")]
    when: Option<Json>,
}

/// One node of a workflow.
#[derive(JsonSchema)]
#[schemars(rename = "Node", deny_unknown_fields)]
struct NodeFile {
    /// Unique within the workflow; expressions read its outputs as `nodes.<id>.<port>`.
    #[schemars(regex(pattern = ID))]
    id: String,
    /// The implementation, such as `http.request`.
    node_type: String,
    /// A name for people.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// The settings of the implementation, and values of input ports that have no connection.
    /// Strings may hold expressions in `{{ }}`.
    config: Option<Map<String, Json>>,
    /// An expression, which gives true, false or null, or a rule in JSONLogic; what does not count
    /// as true skips the node.
    #[schemars(default, schema_with = "condition")]
    when: Option<Json>,
    /// Which of its connections must be live for the node to run.
    join: Option<Join>,
    /// What happens to the workflow when the node fails; without this key its setting decides.
    on_error: Option<OnError>,
    /// When a failed attempt is followed by another.
    retry_policy: Option<RetryPolicy>,
    /// The longest that one attempt may take, in milliseconds.
    #[schemars(range(min = 1))]
    timeout_ms: Option<u64>,
    /// What attempts do to the world; without this key the node type decides.
    effect: Option<Effect>,
    /// What takes back what the node has done, when the execution does not succeed.
    undo: Option<UndoFile>,
    /// How long its result may be reused; only of nodes with the effect `pure`.
    cache: Option<CacheSpec>,
    /// Where an editor draws it.
    position: Option<Position>,
}

/// What takes back what a node has done. It runs when the execution fails, times out or is cancelled,
/// and before a new round.
#[derive(JsonSchema)]
#[schemars(rename = "Undo", deny_unknown_fields)]
struct UndoFile {
    /// The implementation, such as `http.request`; no control node.
    node_type: String,
    /// The settings of the implementation, and values of its input ports. Strings may hold
    /// expressions in `{{ }}`, which see what the node saw, and its outputs.
    config: Option<Map<String, Json>>,
    /// When a failed attempt is followed by another.
    retry_policy: Option<RetryPolicy>,
    /// The longest that one attempt may take, in milliseconds.
    #[schemars(range(min = 1))]
    timeout_ms: Option<u64>,
    /// What attempts do to the world; without this key the node type decides.
    effect: Option<Effect>,
}

fn inputs(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": ["object", "null"],
        "propertyNames": {"pattern": ID},
        "additionalProperties": {"$ref": "#/$defs/Input"},
    })
}

fn triggers(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": ["array", "null"], "items": {"$ref": "#/$defs/Trigger"}})
}

/// One key: an object with several is no operator.
fn condition(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}],
    })
}

/// The schema of the file, with those of its parts in `$defs`.
pub(super) fn schema() -> Map<String, Json> {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<WorkflowFile>().to_value();
    drop_null_defaults(&mut schema);
    match schema {
        Json::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// That a key may be left out is said already.
fn drop_null_defaults(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            object.retain(|keyword, argument| keyword != "default" || !argument.is_null());
            object.values_mut().for_each(drop_null_defaults);
        }
        Json::Array(items) => items.iter_mut().for_each(drop_null_defaults),
        _ => {}
    }
}

/// The schema of the declaration of an input: the keywords of JSON Schema that one needs often. All
/// others may stand there as well.
pub(super) fn input_schema() -> Json {
    let types = ["string", "integer", "number", "boolean", "array", "object", "null"];
    json!({
        "description": "A JSON Schema of the input's values, perhaps with a `default`.",
        "type": "object",
        "properties": {
            "type": {
                "description": "The type of the values, or several.",
                "anyOf": [{"enum": types}, {"type": "array", "items": {"enum": types}}],
            },
            "description": {"description": "What it is for.", "type": "string"},
            "default": {"description": "The value of an execution that is given none."},
            "enum": {"description": "The values that are allowed.", "type": "array"},
            "minimum": {"type": "number"},
            "maximum": {"type": "number"},
            "minLength": {"type": "integer", "minimum": 0},
            "maxLength": {"type": "integer", "minimum": 0},
            "items": {"description": "The schema of the items of an array."},
            "properties": {
                "description": "The schemas of the keys of an object.",
                "type": "object",
            },
            "required": {
                "description": "The keys that an object must have.",
                "type": "array",
                "items": {"type": "string"},
            },
        },
    })
}
