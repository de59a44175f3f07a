//! DOT: text that Graphviz draws.

use std::fmt::Write;

use super::{Drawing, DrawnEdge, EdgeKind};

/// The drawing as a DOT digraph.
pub(crate) fn write(drawing: &Drawing) -> String {
    let mut text = format!("digraph {} {{\n", quote(&drawing.title));
    let mut line = |line: String| {
        writeln!(text, "    {line}").expect("writing to memory cannot fail");
    };
    line("rankdir=LR;".to_owned());
    line("node [shape=box, style=rounded, fontname=\"sans-serif\"];".to_owned());
    line("edge [fontname=\"sans-serif\", fontsize=10];".to_owned());
    for node in &drawing.nodes {
        line(format!("{} [label={}];", quote(&node.id), quote(&node.lines().join("\n"))));
    }
    for edge in &drawing.edges {
        let ends = [edge.from, edge.to].map(|node| quote(&drawing.nodes[node].id));
        line(format!("{}{};", ends.join(" -> "), attributes(edge)));
    }
    text.push_str("}\n");
    text
}

fn attributes(edge: &DrawnEdge) -> String {
    let mut attributes = Vec::new();
    if !edge.labels.is_empty() {
        attributes.push(format!("label={}", quote(&edge.labels.join("\n"))));
    }
    match edge.kind {
        EdgeKind::Implied => attributes.push("style=dashed".to_owned()),
        EdgeKind::Error => attributes.push("color=red, fontcolor=red".to_owned()),
        EdgeKind::Data | EdgeKind::Order => {}
    }
    if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) }
}

/// A quoted string: only quotes and backslashes have a meaning.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
