//! The rows of the table.

use std::sync::Arc;

use crate::engine::{self, Absent, Engine, Load, Threads};
use crate::flow;
use crate::template;
use crate::workload::{Work, Workload};

/// One engine on one tokio runtime.
#[derive(Clone)]
pub struct Row {
    /// What `--row` and the table call it.
    pub name: &'static str,
    /// The tokio runtime.
    pub threads: Threads,
    /// Loads a workload.
    pub load: Load,
    /// The row that its figures are divided by.
    pub anchor: &'static str,
    /// What a reader must know to compare it.
    pub note: &'static str,
}

/// The limit for engines that run what is ready at once, in one task.
pub const LIMIT_A: &str = "limit A";
/// The limit for engines that run nodes in one task.
pub const LIMIT_B: &str = "limit B";
/// The limit for engines that run each node as a task.
pub const LIMIT_C: &str = "limit C";

/// The rows of a workload, limits first.
pub fn of(workload: &Workload) -> Vec<Row> {
    let row = |name, threads, anchor, load| Row { name, threads, load, anchor, note: "" };
    let (one, two) = (Threads::One, Threads::Two);
    let mut rows = vec![
        row(LIMIT_A, one, LIMIT_B, engine::limit_a as Load),
        row(LIMIT_B, one, LIMIT_B, engine::limit_b),
        row(LIMIT_C, two, LIMIT_C, engine::limit_c),
    ];
    if matches!(workload.work, Work::Burn(_)) {
        // Arithmetic in the driver would only measure one core.
        rows.push(row("Flow, task, 1 thread", one, LIMIT_C, flow::task));
        rows.push(row("Flow, task", two, LIMIT_C, flow::task));
    } else {
        // Nodes that wait are compared with whoever polls only those.
        let anchor = if matches!(workload.work, Work::Sleep(_)) { LIMIT_A } else { LIMIT_B };
        rows.push(row("Flow", one, anchor, flow::inline));
        rows.push(row("Flow, events counted", one, anchor, flow::inline_events));
        rows.push(row("Flow, 2 workers", two, anchor, flow::inline));
        rows.push(row("Flow, task", two, LIMIT_C, flow::task));
        rows.push(row("Flow, task, events counted", two, LIMIT_C, flow::task_events));
        rows.push(row("Flow, task, 1 thread", one, LIMIT_C, flow::task));
    }
    if workload.name == "chain" {
        let real = row("Flow, transform.template", one, LIMIT_B, template::load);
        rows.push(Row { note: "real nodes: each reads and writes text", ..real });
    }
    #[cfg(feature = "peers")]
    rows.extend(crate::peers::rows(workload));
    rows
}

impl Row {
    /// Loads a workload.
    ///
    /// # Errors
    /// Why this engine cannot run it.
    pub fn load(&self, workload: &Arc<Workload>) -> Result<Arc<dyn Engine>, Absent> {
        (self.load)(workload)
    }
}
