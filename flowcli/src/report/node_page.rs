//! Everything about one node type, as a page of text.

use flowcore::{Effect, Example, Execution, NodeDescriptor, Port};
use serde_json::Value;

use super::human::{BOLD, DIM, clean_lines, paint};
use super::schema_text::{fields, type_name};
use super::table::{table, wrap};

/// The page, at most this wide.
pub(crate) fn render(node: &NodeDescriptor, width: usize) -> String {
    let mut page = Page { text: String::new(), width };
    let title = format!("{}  {}", paint(BOLD, &node.node_type), node.summary);
    page.line(title.trim_end());
    page.line("");
    page.line(&format!("  {}", paint(DIM, &properties(node))));
    if !node.description.is_empty() {
        page.line("");
        clean_lines(&node.description).lines().for_each(|line| page.paragraph(line));
    }
    page.section("Inputs", &input_rows(node));
    page.section("Outputs", &output_rows(node));
    page.section("Config", &config_rows(node));
    page.examples(&node.examples);
    page.text
}

struct Page {
    text: String,
    width: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        let lines = wrap(text, self.width.saturating_sub(2));
        if lines.is_empty() {
            self.line("");
        }
        lines.iter().for_each(|line| self.line(&format!("  {line}")));
    }

    fn section(&mut self, title: &str, rows: &[[String; 4]]) {
        if rows.is_empty() {
            return;
        }
        self.line("");
        self.line(&paint(BOLD, title));
        let lines = table(rows, self.width.saturating_sub(2));
        lines.iter().for_each(|line| self.line(&format!("  {line}")));
    }

    fn examples(&mut self, examples: &[Example]) {
        if examples.is_empty() {
            return;
        }
        self.line("");
        self.line(&paint(BOLD, "Examples"));
        for example in examples {
            self.line(&format!("  {}", example.title));
            let parts = [
                ("config", &example.config),
                ("inputs", &example.inputs),
                ("outputs", &example.outputs),
            ];
            let shown = parts.iter().filter(|(_, value)| !is_empty(value));
            let rows: Vec<_> = shown.map(|(name, v)| [paint(DIM, name), v.to_string()]).collect();
            let lines = table(&rows, usize::MAX);
            lines.iter().for_each(|line| self.line(&format!("    {line}")));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
}

fn properties(node: &NodeDescriptor) -> String {
    let effect = match node.effect {
        Effect::Pure => "pure",
        Effect::Read => "read",
        Effect::Idempotent => "idempotent",
        Effect::Once => "once",
    };
    let depends = if node.effect_of.is_some() { ", unless the config says otherwise" } else { "" };
    let execution = match node.execution {
        Execution::Inline => "inline",
        Execution::Async => "async",
        Execution::Task => "task",
        Execution::Blocking => "blocking",
        Execution::Control => "by the machine itself",
    };
    format!("effect {effect}{depends} · execution {execution} · version {}", node.version)
}

fn input_rows(node: &NodeDescriptor) -> Vec<[String; 4]> {
    let others = node.open_inputs.then(|| other_ports("any other port may be connected"));
    node.inputs.iter().map(port_row).chain(others).collect()
}

fn output_rows(node: &NodeDescriptor) -> Vec<[String; 4]> {
    let others = node.open_outputs.then(|| other_ports("any other port may be connected"));
    let error =
        row("error", "object".to_owned(), "", "What it failed with, after the last attempt");
    node.outputs.iter().map(port_row).chain(others).chain([error]).collect()
}

fn other_ports(text: &str) -> [String; 4] {
    row("…", String::new(), "", text)
}

fn row(name: &str, type_name: String, mark: &str, description: &str) -> [String; 4] {
    let one_line = description.split_whitespace().collect::<Vec<_>>().join(" ");
    [paint(BOLD, name), type_name, paint(DIM, mark), one_line]
}

fn port_row(port: &Port) -> [String; 4] {
    let mark = match (port.required, port.multiple) {
        (true, true) => "required, several",
        (true, false) => "required",
        (false, true) => "several",
        (false, false) => "",
    };
    row(&port.name, type_name(&port.schema), mark, &port.description)
}

fn config_rows(node: &NodeDescriptor) -> Vec<[String; 4]> {
    let Some(schema) = &node.config_schema else { return vec![other_ports("any key")] };
    let rows = fields(schema).into_iter().map(|field| {
        let mark = match (&field.default, field.required) {
            (Some(default), _) => format!("default {default}"),
            (None, true) => "required".to_owned(),
            (None, false) => String::new(),
        };
        row(&field.name, field.type_name, &mark, &field.description)
    });
    rows.collect()
}
