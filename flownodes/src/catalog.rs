//! The node reference as Markdown, out of what the node types say about themselves.

mod json;
mod schema;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use flowcore::{Effect, Example, Execution, NodeDescriptor, NodeRegistry, Port};
use serde_json::Value as Json;

const INTRODUCTION: &str = "\
# Node reference

<!-- Generated from the node types: run the tests with FLOW_UPDATE=1 to write it anew. -->

A node takes the value of an input port from a connection, else from its `config` under the port's \
name.
Strings in `config` may hold expressions in `{{ }}`.
Every node also has the output port `error`, which is live after the last attempt failed.
";

/// The reference of all node types in a registry: a section for each category, and in it one for
/// each node type, both in alphabetical order. The same registry always gives the same text.
pub fn markdown(registry: &NodeRegistry) -> String {
    let mut categories: BTreeMap<&str, Vec<&NodeDescriptor>> = BTreeMap::new();
    for node in registry.iter() {
        categories.entry(&node.descriptor.category).or_default().push(&node.descriptor);
    }
    let mut text = INTRODUCTION.to_owned();
    for (category, nodes) in categories {
        write!(text, "\n## {category}\n")
            .and_then(|()| nodes.into_iter().try_for_each(|node| write_node(&mut text, node)))
            .expect("a string takes all text");
    }
    text
}

fn write_node(text: &mut String, node: &NodeDescriptor) -> fmt::Result {
    write!(text, "\n### {}\n\n{}.\n", node.node_type, node.summary.trim_end_matches('.'))?;
    if !node.description.is_empty() {
        write!(text, "\n{}\n", node.description.trim())?;
    }
    let (effect, execution) = (effect_words(node), execution_words(node.execution));
    write!(text, "\nEffect: {effect}.\nExecution: {execution}.\n")?;
    write_ports(text, "Input", &node.inputs, node.open_inputs)?;
    write_ports(text, "Output", &node.outputs, node.open_outputs)?;
    write_config(text, node)?;
    node.examples.iter().try_for_each(|example| write_example(text, node, example))
}

fn effect_words(node: &NodeDescriptor) -> String {
    let words = match node.effect {
        Effect::Pure => {
            "`pure`, the same inputs give the same outputs and nothing is touched; run again and \
             cached freely"
        }
        Effect::Read => "`read`, it looks and changes nothing; run again freely, never cached",
        Effect::Idempotent => {
            "`idempotent`, it may run again after a crash, with the same idempotency key"
        }
        Effect::Once => "`once`, it is never started twice because of a crash",
    };
    match node.effect_of {
        Some(_) => format!("{words}; some configs have another one"),
        None => words.to_owned(),
    }
}

fn execution_words(execution: Execution) -> &'static str {
    match execution {
        Execution::Inline => "`inline`, as a plain function within the execution",
        Execution::Async => "`async`, within the execution, which goes on while it waits",
        Execution::Task => "`task`, as a task of its own",
        Execution::Control => "by the machine itself",
        Execution::Blocking => "`blocking`, on a thread for work that takes its time",
    }
}

fn write_ports(text: &mut String, kind: &str, ports: &[Port], open: bool) -> fmt::Result {
    if !ports.is_empty() {
        write!(text, "\n| {kind} | Type | Description |\n|---|---|---|\n")?;
    }
    for port in ports {
        let words = schema::type_words(&port.schema, &port.schema);
        let (required, multiple) = (port.required, port.multiple);
        let needed = if required { ", required" } else { "" };
        let several = if multiple { ", several connections" } else { "" };
        let description = cell(&port.description);
        writeln!(text, "| `{}` | {words}{needed}{several} | {description} |", port.name)?;
    }
    if open {
        write!(text, "\nAny other {} port may be connected.\n", kind.to_lowercase())?;
    }
    Ok(())
}

fn write_config(text: &mut String, node: &NodeDescriptor) -> fmt::Result {
    let Some(schema) = &node.config_schema else {
        return text.write_str("\nThe config may have any fields.\n");
    };
    let fields = schema::fields(schema);
    if !fields.is_empty() {
        text.write_str("\n| Config | Type | Default | Description |\n|---|---|---|---|\n")?;
    }
    for field in fields {
        let default = match (&field.default, field.required) {
            (_, true) => "required".to_owned(),
            (Some(default), false) if !default.is_null() => format!("`{default}`"),
            _ => String::new(),
        };
        let (name, words, description) = (field.name, field.words, cell(&field.description));
        writeln!(text, "| `{name}` | {words} | {default} | {description} |")?;
    }
    if !node.raw_fields.is_empty() {
        let fields = node.raw_fields.iter().map(|field| format!("`{field}`"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        write!(text, "\n`{{{{ }}}}` has no meaning to the engine in: {fields}.\n")?;
    }
    Ok(())
}

fn write_example(text: &mut String, node: &NodeDescriptor, example: &Example) -> fmt::Result {
    let id = node.node_type.rsplit('.').next().unwrap_or_default();
    let mut snippet = serde_json::Map::new();
    snippet.insert("id".to_owned(), id.into());
    snippet.insert("node_type".to_owned(), (*node.node_type).into());
    if !is_empty(&example.config) {
        snippet.insert("config".to_owned(), example.config.clone());
    }
    write!(text, "\n**Example: {}.**\n\n", example.title.trim_end_matches('.'))?;
    write_json(text, &snippet.into())?;
    if !is_empty(&example.inputs) {
        text.write_str("\nWith these inputs:\n\n")?;
        write_json(text, &example.inputs)?;
    }
    text.write_str("\nThe outputs are:\n\n")?;
    write_json(text, &example.outputs)
}

fn write_json(text: &mut String, json: &Json) -> fmt::Result {
    writeln!(text, "```json\n{}\n```", json::layout(json))
}

fn is_empty(json: &Json) -> bool {
    json.as_object().is_some_and(serde_json::Map::is_empty)
}

/// A text as one cell of a table.
fn cell(text: &str) -> String {
    text.trim().replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_says_all_about_itself() {
        let mut registry = NodeRegistry::new();
        let descriptor = NodeDescriptor::new("text.join")
            .summary("Joins texts")
            .description("In the order of the connections.")
            .input(
                Port::new("texts").typed::<Vec<String>>().required().multiple().description("A|B"),
            )
            .output(Port::new("text").typed::<String>().description("All of them"))
            .effect(Effect::Pure)
            .raw_fields(&["between"])
            .open_inputs()
            .example("Two", json!({}), json!({ "texts": ["a", "b"] }), json!({ "text": "ab" }));
        registry.register_function(descriptor, |_| Ok(flowcore::NodeOutput::new()));
        let text = markdown(&registry);
        let section = text.split_once("\n## text\n").map(|(_, section)| section);
        // What follows is about the control nodes.
        let section = section.and_then(|section| section.split_once("\n## ")).map(|(own, _)| own);
        let expected = "
### text.join

Joins texts.

In the order of the connections.

Effect: `pure`, the same inputs give the same outputs and nothing is touched; run again and cached freely.
Execution: `inline`, as a plain function within the execution.

| Input | Type | Description |
|---|---|---|
| `texts` | array of string, required, several connections | A\\|B |

Any other input port may be connected.

| Output | Type | Description |
|---|---|---|
| `text` | string | All of them |

`{{ }}` has no meaning to the engine in: `between`.

**Example: Two.**

```json
{ \"id\": \"join\", \"node_type\": \"text.join\" }
```

With these inputs:

```json
{ \"texts\": [\"a\", \"b\"] }
```

The outputs are:

```json
{ \"text\": \"ab\" }
```
";
        assert_eq!(section, Some(expected));
    }

    #[test]
    fn a_node_of_which_nothing_is_known_is_listed() {
        let mut registry = NodeRegistry::new();
        registry.register_function(NodeDescriptor::untyped("my.node"), |_| {
            Ok(flowcore::NodeOutput::new())
        });
        assert!(markdown(&registry).contains("The config may have any fields."));
    }
}
