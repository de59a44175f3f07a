//! The documents of the API, as clients read them.
//!
//! Servers of later versions may add members: do not refuse what you do not know.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// What is listed.
    pub items: Vec<T>,
    /// Where the list goes on: the `cursor` of the next request. Null at the end.
    pub next_cursor: Option<String>,
}

/// Why an execution or a node did not succeed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The rest: the node, the hint, and what caused it.
    #[serde(flatten)]
    pub more: BTreeMap<String, Json>,
}

/// An execution that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The execution.
    pub id: String,
    /// How it stands.
    pub status: String,
    /// The workflow.
    pub workflow_id: String,
    /// The version of the workflow; null for one that is not saved.
    pub version: Option<u64>,
    /// Where to go from here.
    pub links: Links,
}

/// Where to go from an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Links {
    /// The execution.
    #[serde(rename = "self")]
    pub itself: String,
    /// Its events.
    pub events: String,
}

/// An execution in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutionSummary {
    /// The execution.
    pub id: String,
    /// The workflow.
    pub workflow_id: String,
    /// The version of the workflow; null for one that is not saved.
    pub version: Option<u64>,
    /// How it stands.
    pub status: String,
    /// Whether somebody executes it now.
    pub is_executed: bool,
    /// Why it did not succeed.
    pub error: Option<Failure>,
    /// When it was accepted.
    pub created_at: String,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// When it wakes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<String>,
    /// The execution that it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
}

/// All that is known of an execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// The execution.
    pub id: String,
    /// The workflow.
    pub workflow_id: String,
    /// The version of the workflow; null for one that is not saved.
    pub version: Option<u64>,
    /// The digest of what it runs.
    pub definition: String,
    /// How it stands.
    pub status: String,
    /// Whether somebody executes it now.
    pub is_executed: bool,
    /// What it was given.
    pub inputs: BTreeMap<String, Json>,
    /// What it gave; null unless it succeeded.
    pub outputs: Json,
    /// Why it did not succeed.
    pub error: Option<Failure>,
    /// Outputs that are null because their node did not succeed.
    pub warnings: Vec<String>,
    /// What was to be undone and was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_undone: Vec<Json>,
    /// The node instances of the last round, by their paths.
    pub nodes: BTreeMap<String, ExecutionNode>,
    /// How many rounds there were.
    pub rounds: u32,
    /// The number of its last event.
    pub last_seq: u64,
    /// When it was accepted.
    pub created_at: String,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// When it wakes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_at: Option<String>,
    /// The execution that it runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
}

/// What is known of a node instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutionNode {
    /// Its node type.
    pub node_type: String,
    /// How it stands.
    pub status: String,
    /// How many attempts it had.
    pub attempts: u32,
    /// When it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
    /// Why its last attempt failed.
    pub error: Option<Failure>,
    /// What its last attempt was given; only with `full=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Json>,
    /// What it gave; only with `full=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Json>,
}

/// A line that a node wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Counts the lines of the execution.
    pub number: u64,
    /// When it was written.
    pub at: String,
    /// The path of the node.
    pub node: String,
    /// The attempt.
    pub attempt: u32,
    /// What kind of line it is.
    pub kind: String,
    /// The line.
    pub text: String,
}

/// A workflow that is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowSummary {
    /// Its id.
    pub id: String,
    /// The version, from 1.
    pub version: u64,
    /// Its name.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// When the version was saved.
    pub saved_at: String,
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedWorkflow {
    /// Its id.
    pub id: String,
    /// The version, from 1.
    pub version: u64,
    /// When the version was saved.
    pub saved_at: String,
    /// The workflow, as it was sent.
    pub workflow: Json,
}

/// A version in the history of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkflowVersion {
    /// The version.
    pub version: u64,
    /// When it was saved.
    pub saved_at: String,
    /// Whether this version is that the workflow is gone.
    pub is_deleted: bool,
}

/// What is to be said about a workflow before it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// Whether it can run.
    pub valid: bool,
    /// Every problem, each with its place.
    pub diagnostics: Vec<Json>,
}

/// A schedule: a cron trigger of a workflow that is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The workflow.
    pub workflow_id: String,
    /// The version of the workflow that it starts.
    pub version: u64,
    /// The id of the trigger; for one without, its place among the triggers, from 0.
    pub trigger: String,
    /// The cron expression.
    pub expression: String,
    /// The time zone.
    pub timezone: String,
    /// Which of the times that were missed are made up for: `skip`, `latest` or `all`.
    pub missed: String,
    /// Whether it starts executions.
    pub is_enabled: bool,
    /// When it is due next; null is never.
    pub next_at: Option<String>,
    /// What became of the last due time.
    pub last: Option<ScheduleRun>,
}

/// What became of a due time, or of several one after another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRun {
    /// The due time; the first, if there are several.
    pub due_at: String,
    /// The last due time, if there are several.
    pub until: Option<String>,
    /// How many due times; null when they are more than 10,000.
    pub count: Option<u64>,
    /// `started`, `skipped` or `failed`.
    pub outcome: String,
    /// Why there is no execution.
    pub reason: Option<String>,
    /// The execution.
    pub execution_id: Option<String>,
    /// The version of the workflow.
    pub version: Option<u64>,
}

/// What is known of a secret: never its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretSummary {
    /// Its name, as in `secrets.<name>`.
    pub name: String,
    /// Counts its values, deletions as well.
    pub version: u64,
    /// When it was given this value.
    pub updated_at: String,
    /// The last four digits of a keyed digest of the value: it shows whether the value is another one.
    pub fingerprint: String,
}

/// Something that starts executions of a workflow that is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// The workflow.
    pub workflow_id: String,
    /// The version of the workflow that it starts.
    pub version: u64,
    /// The id of the trigger; for one without, its place among the triggers, from 0.
    pub trigger: String,
    /// `cron`, `webhook` or `event`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it waits for: the times of a cron expression, requests to a path, or events of a topic.
    pub on: String,
    /// Whether it starts executions.
    pub is_enabled: bool,
}

/// A webhook: a path whose requests start executions of a workflow that is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The workflow.
    pub workflow_id: String,
    /// The version of the workflow that it starts.
    pub version: u64,
    /// The id of the trigger; for one without, its place among the triggers, from 0.
    pub trigger: String,
    /// Where requests go, after the address of the server. Without a signature, who knows it may start
    /// executions. Null as long as its workflow was not saved by a server that has webhooks.
    pub url: Option<String>,
    /// The methods that it takes.
    pub methods: Vec<String>,
    /// The name of the secret that requests are signed with; null when they are not.
    pub secret: Option<String>,
    /// What a request is answered: `accepted`, `outputs` or `node`.
    pub respond: String,
    /// Whether it starts executions.
    pub is_enabled: bool,
    /// Why it starts none although it is enabled.
    pub problem: Option<String>,
}

/// An event that was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Names the event.
    pub id: String,
    /// The topic.
    pub topic: String,
    /// What became of each trigger that listens to the topic, by workflow.
    pub deliveries: Vec<Delivery>,
}

/// What became of an event and a trigger that listens to its topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The workflow.
    pub workflow_id: String,
    /// The trigger.
    pub trigger: String,
    /// The version of the workflow.
    pub version: u64,
    /// The execution, if there is one.
    pub execution_id: Option<String>,
    /// Why there is none.
    pub reason: Option<String>,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSummary {
    /// The id, by which it is taken back.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What its holder may do.
    pub role: String,
    /// The project that it is for.
    pub project: String,
    /// Whether its holder may also make projects, and tokens in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_installation: bool,
    /// When it was given.
    pub created_at: String,
    /// When it ends to be valid; null is never.
    pub expires_at: Option<String>,
    /// The token itself; only in the answer to the request that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created_at: String,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// When.
    pub at: String,
    /// The project that it is about; null is the whole installation.
    pub project: Option<String>,
    /// Names the process whose entries are chained.
    pub chain: String,
    /// Counts the entries of the process.
    pub number: u64,
    /// Who, what, and on what.
    pub entry: Json,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, or why it is not.
    pub status: String,
}

/// A workflow, as in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct WorkflowFile(pub serde_json::Map<String, Json>);

/// What an execution runs, for drawing it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// The nodes of the workflow itself, in the order of the file.
    pub nodes: Vec<GraphNode>,
    /// Which node follows which, by their places in `nodes`.
    pub edges: Vec<[usize; 2]>,
}

/// A node of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GraphNode {
    /// Its id.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its node type.
    pub node_type: String,
}
