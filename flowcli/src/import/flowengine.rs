//! Workflows of flowengine: values with tags, connections between all ports.

use std::collections::{HashMap, HashSet};

use flowcore::{Array, NodeDescriptor, NodeRegistry, Object, Value};

use super::ids::{Ids, plain};
use super::parts::{Keys, array, below, escaped};
use super::{Imported, Notes, Unrecognised};

/// The kinds that a tagged value names.
const TAGS: [&str; 8] = ["Null", "Bool", "Number", "String", "Bytes", "Json", "Array", "Object"];

/// What flowengine runs at once when a file does not say it.
const PARALLEL_NODES: i64 = 10;

/// Turns a workflow into one of Flow. The ports of known node types decide what a connection may
/// carry.
pub(crate) fn import(tree: &Value, registry: &NodeRegistry) -> Result<Imported, Unrecognised> {
    let unrecognised = |pointer: &str, problem: &str| Unrecognised {
        pointer: pointer.to_owned(),
        problem: problem.to_owned(),
    };
    let workflow = tree.as_object();
    let workflow = workflow.ok_or_else(|| unrecognised("", "a workflow is an object"))?;
    let nodes = workflow.get("nodes").ok_or_else(|| unrecognised("", "it has no `nodes`"))?;
    let nodes = nodes.as_array().ok_or_else(|| unrecognised("/nodes", "`nodes` is no array"))?;
    let mut importer = Importer { registry, notes: Notes::default(), nodes: Vec::new() };
    let keys = importer.workflow(workflow, nodes);
    Ok(Imported { workflow: keys.build(), notes: importer.notes.0 })
}

struct Importer<'a> {
    registry: &'a NodeRegistry,
    notes: Notes,
    nodes: Vec<Node<'a>>,
}

/// A node under construction.
struct Node<'a> {
    id: String,
    descriptor: Option<&'a NodeDescriptor>,
    keys: Keys,
    config: Keys,
    /// Whether its output loses the last line break, as flowengine's does.
    strips: bool,
    /// The port that goes through a node which passes everything on.
    passed: Option<String>,
}

impl<'a> Importer<'a> {
    fn workflow(&mut self, workflow: &Object, nodes: &Array) -> Keys {
        let mut keys = Keys::default();
        if let Some(id) = workflow.get("id").and_then(Value::as_str) {
            let plain = plain(id);
            if plain != id {
                self.notes.changed("/id", format!("the id is `{plain}`"));
            }
            keys.set("id", plain);
        }
        for key in ["name", "description"] {
            if let Some(text) = workflow.get(key).and_then(Value::as_str) {
                keys.set(key, text);
            }
        }
        let mut ids = Ids::default();
        let mut by_id = HashMap::new();
        for (index, node) in nodes.iter().enumerate() {
            self.node(node, &format!("/nodes/{index}"), &mut ids, &mut by_id);
        }
        let connections = self.connections(workflow.get("connections"), &by_id);
        let built = self.nodes.drain(..).map(|node| match node.config.is_empty() {
            true => node.keys.build(),
            false => node.keys.with("config", node.config.build()).build(),
        });
        keys.set("nodes", array(built));
        if !connections.is_empty() {
            keys.set("connections", array(connections));
        }
        let triggers = self.triggers(workflow.get("triggers"));
        if !triggers.is_empty() {
            keys.set("triggers", array(triggers));
        }
        keys.set("settings", self.settings(workflow.get("settings")));
        let known = ["id", "name", "description", "nodes", "connections", "triggers", "settings"];
        self.unknown_keys(workflow, "", &known);
        keys
    }

    fn unknown_keys(&mut self, object: &Object, pointer: &str, known: &[&str]) {
        for key in object.keys().filter(|key| !known.contains(&&***key)) {
            self.notes.left(below(pointer, key), format!("flowengine does not read `{key}`"));
        }
    }

    fn node(
        &mut self,
        node: &Value,
        pointer: &str,
        ids: &mut Ids,
        by_id: &mut HashMap<String, usize>,
    ) {
        let Some(object) = node.as_object() else {
            return self.notes.left(pointer, "a node is an object");
        };
        let given = object.get("id").and_then(Value::as_str).unwrap_or_default();
        let id = ids.make(given);
        if id != given {
            self.notes.changed(below(pointer, "id"), format!("the id of the node is `{id}`"));
        }
        by_id.insert(given.to_owned(), self.nodes.len());
        let node_type = object.get("node_type").and_then(Value::as_str).unwrap_or_default();
        let registered = self.registry.get(node_type);
        let descriptor = registered.map(|registered| &*registered.descriptor);
        let mut keys = Keys::default().with("id", id.as_str()).with("node_type", node_type);
        if let Some(name) = object.get("name").and_then(Value::as_str) {
            keys.set("name", name);
        }
        let mut built =
            Node { id, descriptor, keys, config: Keys::default(), strips: false, passed: None };
        self.config(object.get("config"), &below(pointer, "config"), node_type, &mut built);
        if let Some(policy) = object.get("retry_policy").and_then(Value::as_object) {
            let policy = self.retry_policy(policy, &below(pointer, "retry_policy"));
            built.keys.set("retry_policy", policy);
        }
        if let Some(position) = object.get("position").filter(|position| !position.is_null()) {
            built.keys.set("position", position.clone());
        }
        match descriptor {
            Some(_) => self.notes.carried(pointer, format!("node `{}`, {node_type}", built.id)),
            None => self.notes.changed(
                below(pointer, "node_type"),
                format!(
                    "node `{}` is there, but this Flow has no node type `{node_type}`: register \
                     one, or choose another",
                    built.id
                ),
            ),
        }
        let known = ["id", "node_type", "name", "config", "position", "retry_policy"];
        self.unknown_keys(object, pointer, &known);
        self.nodes.push(built);
    }

    fn config(
        &mut self,
        config: Option<&Value>,
        pointer: &str,
        node_type: &str,
        node: &mut Node<'a>,
    ) {
        let empty = Object::new();
        let config = config.and_then(Value::as_object).unwrap_or(&empty);
        node.strips = node_type == "shell.exec";
        if node_type == "http.request" {
            node.config.set("fail_on_status", false);
            self.notes.changed(
                pointer,
                "a status of 400 or more is no failure in flowengine: `fail_on_status` is off",
            );
        }
        if node_type == "transform.json_stringify" {
            self.notes.changed(pointer, "the text is plain JSON, without the tags of flowengine");
        }
        if node_type == "time.delay" && !config.contains_key("delay_ms") {
            node.config.set("delay_ms", 1000);
        }
        for (key, value) in config.iter() {
            let pointer = below(pointer, key);
            let value = natural(value);
            if node_type == "shell.exec" && self.shell_key(key, &value, &pointer, node) {
                continue;
            }
            let descriptor = node.descriptor;
            if descriptor.is_some_and(|descriptor| !knows(descriptor, key)) {
                let text = format!("{node_type} has no `{key}` in Flow");
                self.notes.left(pointer, text);
                continue;
            }
            let is_raw = descriptor
                .is_some_and(|descriptor| descriptor.raw_fields.iter().any(|raw| **raw == **key));
            let written = if is_raw { value.clone() } else { escaped(&value) };
            if written != value {
                self.notes.changed(pointer, "`{{` is text in flowengine, and written `{{{{` here");
            }
            node.config.set(key, written);
        }
    }

    /// The config of `shell.exec` that Flow has elsewhere; false when it is as in Flow.
    fn shell_key(&mut self, key: &str, value: &Value, pointer: &str, node: &mut Node<'_>) -> bool {
        match key {
            "timeout" => {
                #[expect(clippy::cast_possible_truncation, reason = "a time-out in seconds")]
                let milliseconds = (value.as_f64().unwrap_or_default() * 1000.0) as i64;
                if milliseconds > 0 {
                    node.keys.set("timeout_ms", milliseconds);
                    self.notes.changed(pointer, "it is the `timeout_ms` of the node");
                } else {
                    self.notes.left(pointer, "a time-out is more than 0 seconds");
                }
            }
            "strip_trailing_newline" => node.strips = value.as_bool() != Some(false),
            "capture_stdout" | "capture_stderr" if value.as_bool() == Some(false) => {
                self.notes.left(pointer, "Flow always captures what a program writes");
            }
            // What Flow always does.
            "capture_stdout" | "capture_stderr" | "stream_output" => {}
            "env_passthrough" => self.notes.left(
                pointer,
                "programs have the variables that Flow runs with, unless `clear_env` is set",
            ),
            "args" if value.as_str().is_some() => {
                let words = value.as_str().unwrap_or_default().split_whitespace();
                node.config.set("args", array(words.map(|word| escaped(&Value::from(word)))));
                self.notes.changed(pointer, "`args` is an array, a word for each argument");
            }
            _ => return false,
        }
        true
    }

    fn retry_policy(&mut self, policy: &Object, pointer: &str) -> Value {
        let number = |key: &str, default: i64| match policy.get(key).filter(|v| !v.is_null()) {
            Some(value) => whole(value),
            None => Value::from(default),
        };
        let attempts = number("max_attempts", 3);
        let multiplier = policy.get("backoff_multiplier").cloned();
        let multiplier = multiplier.unwrap_or_else(|| Value::from(2)).clone();
        let retries = policy.get("retry_on_timeout").and_then(Value::as_bool).unwrap_or(true);
        let attempts = match attempts.as_i64() {
            Some(0) => {
                let pointer = below(pointer, "max_attempts");
                self.notes.changed(pointer, "there is at least one attempt");
                Value::from(1)
            }
            _ => attempts,
        };
        let delay = number("delay_ms", 1000);
        // Without a cap flowengine waits ever longer; a day is as good as no cap.
        let no_cap = policy.get("max_delay_ms").is_some_and(Value::is_null);
        let cap = number("max_delay_ms", if no_cap { 86_400_000 } else { 60_000 });
        self.notes.changed(
            pointer,
            "flowengine retries every failure, Flow those that may pass; the first wait is \
             `delay_ms`",
        );
        Keys::default()
            .with("max_attempts", attempts)
            .with("delay_ms", delay)
            .with("backoff_multiplier", multiplier)
            .with("max_delay_ms", cap)
            .with("retry_on_timeout", retries)
            .with("jitter", false)
            .build()
    }

    fn connections(
        &mut self,
        connections: Option<&Value>,
        by_id: &HashMap<String, usize>,
    ) -> Vec<Value> {
        let Some(connections) = connections.and_then(Value::as_array) else { return Vec::new() };
        let mut links = Vec::new();
        for (index, connection) in connections.iter().enumerate() {
            let pointer = format!("/connections/{index}");
            let text = |key: &str| connection.get(key).and_then(Value::as_str).unwrap_or_default();
            let (from, to) = (by_id.get(text("from_node")), by_id.get(text("to_node")));
            let (Some(&from), Some(&to)) = (from, to) else {
                let missing = if from.is_none() { text("from_node") } else { text("to_node") };
                self.notes.left(pointer, format!("there is no node `{missing}`"));
                continue;
            };
            let ports = (text("from_port").to_owned(), text("to_port").to_owned());
            links.push(Link { from, to, from_port: ports.0, to_port: ports.1, pointer });
        }
        for link in &links {
            let node = &mut self.nodes[link.to];
            if passes_on(node) {
                node.passed.get_or_insert_with(|| link.to_port.clone());
            }
        }
        // Of several connections into a port, flowengine's last one wins.
        let taken: HashMap<(usize, String), usize> = links
            .iter()
            .enumerate()
            .map(|(i, link)| ((link.to, link.to_port.clone()), i))
            .collect();
        let mut written = Vec::new();
        for (index, link) in links.iter().enumerate() {
            let is_last = taken[&(link.to, link.to_port.clone())] == index;
            written.extend(self.connection(link, is_last));
        }
        let written = without_repetition(written);
        if !written.is_empty() {
            let text = format!("{} of {} connections", written.len(), connections.len());
            self.notes.carried("/connections", text);
        }
        written
    }

    /// The connection as Flow has it; `None` when an expression does its work.
    fn connection(&mut self, link: &Link, is_last: bool) -> Option<Value> {
        let (from, to) = (&self.nodes[link.from], &self.nodes[link.to]);
        let from_port = match &from.passed {
            Some(passed) if *passed == link.from_port => "output",
            _ => &link.from_port,
        };
        let to_port = match &to.passed {
            Some(passed) if *passed == link.to_port => "input",
            _ => &link.to_port,
        };
        let has_output = from.descriptor.is_none_or(|descriptor| {
            descriptor.open_outputs || descriptor.output_port(from_port).is_some()
        });
        let input = to.descriptor.and_then(|descriptor| descriptor.input_port(to_port));
        let has_input = to.descriptor.is_none_or(|d| d.open_inputs) || input.is_some();
        let is_free = is_last || input.is_some_and(|port| port.multiple);
        let keys = Keys::default().with("from_node", from.id.as_str());
        let why = match (has_output, has_input, is_free) {
            (false, _, _) => Some(format!("node `{}` has no output port `{from_port}`", from.id)),
            (_, false, _) => Some(format!("node `{}` has no input port `{to_port}`", to.id)),
            (_, _, false) => Some(format!("a later connection enters `{to_port}` as well")),
            (true, true, true) => None,
        };
        if let Some(why) = why {
            self.notes.changed(&link.pointer, format!("it is order only: {why}"));
            return Some(keys.with("to_node", to.id.as_str()).build());
        }
        let is_stripped = from.strips && matches!(from_port, "stdout" | "stderr");
        if is_stripped && input.is_some() {
            let value = without_newline(&from.id, from_port);
            let text = "it is an expression in `config`, which drops the last line break";
            let to_port = to_port.to_owned();
            self.nodes[link.to].config.set(&to_port, value);
            self.notes.changed(&link.pointer, text);
            return None;
        }
        let keys = keys
            .with("from_port", from_port)
            .with("to_node", to.id.as_str())
            .with("to_port", to_port);
        if is_stripped {
            self.notes.changed(&link.pointer, "the text keeps its last line break");
        }
        Some(keys.build())
    }

    fn triggers(&mut self, triggers: Option<&Value>) -> Vec<Value> {
        let mut ids = Ids::default();
        let mut written = Vec::new();
        for (index, trigger) in triggers.and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let pointer = format!("/triggers/{index}");
            let kind = trigger.get("trigger_type");
            let name = kind.and_then(|kind| kind.get("type")).and_then(Value::as_str);
            let field = |key: &str| kind.and_then(|kind| kind.get(key)).cloned();
            let (word, key, value) = match name {
                Some("Manual") => ("manual", "", None),
                Some("Cron") => ("cron", "expression", field("expression")),
                Some("Webhook") => ("webhook", "path", field("path")),
                Some("Event") => ("event", "topic", field("event_type")),
                _ => {
                    self.notes.left(pointer, "no type of a trigger that Flow knows");
                    continue;
                }
            };
            let mut keys = Keys::default();
            if let Some(id) = trigger.get("id").and_then(Value::as_str) {
                keys.set("id", ids.make(id));
            }
            keys.set("type", word);
            if let Some(value) = value {
                keys.set(key, value);
            }
            if trigger.get("enabled").and_then(Value::as_bool) == Some(false) {
                keys.set("enabled", false);
            }
            self.notes.carried(pointer, format!("the trigger, {word}"));
            written.push(keys.build());
        }
        written
    }

    fn settings(&mut self, settings: Option<&Value>) -> Value {
        let empty = Object::new();
        let settings = settings.and_then(Value::as_object).unwrap_or(&empty);
        let parallel = settings.get("max_parallel_nodes").filter(|value| !value.is_null());
        let mut keys = Keys::default()
            .with("max_parallel_nodes", parallel.map_or(Value::from(PARALLEL_NODES), whole));
        if let Some(limit) = settings.get("max_execution_time_ms").filter(|v| !v.is_null()) {
            keys.set("max_execution_time_ms", whole(limit));
            self.notes.changed(
                "/settings/max_execution_time_ms",
                "it bounds the whole execution; flowengine bounds each node by it",
            );
        }
        match settings.get("on_error") {
            None | Some(Value::Null) => {}
            Some(policy) if policy.as_str() == Some("StopWorkflow") => {}
            Some(policy) if policy.as_str() == Some("ContinueOnError") => {
                keys.set("on_error", policy.clone());
                self.notes.changed(
                    "/settings/on_error",
                    "what depends on a failed node is skipped; flowengine runs it without the value",
                );
            }
            Some(policy) => match retry_workflow(policy) {
                Some(attempts) => {
                    let retry = Keys::default().with("max_attempts", attempts).build();
                    keys.set("on_error", Keys::default().with("RetryWorkflow", retry).build());
                    let text = "the workflow is tried again; flowengine stops it";
                    self.notes.changed("/settings/on_error", text);
                }
                None => self.notes.left("/settings/on_error", "no policy that Flow knows"),
            },
        }
        let known = ["max_parallel_nodes", "max_execution_time_ms", "on_error"];
        self.unknown_keys(settings, "/settings", &known);
        keys.build()
    }
}

/// A connection between known nodes.
struct Link {
    from: usize,
    to: usize,
    from_port: String,
    to_port: String,
    pointer: String,
}

/// Without those that are order only beside another connection between the same nodes.
fn without_repetition(mut written: Vec<Value>) -> Vec<Value> {
    let end = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let ends = |value: &Value| (end(value, "from_node"), end(value, "to_node"));
    let is_value = |value: &Value| value.get("to_port").is_some();
    let mut joined: HashSet<_> = written.iter().filter(|one| is_value(one)).map(ends).collect();
    written.retain(|connection| is_value(connection) || joined.insert(ends(connection)));
    written
}

/// The attempts of `RetryWorkflow`, as the object and as the bare word.
fn retry_workflow(policy: &Value) -> Option<Value> {
    if policy.as_str() == Some("RetryWorkflow") {
        return Some(Value::from(3));
    }
    let attempts = policy.get("RetryWorkflow")?.get("max_attempts").map(whole);
    Some(attempts.filter(|n| n.as_i64() != Some(0)).unwrap_or_else(|| Value::from(1)))
}

/// `time.delay` gives every input back under its own name.
fn passes_on(node: &Node<'_>) -> bool {
    node.descriptor.is_some_and(|descriptor| descriptor.node_type == "time.delay")
}

/// Whether a config may have the key: the schema knows it, or it is the value of a port.
fn knows(descriptor: &NodeDescriptor, key: &str) -> bool {
    let schema = descriptor.config_schema.as_ref();
    let fields = schema.and_then(|schema| schema.get("properties")?.as_object());
    let is_open = schema.is_none_or(|schema| {
        schema.get("additionalProperties").and_then(serde_json::Value::as_bool) != Some(false)
    });
    is_open
        || fields.is_some_and(|fields| fields.contains_key(key))
        || descriptor.input_port(key).is_some()
}

fn without_newline(id: &str, port: &str) -> String {
    let path = format!("nodes[\"{id}\"].{port}");
    format!("{{{{ {path}[:-1] if {path} is endingwith(\"\\n\") else {path} }}}}")
}

/// The value without tags, at any depth of tagged arrays and objects.
fn natural(value: &Value) -> Value {
    let Some((tag, inner)) = tagged(value) else { return value.clone() };
    match (tag, inner) {
        ("Null", _) | (_, None) => Value::Null,
        ("Number", Some(number)) => whole(number),
        ("Bytes", Some(Value::Array(numbers))) => {
            let byte = |number: &Value| u8::try_from(number.as_u64()?).ok();
            let bytes: Option<Vec<u8>> = numbers.iter().map(byte).collect();
            bytes.map_or_else(|| Value::Array(numbers.clone()), Value::from)
        }
        ("Array", Some(Value::Array(items))) => array(items.iter().map(natural)),
        ("Object", Some(Value::Object(members))) => {
            let members = members.iter().map(|(key, value)| (key.clone(), natural(value)));
            Object::from_entries(members).map_or(Value::Null, Value::Object)
        }
        (_, Some(inner)) => inner.clone(),
    }
}

/// The tag and the value of a tagged value: exactly these two keys, and a tag that exists.
fn tagged(value: &Value) -> Option<(&str, Option<&Value>)> {
    let object = value.as_object()?;
    let tag = object.get("type")?.as_str().filter(|tag| TAGS.contains(tag))?;
    match (object.len(), object.get("value")) {
        (2, Some(inner)) => Some((tag, Some(inner))),
        (1, None) if tag == "Null" => Some((tag, None)),
        _ => None,
    }
}

/// A number without a fraction as an integer: flowengine has floats only.
fn whole(value: &Value) -> Value {
    value.as_i64().map_or_else(|| value.clone(), Value::from)
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    #[test]
    fn tags_are_dropped() {
        for (tagged, plain) in [
            (r#"{"type": "Null"}"#, "null"),
            (r#"{"type": "Null", "value": null}"#, "null"),
            (r#"{"type": "Bool", "value": true}"#, "true"),
            (r#"{"type": "Number", "value": 5.0}"#, "5"),
            (r#"{"type": "Number", "value": 5.5}"#, "5.5"),
            (r#"{"type": "String", "value": "s"}"#, "\"s\""),
            (r#"{"type": "Bytes", "value": [0, 255]}"#, r#"{"$bytes":"AP8="}"#),
            (
                r#"{"type": "Json", "value": {"type": "String", "value": 1}}"#,
                r#"{"type":"String","value":1}"#,
            ),
            (r#"{"type": "Array", "value": [{"type": "Number", "value": 1}, 2]}"#, "[1,2]"),
            (r#"{"type": "Object", "value": {"a": {"type": "Null"}}}"#, r#"{"a":null}"#),
            (
                r#"{"type": "String", "value": "s", "x": 1}"#,
                r#"{"type":"String","value":"s","x":1}"#,
            ),
            (r#"{"type": "Text", "value": "s"}"#, r#"{"type":"Text","value":"s"}"#),
            (r#"{"a": {"type": "Number", "value": 1}}"#, r#"{"a":{"type":"Number","value":1}}"#),
        ] {
            assert_eq!(natural(&read_json(tagged).unwrap()).to_json_text(), plain, "{tagged}");
        }
    }

    fn settings(json: &str) -> String {
        let workflow = format!(r#"{{"nodes": [], "settings": {json}}}"#);
        let imported = import(&read_json(&workflow).unwrap(), &NodeRegistry::new()).unwrap();
        imported.workflow.get("settings").unwrap().to_json_text()
    }

    #[test]
    fn policies_are_read_in_both_forms() {
        let retry = r#"{"max_parallel_nodes":10,"on_error":{"RetryWorkflow":{"max_attempts":3}}}"#;
        assert_eq!(settings(r#"{"on_error": "RetryWorkflow"}"#), retry);
        assert_eq!(settings(r#"{"on_error": {"RetryWorkflow": {"max_attempts": 3}}}"#), retry);
        assert_eq!(settings("{}"), r#"{"max_parallel_nodes":10}"#);
        assert_eq!(settings("null"), r#"{"max_parallel_nodes":10}"#);
        let stop = r#"{"on_error": "StopWorkflow", "max_parallel_nodes": 2.0}"#;
        assert_eq!(settings(stop), r#"{"max_parallel_nodes":2}"#);
    }

    #[test]
    fn a_retry_policy_has_the_defaults_of_flowengine() {
        let workflow =
            r#"{"nodes": [{"id": "a", "node_type": "x", "retry_policy": {"max_delay_ms": null}}]}"#;
        let imported = import(&read_json(workflow).unwrap(), &NodeRegistry::new()).unwrap();
        assert_eq!(
            imported.workflow.pointer("/nodes/0/retry_policy").unwrap().to_json_text(),
            r#"{"max_attempts":3,"delay_ms":1000,"backoff_multiplier":2,"max_delay_ms":86400000,"retry_on_timeout":true,"jitter":false}"#
        );
    }
}
