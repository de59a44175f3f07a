//! What is run: a graph, and what its nodes do.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use flowcore::{Array, Object, Value};

use crate::graph::Graph;

/// What each node does with the values that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Gives their sum plus one.
    Add,
    /// As `Add`, after an asynchronous wait.
    Sleep(Duration),
    /// As `Add`, after this many rounds of arithmetic.
    Burn(u64),
    /// Gives the one value that it reads.
    Pass,
}

/// A graph, and what its nodes do.
pub struct Workload {
    /// What `--only` and the table call it.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// What its nodes do.
    pub work: Work,
    /// How many executions of the graph run at the same time.
    pub executions: usize,
    /// How often a row runs in one round; short ones run often.
    pub repeat: usize,
    /// Whether each row runs in a process of its own, whose peak memory is measured.
    pub heavy: bool,
    /// Whether everything is tiny.
    pub quick: bool,
    make: fn(quick: bool) -> Graph,
    graph: OnceLock<Arc<Graph>>,
}

impl Workload {
    fn new(name: &'static str, about: &'static str, make: fn(bool) -> Graph) -> Self {
        Self {
            name,
            about,
            work: Work::Add,
            executions: 1,
            repeat: 1,
            heavy: false,
            quick: false,
            make,
            graph: OnceLock::new(),
        }
    }

    /// The graph; made when it is first asked for.
    pub fn graph(&self) -> &Arc<Graph> {
        self.graph.get_or_init(|| Arc::new((self.make)(self.quick)))
    }

    /// How many nodes are executed in one run.
    pub fn nodes(&self) -> usize {
        self.graph().len() * self.executions
    }

    /// A JSON value of about 1 MiB: records, as an API gives them.
    pub fn large_value(&self) -> Value {
        let records = if self.quick { 10 } else { 10_000 };
        let record = |number: u64| {
            let entries = [
                ("id", Value::from(number)),
                ("name", Value::from(format!("record number {number} of many"))),
                ("tags", Value::from("alpha,beta,gamma,delta,epsilon")),
            ];
            Value::Object(Object::from_entries(entries).expect("it is flat"))
        };
        Array::from_values((0..records).map(record)).expect("it is flat").into()
    }
}

/// Rounds of arithmetic in a CPU-bound node: some milliseconds.
const BURN: u64 = 2_000_000;

/// Every workload that has a row per engine.
///
/// With `quick` they are tiny: to see that everything works, not to measure.
pub fn all(quick: bool) -> Vec<Workload> {
    let layered = "layers: 10,000 nodes, 30,000 connections";
    let million = "layers: 1,000,000 nodes, 3,000,000 connections";
    let workloads = vec![
        Workload {
            repeat: 20,
            ..Workload::new("chain", "a chain of 1,000", |quick| {
                Graph::chain(if quick { 20 } else { 1_000 })
            })
        },
        Workload {
            repeat: 20,
            ..Workload::new("fan", "1 → 1,000 → 1", |quick| {
                Graph::fan(if quick { 20 } else { 1_000 })
            })
        },
        Workload {
            repeat: 3,
            ..Workload::new("layered", layered, |quick| {
                if quick { Graph::layered(5, 8, 100) } else { Graph::layered(100, 100, 30_000) }
            })
        },
        Workload {
            heavy: true,
            ..Workload::new("million", million, |quick| {
                if quick {
                    Graph::layered(5, 8, 100)
                } else {
                    Graph::layered(1_000, 1_000, 3_000_000)
                }
            })
        },
        Workload {
            executions: 1_000,
            repeat: 3,
            ..Workload::new("diamonds", "1,000 executions of a 10-node diamond", |_| {
                Graph::diamond()
            })
        },
        Workload {
            executions: 1_000,
            work: Work::Sleep(Duration::from_millis(1)),
            ..Workload::new("sleep", "the same, with a sleep of 1 ms in each node", |_| {
                Graph::diamond()
            })
        },
        Workload {
            work: Work::Pass,
            repeat: 50,
            ..Workload::new("large", "1 MiB of JSON through a chain of 100", |quick| {
                Graph::chain(if quick { 10 } else { 100 })
            })
        },
        Workload {
            work: Work::Burn(BURN),
            ..Workload::new("cpu", "1 → 40 CPU-bound nodes of some milliseconds → 1", |quick| {
                Graph::fan(if quick { 4 } else { 40 })
            })
        },
    ];
    if quick { workloads.into_iter().map(shrink).collect() } else { workloads }
}

fn shrink(workload: Workload) -> Workload {
    let work = match workload.work {
        Work::Burn(_) => Work::Burn(1_000),
        work @ (Work::Add | Work::Sleep(_) | Work::Pass) => work,
    };
    let executions = workload.executions.min(10);
    Workload { work, executions, repeat: 1, quick: true, ..workload }
}

/// What a node that adds gives.
pub fn add(inputs: impl IntoIterator<Item = u64>) -> u64 {
    inputs.into_iter().fold(1, u64::wrapping_add)
}

/// Arithmetic that nothing can leave out; gives the value that it was given.
pub fn burn(value: u64, rounds: u64) -> u64 {
    let mut state = std::hint::black_box(value | 1);
    for _ in 0..rounds {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    std::hint::black_box(state);
    value
}
