//! Rules of dataflow-rs: one message goes through all rules in their order.
//!
//! The message becomes a value that goes from node to node. A task that may not run is followed by
//! a node that takes the message from the task if it ran, else from before it.

use flowcore::expression::Logic;
use flowcore::{Object, Value};

use super::ids::{Ids, plain};
use super::parts::{Keys, array, below};
use super::{Imported, Notes, Unrecognised};

/// Turns one rule, or an array of them, into a workflow.
pub(crate) fn import(tree: &Value) -> Result<Imported, Unrecognised> {
    let rules: Vec<(String, &Object)> = match tree {
        Value::Object(rule) => vec![(String::new(), rule)],
        Value::Array(rules) => {
            let rules = rules.iter().enumerate();
            rules.filter_map(|(i, rule)| Some((format!("/{i}"), rule.as_object()?))).collect()
        }
        _ => Vec::new(),
    };
    let has_tasks = |rule: &Object| rule.get("tasks").and_then(Value::as_array).is_some();
    if rules.is_empty() || !rules.iter().any(|(_, rule)| has_tasks(rule)) {
        let problem = "rules are objects with `tasks`, or an array of such objects".to_owned();
        return Err(Unrecognised { pointer: String::new(), problem });
    }
    let mut importer = Importer {
        notes: Notes::default(),
        ids: Ids::default(),
        nodes: Vec::new(),
        message: String::new(),
    };
    Ok(Imported { workflow: importer.workflow(rules), notes: importer.notes.0 })
}

struct Importer {
    notes: Notes,
    ids: Ids,
    nodes: Vec<Value>,
    /// The expression for the message as the nodes so far have left it.
    message: String,
}

/// What holds for the nodes of a task.
#[derive(Clone)]
struct Task {
    /// The id of the rule, as the file has it.
    rule: String,
    /// The id of the task, as the file has it.
    name: String,
    /// What their ids begin with.
    id: String,
    pointer: String,
    /// The expression that says whether they run.
    gate: Option<String>,
    goes_on: bool,
}

/// The output of a node, as an expression.
fn output(id: &str) -> String {
    format!("nodes[\"{id}\"].output")
}

fn operator(name: &str, arguments: impl IntoIterator<Item = Value>) -> Value {
    Keys::default().with(name, array(arguments)).build()
}

/// Conditions of dataflow-rs hold when they give true, and nothing else.
fn is_true(logic: &Value) -> Value {
    operator("===", [logic.clone(), Value::Bool(true)])
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

impl Importer {
    fn workflow(&mut self, mut rules: Vec<(String, &Object)>) -> Value {
        let start = self.ids.make("message");
        let message = Keys::default()
            .with("data", "{{ inputs.data }}")
            .with("metadata", "{{ inputs.metadata }}")
            .with("temp_data", Object::new())
            .with("errors", array([]));
        let config = Keys::default().with("filter", ".").with("input", message.build());
        self.node(&start, "transform.jq", config, None, false, Keys::default());
        self.message = output(&start);
        // Stable: rules of one priority stay in the order of the file.
        rules.sort_by_key(|(_, rule)| rule.get("priority").and_then(Value::as_i64).unwrap_or(0));
        for (pointer, rule) in &rules {
            self.rule(pointer, rule);
        }
        let parts = ["data", "metadata", "temp_data", "errors"];
        let outputs = parts.iter().fold(Keys::default(), |outputs, part| {
            outputs.with(part, format!("{{{{ {}.{part} }}}}", self.message))
        });
        let any = || {
            let schema = Keys::default().with("type", "object").with("default", Object::new());
            schema.build()
        };
        let inputs = Keys::default()
            .with("payload", Keys::default().with("default", Value::Null).build())
            .with("data", any())
            .with("metadata", any());
        let mut keys = Keys::default();
        if let [(_, rule)] = rules.as_slice() {
            if let Some(id) = text(rule, "id") {
                keys.set("id", plain(id));
            }
            for key in ["name", "description"] {
                if let Some(text) = text(rule, key) {
                    keys.set(key, text);
                }
            }
        }
        keys.with("inputs", inputs.build())
            .with("nodes", array(std::mem::take(&mut self.nodes)))
            .with("outputs", outputs.build())
            .build()
    }

    fn rule(&mut self, pointer: &str, rule: &Object) {
        let id = text(rule, "id").unwrap_or("rule");
        if let Some(status) = text(rule, "status").filter(|status| *status != "active") {
            let text = format!("rule `{id}` is {status} and does not run");
            return self.notes.left(pointer, text);
        }
        if text(rule, "channel").is_some_and(|channel| channel != "default") {
            let text = format!("rule `{id}` is of another channel than `default`");
            return self.notes.left(below(pointer, "channel"), text);
        }
        if rule.contains_key("loop") {
            let text = format!("rule `{id}` is a loop, which has no form here yet");
            return self.notes.left(below(pointer, "loop"), text);
        }
        for key in ["rollout", "tags", "version", "ext", "created_at", "updated_at"] {
            if rule.contains_key(key) {
                self.notes.left(below(pointer, key), format!("`{key}` has no meaning here"));
            }
        }
        self.notes.carried(pointer, format!("rule `{id}`"));
        let mut task = Task {
            rule: id.to_owned(),
            name: String::new(),
            id: plain(id),
            pointer: pointer.to_owned(),
            gate: None,
            goes_on: text(rule, "on_failure") == Some("continue"),
        };
        task.gate = self.condition(rule, &task);
        self.tasks(rule, &mut task);
    }

    /// The tasks of a rule or a group. A task that halts closes the gate of those after it.
    fn tasks(&mut self, of: &Object, parent: &mut Task) {
        let tasks = of.get("tasks").and_then(Value::as_array);
        for (index, task) in tasks.into_iter().flatten().enumerate() {
            let pointer = format!("{}/tasks/{index}", parent.pointer);
            let Some(object) = task.as_object() else {
                self.notes.left(pointer, "a task is an object");
                continue;
            };
            let name = text(object, "id").unwrap_or("task");
            let id = format!("{}-{}", parent.id, plain(name));
            let goes_on = match text(object, "on_failure") {
                Some(policy) => policy == "continue",
                None => parent.goes_on,
            };
            let (rule, name) = (parent.rule.clone(), name.to_owned());
            let gate = parent.gate.clone();
            let mut task = Task { rule, name, id, pointer, gate, goes_on };
            self.task(object, &mut task, &mut parent.gate);
        }
    }

    fn task(&mut self, object: &Object, task: &mut Task, gate: &mut Option<String>) {
        for key in ["for_each", "terminal"] {
            if object.contains_key(key) {
                let what = format!("`{key}` has no form here yet");
                self.notes.left(below(&task.pointer, key), what);
                if key == "for_each" {
                    return;
                }
            }
        }
        if object.contains_key("tasks") {
            task.gate = self.condition(object, task);
            let before = task.gate.clone();
            self.tasks(object, task);
            if task.gate != before {
                self.notes.changed(&task.pointer, "what halts in the group halts the group only");
            }
            return;
        }
        let empty = Object::new();
        let function = object.get("function").and_then(Value::as_object).unwrap_or(&empty);
        let input = function.get("input").and_then(Value::as_object).unwrap_or(&empty);
        let name = text(function, "name").unwrap_or_default();
        let carried = format!("task `{}`, {name}", task.id);
        match name {
            "map" | "parse_json" | "log" => {
                task.gate = self.condition(object, task);
                match name {
                    "map" => self.map(input, task),
                    "parse_json" => self.parse_json(input, task),
                    _ => self.log(input, task),
                }
            }
            "validation" | "validate" => {
                let halts = text(object, "on_rejection") == Some("halt");
                self.validation(input, task, object.get("condition"), halts.then_some(gate));
            }
            "filter" => self.filter(input, task, object.get("condition"), gate),
            _ => {
                let text = format!("task `{}`: there is no function `{name}` here", task.id);
                return self.notes.left(below(&task.pointer, "function"), text);
            }
        }
        self.notes.carried(&task.pointer, carried);
    }

    /// The gate of what has this condition: that of its surroundings, or a node that asks.
    fn condition(&mut self, object: &Object, task: &Task) -> Option<String> {
        let condition = object.get("condition").filter(|logic| logic.as_bool() != Some(true));
        let Some(condition) = condition else { return task.gate.clone() };
        let pointer = below(&task.pointer, "condition");
        let text = "a condition that fails fails the execution; dataflow-rs takes it for false";
        self.notes.changed(pointer, text);
        let id = self.logic(&format!("{}-if", task.id), is_true(condition), task);
        Some(output(&id))
    }

    /// A node that evaluates a rule over the message; gives its id.
    fn logic(&mut self, id: &str, logic: Value, task: &Task) -> String {
        let id = self.ids.make(id);
        let input = format!("{{{{ {} }}}}", self.message);
        let config = Keys::default().with("logic", logic).with("input", input);
        let gate = task.gate.as_deref();
        self.node(&id, "transform.jsonlogic", config, gate, task.goes_on, Keys::default());
        id
    }

    /// A node that changes the message; `values` go in as `$values`.
    fn change(&mut self, id: &str, filter: String, values: Keys, task: &Task) {
        let id = self.ids.make(id);
        let input = format!("{{{{ {} }}}}", self.message);
        let mut config = Keys::default().with("filter", filter).with("input", input);
        if !values.is_empty() {
            config.set("values", values.build());
        }
        let gate = task.gate.as_deref();
        self.node(&id, "transform.jq", config, gate, task.goes_on, Keys::default());
        self.message = output(&id);
    }

    /// After a task that may not have changed the message: the message as it is now.
    fn rejoin(&mut self, task: &Task, before: String) {
        if self.message == before || (task.gate.is_none() && !task.goes_on) {
            return;
        }
        let id = self.ids.make(&task.id);
        let input = format!("{{{{ {} | default({before}) }}}}", self.message);
        let config = Keys::default().with("filter", ".").with("input", input);
        let more = Keys::default().with("join", "any");
        self.node(&id, "transform.jq", config, None, false, more);
        self.message = output(&id);
    }

    fn node(
        &mut self,
        id: &str,
        node_type: &str,
        config: Keys,
        gate: Option<&str>,
        goes_on: bool,
        mut more: Keys,
    ) {
        if let Some(gate) = gate {
            more.set("when", gate);
        }
        if goes_on {
            more.set("on_error", "ContinueOnError");
        }
        let keys = Keys::default().with("id", id).with("node_type", node_type);
        let keys = keys.with("config", config.build()).and(more);
        self.nodes.push(keys.build());
    }

    fn map(&mut self, input: &Object, task: &Task) {
        let before = self.message.clone();
        let mappings = input.get("mappings").and_then(Value::as_array);
        for (index, mapping) in mappings.into_iter().flatten().enumerate() {
            let pointer = format!("{}/function/input/mappings/{index}", task.pointer);
            let Some(path) = mapping.get("path").and_then(Value::as_str) else {
                self.notes.left(pointer, "a mapping has a `path`");
                continue;
            };
            let path = segments(path);
            let id = format!("{}-{}", task.id, index + 1);
            if mapping.get("unset").and_then(Value::as_bool) == Some(true) {
                self.change(&id, unset(&path), Keys::default(), task);
                continue;
            }
            let logic = mapping.get("logic").cloned().unwrap_or(Value::Null);
            let mut leaves = Vec::new();
            let made = template(&logic, &mut leaves);
            let node = self.logic(&format!("{id}-value"), array(leaves), task);
            let filter = match mapping.get("mode").and_then(Value::as_str) {
                Some("append") => set(&path, "((. // []) + [$new])"),
                Some("extend") => set(&path, "((. // []) + $new)"),
                _ if path.len() == 1 => {
                    let text = "an object is merged into what is there, as dataflow-rs does";
                    self.notes.changed(&pointer, text);
                    let merged = "(if type == \"object\" and ($new | type) == \"object\" \
                                  then . + $new else $new end)";
                    set(&path, merged)
                }
                _ => set(&path, "$new"),
            };
            let is_unset = mapping.get("on_null").and_then(Value::as_str) == Some("unset");
            let on_null = if is_unset { unset(&path) } else { ".".to_owned() };
            let filter =
                format!("{made} as $new | if $new == null then {on_null} else {filter} end");
            let values = Keys::default().with("of", format!("{{{{ {} }}}}", output(&node)));
            self.change(&id, filter, values, task);
        }
        self.rejoin(task, before);
    }

    fn parse_json(&mut self, input: &Object, task: &Task) {
        let before = self.message.clone();
        let source = text(input, "source").unwrap_or("payload");
        let target = text(input, "target").unwrap_or("data");
        let (from, values) = match source {
            "payload" => (
                "$values.payload".to_owned(),
                Keys::default().with("payload", "{{ inputs.payload }}"),
            ),
            path => (get(&segments(path)), Keys::default()),
        };
        let mut path = vec![Segment::Key("data".to_owned())];
        path.extend(segments(target));
        let read = "if type == \"string\" then fromjson else . end";
        let filter = format!("({from} | {read}) as $new | {}", set(&path, "$new"));
        self.change(&format!("{}-parse", task.id), filter, values, task);
        self.rejoin(task, before);
    }

    fn log(&mut self, input: &Object, task: &Task) {
        let mut parts = vec![input.get("message").cloned().unwrap_or(Value::Null)];
        let mut names = Vec::new();
        for (name, logic) in
            input.get("fields").and_then(Value::as_object).into_iter().flat_map(Object::iter)
        {
            names.push(name.clone());
            parts.push(logic.clone());
        }
        let node = self.logic(&format!("{}-text", task.id), array(parts), task);
        let mut message = format!("{{{{ {}[0] }}}}", output(&node));
        for (index, name) in names.iter().enumerate() {
            let name = name.replace("{{", "{{{{");
            message.push_str(&format!(" {name}={{{{ {}[{}] }}}}", output(&node), index + 1));
        }
        let level = match text(input, "level") {
            Some("warn" | "error") => "warning",
            _ => "info",
        };
        let config = Keys::default().with("level", level).with("message", message);
        let id = self.ids.make(&task.id);
        let gate = task.gate.as_deref();
        self.node(&id, "debug.log", config, gate, task.goes_on, Keys::default());
    }

    /// The texts of the rules that do not hold, added to the errors of the message.
    fn validation(
        &mut self,
        input: &Object,
        task: &Task,
        condition: Option<&Value>,
        halts: Option<&mut Option<String>>,
    ) {
        let before = self.message.clone();
        let rules = input.get("rules").and_then(Value::as_array).into_iter().flatten();
        let asked = rules.map(|rule| {
            let logic = rule.get("logic").cloned().unwrap_or(Value::Null);
            let message = rule.get("message").and_then(Value::as_str);
            let fails = operator("!", [is_true(&logic)]);
            let fails = match condition {
                Some(condition) => operator("and", [is_true(condition), fails]),
                None => fails,
            };
            let message = Value::from(message.unwrap_or("Validation failed"));
            operator("if", [fails, message, Value::Null])
        });
        let logic = array(asked.collect::<Vec<_>>());
        let node = self.logic(&format!("{}-check", task.id), logic, task);
        let filter = format!(
            ".errors += [$values.failed[] | select(. != null) | {{code: \"VALIDATION_ERROR\", \
             message: ., workflow_id: {}, task_id: {}}}]",
            quoted(&task.rule),
            quoted(&task.name)
        );
        let values = Keys::default().with("failed", format!("{{{{ {} }}}}", output(&node)));
        self.change(&format!("{}-errors", task.id), filter, values, task);
        self.rejoin(task, before);
        if let Some(gate) = halts {
            *gate = Some(format!("({} | reject(\"none\") | list | length) == 0", output(&node)));
        }
    }

    fn filter(
        &mut self,
        input: &Object,
        task: &Task,
        condition: Option<&Value>,
        gate: &mut Option<String>,
    ) {
        if text(input, "on_reject") == Some("skip") {
            let text = "a filter that skips skips nothing but itself";
            return self.notes.changed(&task.pointer, text);
        }
        let holds = is_true(input.get("condition").unwrap_or(&Value::Null));
        let logic = match condition {
            // A filter that does not run stops nothing.
            Some(condition) => operator("or", [operator("!", [is_true(condition)]), holds]),
            None => holds,
        };
        let id = self.logic(&task.id, logic, task);
        *gate = Some(output(&id));
    }
}

/// A part of a path into the message.
enum Segment {
    Key(String),
    Index(usize),
}

/// The parts of a dotted path; `#` before a part makes a number a key.
fn segments(path: &str) -> Vec<Segment> {
    let segment = |part: &str| match (part.strip_prefix('#'), part.parse()) {
        (Some(key), _) => Segment::Key(key.to_owned()),
        (None, Ok(index)) => Segment::Index(index),
        (None, Err(_)) => Segment::Key(part.to_owned()),
    };
    path.split('.').map(segment).collect()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_json_text()
}

/// A jq filter that gives what is at a path.
fn get(path: &[Segment]) -> String {
    let parts: String = path
        .iter()
        .map(|segment| match segment {
            Segment::Key(key) => format!("[{}]?", quoted(key)),
            Segment::Index(index) => format!("[{index}]?"),
        })
        .collect();
    format!(".{parts}")
}

/// A jq filter that replaces what is at a path by what `new` makes of it; the way there is made.
fn set(path: &[Segment], new: &str) -> String {
    let Some((first, rest)) = path.split_first() else { return new.to_owned() };
    let rest = set(rest, new);
    match first {
        Segment::Key(key) => {
            let key = quoted(key);
            format!("((. // {{}}) | .[{key}] = (.[{key}] | {rest}))")
        }
        Segment::Index(index) => format!(
            "((. // []) | . + [range(([{index} + 1 - length, 0] | max)) | null] \
             | .[{index}] = (.[{index}] | {rest}))"
        ),
    }
}

/// A jq filter that takes away what is at a path, if it is there.
fn unset(path: &[Segment]) -> String {
    let Some((first, rest)) = path.split_first() else { return ".".to_owned() };
    let (kind, key) = match first {
        Segment::Key(key) => ("object", quoted(key)),
        Segment::Index(index) => ("array", index.to_string()),
    };
    let change = match rest {
        [] => format!("del(.[{key}])"),
        rest => format!(".[{key}] |= {}", unset(rest)),
    };
    format!("(if type == \"{kind}\" and has({key}) then {change} else . end)")
}

/// A jq filter that makes what a template makes: its rules are added to `leaves`, whose results are
/// `$values.of`. Objects that are no operator are data, as dataflow-rs has them.
fn template(value: &Value, leaves: &mut Vec<Value>) -> String {
    match value {
        Value::Object(object) if is_operator(object) => {
            leaves.push(value.clone());
            format!("$values.of[{}]", leaves.len() - 1)
        }
        Value::Object(object) => {
            let entries = object.iter().map(|(key, value)| {
                let name = key.strip_prefix('$').unwrap_or(key);
                format!("{}: {}", quoted(name), template(value, leaves))
            });
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| template(item, leaves));
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_json_text(),
    }
}

fn is_operator(object: &Object) -> bool {
    let mut keys = object.keys();
    matches!((keys.next(), keys.next()), (Some(key), None) if Logic::operators().contains(&&**key))
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::super::Fate;
    use super::*;

    fn notes(json: &str) -> Vec<(String, Fate)> {
        let imported = import(&read_json(json).unwrap()).unwrap();
        imported.notes.into_iter().map(|note| (note.pointer, note.fate)).collect()
    }

    #[test]
    fn what_has_no_form_is_left_with_its_place() {
        let json = r#"[
            {"id": "a", "channel": "other", "tasks": []},
            {"id": "b", "rollout": {}, "tasks": [
                {"id": "x", "for_each": {}, "function": {"name": "map"}},
                {"id": "y", "function": {"name": "publish_kafka"}},
                7
            ]}
        ]"#;
        let places = [
            "/0/channel",
            "/1/rollout",
            "/1/tasks/0/for_each",
            "/1/tasks/1/function",
            "/1/tasks/2",
        ];
        let left = notes(json).into_iter().filter(|(_, fate)| *fate == Fate::Left);
        assert_eq!(left.map(|(pointer, _)| pointer).collect::<Vec<_>>(), places);
    }

    #[test]
    fn paths_have_keys_and_indices() {
        let written = |path: &str| get(&segments(path));
        assert_eq!(written("data.lines.0.sku"), r#".["data"]?["lines"]?[0]?["sku"]?"#);
        assert_eq!(written("data.#0"), r#".["data"]?["0"]?"#);
        assert_eq!(written("data.a\"b"), r#".["data"]?["a\"b"]?"#);
    }

    #[test]
    fn templates_are_data_around_rules() {
        let mut leaves = Vec::new();
        let logic =
            r#"{"$type": "x", "sum": {"+": [1, 2]}, "rest": [{"var": "a"}, {"lenght": 3}]}"#;
        let filter = template(&read_json(logic).unwrap(), &mut leaves);
        assert_eq!(
            filter,
            r#"{"type": "x", "sum": $values.of[0], "rest": [$values.of[1], {"lenght": 3}]}"#
        );
        assert_eq!(leaves.len(), 2);
    }

    #[test]
    fn only_rules_are_rules() {
        for json in ["[]", "7", "{}", r#"{"nodes": []}"#, r#"[{"id": "a"}]"#] {
            assert!(import(&read_json(json).unwrap()).is_err(), "{json}");
        }
    }
}
