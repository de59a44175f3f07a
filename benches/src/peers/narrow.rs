//! Graphs for engines whose nodes read only a few others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Step;
use crate::engine;
use crate::graph::{Graph, Index};
use crate::workload::{Work, Workload};

/// A workload's graph in which no node reads more than a few others: in front of those that do, a
/// tree of further nodes sums up.
pub struct Narrow {
    workload: Arc<Workload>,
    graph: Arc<Graph>,
    /// The nodes that only sum up.
    sums: BTreeSet<Index>,
    /// Where the nodes are that nothing reads, if they are elsewhere than before.
    moved: BTreeMap<Index, Index>,
}

impl Narrow {
    /// Nodes read at most `most` others.
    pub fn new(workload: &Arc<Workload>, most: usize) -> Self {
        let wide = workload.graph();
        let mut narrow = Self {
            workload: workload.clone(),
            graph: wide.clone(),
            sums: BTreeSet::new(),
            moved: BTreeMap::new(),
        };
        if wide.nodes().any(|node| wide.sources(node).len() > most) {
            narrow.cut(most);
        }
        narrow
    }

    fn cut(&mut self, most: usize) {
        let wide = self.workload.graph();
        let mut all: Vec<Vec<Index>> = Vec::new();
        let push = |all: &mut Vec<Vec<Index>>, sources| {
            let index = Index::try_from(all.len()).expect("nodes are counted in 32 bits");
            all.push(sources);
            index
        };
        let mut now: Vec<Index> = Vec::new();
        for node in wide.nodes() {
            let mut sources: Vec<_> =
                wide.sources(node).iter().map(|&from| now[from as usize]).collect();
            while sources.len() > most {
                let sums: Vec<_> =
                    sources.chunks(most).map(|some| push(&mut all, some.to_vec())).collect();
                self.sums.extend(&sums);
                sources = sums;
            }
            now.push(push(&mut all, sources));
        }
        self.moved = wide.sinks().map(|node| (node, now[node as usize])).collect();
        self.graph = Arc::new(Graph::new(&all));
    }

    /// The graph to run.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How many executions run at the same time.
    pub fn executions(&self) -> usize {
        self.workload.executions
    }

    /// What a node of it does.
    pub fn step(&self, node: Index) -> Step {
        if self.sums.contains(&node) {
            Step { work: Work::Add, plus: 0 }
        } else {
            Step::node(self.workload.work)
        }
    }

    /// Checks the values of an execution.
    ///
    /// # Panics
    /// When one is not what plain computation gives.
    pub fn check(&self, seed: u64, mut value: impl FnMut(Index) -> Option<u64>) {
        engine::check(self.workload.graph(), seed, |node| {
            value(self.moved.get(&node).copied().unwrap_or(node))
        });
    }
}
