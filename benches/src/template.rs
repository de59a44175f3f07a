//! Flow with real nodes, from the standard node library.

use std::sync::Arc;

use flowcore::NodeRegistry;
use serde_json::{Value as Json, json};

use crate::engine::{Absent, Engine};
use crate::flow::{self, Output};
use crate::graph::{Graph, PORTS};
use crate::workload::{Work, Workload};

/// `transform.template` nodes: each reads numbers out of the texts that it is given, and writes
/// their sum plus one as text.
pub fn load(workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
    if workload.work != Work::Add {
        return Err("a template only writes text");
    }
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    let text = workflow(workload.graph()).to_string();
    let output = Output { port: "output", number: |value| value.as_str()?.parse().ok() };
    Ok(flow::load_file(workload, registry, &text, output, false))
}

fn workflow(graph: &Graph) -> Json {
    let node = |node| {
        let reads = graph.sources(node).len();
        let sum: String =
            PORTS[..reads.max(1)].iter().map(|port| format!("{port} | int + ")).collect();
        let mut config = json!({ "template": format!("{{{{ {sum}1 }}}}") });
        if reads == 0 {
            config["values"] = json!({ PORTS[0]: format!("{{{{ inputs.{} }}}}", PORTS[0]) });
        }
        json!({ "id": format!("n{node}"), "node_type": "transform.template", "config": config })
    };
    let connection = |to: u32| {
        graph.sources(to).iter().zip(PORTS).map(move |(from, port)| {
            json!({
                "from_node": format!("n{from}"), "from_port": "output",
                "to_node": format!("n{to}"), "to_port": port,
            })
        })
    };
    json!({
        "inputs": { PORTS[0]: { "type": "integer" } },
        "nodes": graph.nodes().map(node).collect::<Json>(),
        "connections": graph.nodes().flat_map(connection).collect::<Json>(),
    })
}
