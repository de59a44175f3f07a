//! DOT: text that Graphviz draws.

use std::fmt::Write;

use super::{Drawing, DrawnEdge, DrawnNode, EdgeKind, Group};

/// The drawing as a DOT digraph.
pub(super) fn write(drawing: &Drawing) -> String {
    let text = format!("digraph {} {{\n", quote(&drawing.title));
    let mut graph = Digraph { text, depth: 1 };
    graph.line("rankdir=LR;");
    if drawing.whole.nodes.iter().any(|node| !node.holds.is_empty()) {
        // Connections end at the border of a cluster.
        graph.line("compound=true;");
    }
    graph.line("node [shape=box, style=rounded, fontname=\"sans-serif\"];");
    graph.line("edge [fontname=\"sans-serif\", fontsize=10];");
    graph.write_nodes(&drawing.whole, "");
    graph.write_edges(&drawing.whole, "");
    graph.text.push_str("}\n");
    graph.text
}

/// A digraph so far. Nodes inside of others are called as they are addressed: `each.fetch`.
struct Digraph {
    text: String,
    depth: usize,
}

impl Digraph {
    fn line(&mut self, line: &str) {
        let indent = "    ".repeat(self.depth);
        writeln!(self.text, "{indent}{line}").expect("writing to memory cannot fail");
    }

    fn write_nodes(&mut self, group: &Group, prefix: &str) {
        for node in &group.nodes {
            let name = format!("{prefix}{}", node.id);
            let label = quote(&node.lines().join("\n"));
            if node.holds.is_empty() {
                self.line(&format!("{} [label={label}];", quote(&name)));
                continue;
            }
            self.open(&name, &label);
            // Connections have to end at a node: this one is not seen.
            self.line(&format!("{} [shape=point, style=invis];", quote(&name)));
            for (held, inside) in parts(node, &name) {
                match &held.label {
                    Some(label) => {
                        self.open(inside.trim_end_matches('.'), &quote(label));
                        self.write_nodes(held, &inside);
                        self.close();
                    }
                    None => self.write_nodes(held, &inside),
                }
            }
            self.close();
        }
    }

    fn open(&mut self, name: &str, label: &str) {
        self.line(&format!("subgraph {} {{", quote(&cluster(name))));
        self.depth += 1;
        self.line(&format!("label={label}; style=rounded; fontname=\"sans-serif\";"));
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("}");
    }

    fn write_edges(&mut self, group: &Group, prefix: &str) {
        for edge in &group.edges {
            let ends = [edge.from, edge.to].map(|node| &group.nodes[node]);
            let names = ends.map(|node| quote(&format!("{prefix}{}", node.id))).join(" -> ");
            let borders = ["ltail", "lhead"].into_iter().zip(ends);
            let borders = borders.filter(|(_, node)| !node.holds.is_empty()).map(|(key, node)| {
                format!("{key}={}", quote(&cluster(&format!("{prefix}{}", node.id))))
            });
            let attributes = attributes(edge, borders);
            self.line(&format!("{names}{attributes};"));
        }
        for node in &group.nodes {
            for (held, inside) in parts(node, &format!("{prefix}{}", node.id)) {
                self.write_edges(held, &inside);
            }
        }
    }
}

/// What stands inside of a node, and what the names of its nodes begin with.
fn parts<'a>(node: &'a DrawnNode, name: &str) -> Vec<(&'a Group, String)> {
    let inside = |held: &Group| match &held.label {
        Some(label) => format!("{name}.{label}."),
        None => format!("{name}."),
    };
    node.holds.iter().map(|held| (held, inside(held))).collect()
}

/// Graphviz draws a border only around what is called so.
fn cluster(name: &str) -> String {
    format!("cluster {name}")
}

fn attributes(edge: &DrawnEdge, borders: impl Iterator<Item = String>) -> String {
    let mut attributes: Vec<String> = borders.collect();
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
