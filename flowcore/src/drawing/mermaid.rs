//! Mermaid: text that Markdown viewers draw.

use std::fmt::Write;

use super::{Drawing, EdgeKind, Group};

/// The most connections that Mermaid draws unless its settings say otherwise.
pub(super) const MOST_EDGES: usize = 500;

/// The drawing as a Mermaid flowchart.
pub(super) fn write(drawing: &Drawing) -> String {
    let mut chart = Chart { text: String::from("flowchart LR\n"), depth: 1, edges: Vec::new() };
    chart.write_nodes(&drawing.whole, "n");
    chart.write_edges(&drawing.whole, "n");
    let errors = chart.edges.iter().enumerate().filter(|(_, kind)| **kind == EdgeKind::Error);
    let errors: Vec<String> = errors.map(|(index, _)| index.to_string()).collect();
    if !errors.is_empty() {
        chart.line(format_args!("linkStyle {} stroke:#d33,color:#d33", errors.join(",")));
    }
    chart.text
}

/// A flowchart so far. What stands inside of a node has its id and its own place in its ids.
struct Chart {
    text: String,
    depth: usize,
    /// The kinds of the connections so far: their numbers are how they are styled.
    edges: Vec<EdgeKind>,
}

impl Chart {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let indent = "    ".repeat(self.depth);
        writeln!(self.text, "{indent}{line}").expect("writing to memory cannot fail");
    }

    fn write_nodes(&mut self, group: &Group, prefix: &str) {
        for (index, node) in group.nodes.iter().enumerate() {
            let [first, second] = node.lines().map(|line| escape(&line));
            let id = format!("{prefix}{index}");
            if node.holds.is_empty() {
                self.line(format_args!("{id}[\"<b>{first}</b><br>{second}\"]"));
                continue;
            }
            self.open(&id, &format!("<b>{first}</b> {second}"));
            for (number, held) in node.holds.iter().enumerate() {
                let inside = format!("{id}_{number}_");
                match &held.label {
                    Some(label) => {
                        self.open(&format!("{id}_{number}"), &escape(label));
                        self.write_nodes(held, &inside);
                        self.close();
                    }
                    None => self.write_nodes(held, &inside),
                }
            }
            self.close();
        }
    }

    fn open(&mut self, id: &str, title: &str) {
        self.line(format_args!("subgraph {id}[\"{title}\"]"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line(format_args!("end"));
    }

    fn write_edges(&mut self, group: &Group, prefix: &str) {
        for edge in &group.edges {
            let labels: Vec<String> = edge.labels.iter().map(|label| escape(label)).collect();
            let arrow = if edge.kind == EdgeKind::Implied { "-.->" } else { "-->" };
            let label = match labels.join("<br>") {
                labels if labels.is_empty() => labels,
                labels => format!("|\"{labels}\"|"),
            };
            let (from, to) = (edge.from, edge.to);
            self.line(format_args!("{prefix}{from} {arrow}{label} {prefix}{to}"));
            self.edges.push(edge.kind);
        }
        for (index, node) in group.nodes.iter().enumerate() {
            for (number, held) in node.holds.iter().enumerate() {
                self.write_edges(held, &format!("{prefix}{index}_{number}_"));
            }
        }
    }
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
