//! What is run: a graph, and what its nodes do.

use std::sync::Arc;
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
    /// The graph.
    pub graph: Arc<Graph>,
    /// What its nodes do.
    pub work: Work,
    /// How many executions of the graph run at the same time.
    pub executions: usize,
    /// How often a row runs in one round; short ones run often, so that a round is some milliseconds.
    pub repeat: usize,
    /// Whether each row runs in a process of its own, whose peak memory is measured.
    pub heavy: bool,
    /// Whether everything is tiny.
    pub quick: bool,
}

/// Rounds of arithmetic in a CPU-bound node: some milliseconds.
const BURN: u64 = 2_000_000;

impl Workload {
    /// How many nodes are executed in one run.
    pub fn nodes(&self) -> usize {
        self.graph.len() * self.executions
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

/// Every workload that has a row per engine.
///
/// With `quick` they are tiny: to see that everything works, not to measure.
pub fn all(quick: bool) -> Vec<Workload> {
    let size = |full: u32, tiny: u32| if quick { tiny } else { full };
    let many = if quick { 10 } else { 1_000 };
    let workload = |name, about, graph| Workload {
        name,
        about,
        graph: Arc::new(graph),
        work: Work::Add,
        executions: 1,
        repeat: 1,
        heavy: false,
        quick,
    };
    let times = |count: usize| if quick { 1 } else { count };
    vec![
        Workload {
            repeat: times(20),
            ..workload("chain", "chain of 1,000", Graph::chain(size(1_000, 20)))
        },
        Workload {
            repeat: times(20),
            ..workload("fan", "1 → 1,000 → 1", Graph::fan(size(1_000, 20)))
        },
        Workload {
            repeat: times(3),
            ..workload(
                "layered",
                "layers: 10,000 nodes, 30,000 connections",
                if quick { Graph::layered(5, 8, 100) } else { Graph::layered(100, 100, 30_000) },
            )
        },
        Workload {
            heavy: true,
            ..workload(
                "million",
                "layers: 1,000,000 nodes, 3,000,000 connections",
                if quick {
                    Graph::layered(5, 8, 100)
                } else {
                    Graph::layered(1_000, 1_000, 3_000_000)
                },
            )
        },
        Workload {
            executions: many,
            repeat: times(3),
            ..workload("diamonds", "1,000 executions of a 10-node diamond", Graph::diamond())
        },
        Workload {
            executions: many,
            work: Work::Sleep(Duration::from_millis(1)),
            ..workload("sleep", "the same with a sleep of 1 ms in each node", Graph::diamond())
        },
        Workload {
            work: Work::Pass,
            repeat: times(50),
            ..workload("large", "1 MiB through a chain of 100", Graph::chain(size(100, 10)))
        },
        Workload {
            work: Work::Burn(if quick { 1_000 } else { BURN }),
            ..workload("cpu", "1 → 40 CPU-bound → 1", Graph::fan(size(40, 4)))
        },
    ]
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
