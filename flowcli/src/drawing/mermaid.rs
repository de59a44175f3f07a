//! Mermaid: text that Markdown viewers draw.

use std::fmt::Write;

use super::{Drawing, EdgeKind};

/// The most connections that Mermaid draws unless its settings say otherwise.
pub(crate) const MOST_EDGES: usize = 500;

/// The drawing as a Mermaid flowchart.
pub(crate) fn write(drawing: &Drawing) -> String {
    let mut text = String::from("flowchart LR\n");
    for (index, node) in drawing.nodes.iter().enumerate() {
        let [first, second] = node.lines().map(|line| escape(&line));
        line(&mut text, format_args!("n{index}[\"<b>{first}</b><br>{second}\"]"));
    }
    for edge in &drawing.edges {
        let labels: Vec<String> = edge.labels.iter().map(|label| escape(label)).collect();
        let arrow = if edge.kind == EdgeKind::Implied { "-.->" } else { "-->" };
        let label = match labels.join("<br>") {
            labels if labels.is_empty() => labels,
            labels => format!("|\"{labels}\"|"),
        };
        line(&mut text, format_args!("n{} {arrow}{label} n{}", edge.from, edge.to));
    }
    let errors = drawing.edges.iter().enumerate().filter(|(_, edge)| edge.kind == EdgeKind::Error);
    let errors: Vec<String> = errors.map(|(index, _)| index.to_string()).collect();
    if !errors.is_empty() {
        line(&mut text, format_args!("linkStyle {} stroke:#d33,color:#d33", errors.join(",")));
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "    {line}").expect("writing to memory cannot fail");
}

/// Signs with a meaning to Mermaid or HTML, as the entities that Mermaid knows.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '"' => escaped.push_str("#quot;"),
            '&' => escaped.push_str("#amp;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '#' => escaped.push_str("#35;"),
            // At its beginning, a text would become Markdown.
            '`' => escaped.push_str("#96;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        escaped
    })
}
