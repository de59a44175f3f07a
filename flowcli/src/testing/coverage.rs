//! Which nodes no case has run.

use std::collections::HashSet;

use flowcore::{NodeIndex, Plan};

/// The addresses of the nodes that are not among those that ran.
pub(crate) fn not_run(plan: &Plan, ran: &HashSet<NodeIndex>) -> Vec<String> {
    let missed = plan.addresses().into_iter().filter(|(node, _)| !ran.contains(node));
    missed.map(|(_, address)| address).collect()
}
