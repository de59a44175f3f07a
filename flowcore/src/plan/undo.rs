//! What takes back what a node has done: a body of one node, without connections.

use super::bodies::BodyIndex;
use super::compile::{Compiler, OuterRead};
use super::connections::Connections;
use super::graph::NodeIndex;
use super::holders::{Inside, compile_inside};
use crate::control::ControlKind;
use crate::node::PortName;
use crate::value::Value;
use crate::workflow::{Diagnostic, NodeSpec, OnError, UndoSpec, Workflow};

/// Compiles the undo of a node with these input ports; `None` when there is none, or something is
/// wrong with it.
pub(super) fn bind_undo(
    compiler: &mut Compiler<'_>,
    connections: &mut Connections,
    index: NodeIndex,
    inputs: (&[PortName], bool),
) -> Option<BodyIndex> {
    let spec = &compiler.workflow.nodes[index as usize];
    let undo = spec.undo.as_deref()?;
    let pointer = format!("/nodes/{index}/undo");
    if *spec.node_type == *ControlKind::Stop.node_type() {
        let message = format!("node `{}` ends the execution and is never undone", spec.id);
        let problem = Diagnostic::error("undo.never_runs", pointer, message);
        compiler.common.diagnostics.push(problem.hint(
            "leave `undo` out; an execution that `control.stop` ends succeeds, so nothing is undone",
        ));
        return None;
    }
    let found = compiler.find_type(&undo.node_type);
    let found = found.map(|found| &compiler.common.types[found as usize].registered.descriptor);
    if found.is_some_and(|descriptor| descriptor.control.is_some()) {
        let message = format!("the undo of node `{}` is a control node", spec.id);
        let problem =
            Diagnostic::error("undo.control_node", format!("{pointer}/node_type"), message);
        compiler.common.diagnostics.push(problem.expected("a node that is no control node").hint(
            "what takes several nodes is undone step by step: each of them has its own `undo`",
        ));
        return None;
    }
    let mut workflow = Workflow::default();
    workflow.add_node(node(undo));
    let inside = Inside {
        workflow: &workflow,
        outputs: Some(&Value::Null),
        locals: &[],
        undone: Some(inputs),
    };
    let (body, found, outer_reads) = compile_inside(compiler, index, &inside);
    for mut problem in found {
        let rest = problem.pointer.strip_prefix("/nodes/0").unwrap_or_default();
        problem.pointer = format!("{pointer}{rest}");
        compiler.common.diagnostics.push(problem);
    }
    for OuterRead { levels, node } in outer_reads {
        match levels {
            // What it reads of the node itself is there when it is resolved.
            1 if node == index => {}
            1 => connections.imply(node, index),
            _ => compiler.outer_reads.push(OuterRead { levels: levels - 1, node }),
        }
    }
    Some(body)
}

fn node(undo: &UndoSpec) -> NodeSpec {
    let mut node = NodeSpec::new("undo", undo.node_type.clone()).on_error(OnError::StopWorkflow);
    node.config = undo.config.clone();
    node.retry_policy.clone_from(&undo.retry_policy);
    node.timeout_ms = undo.timeout_ms;
    node.effect = undo.effect;
    node
}
