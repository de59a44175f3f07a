//! What is possible: the smallest runners of a graph that one can write by hand, without ids, ports,
//! events, cancellation, errors, retries or JSON.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::graph::{Graph, Index};

/// What a node does: a boxed future of the values that it reads, behind a pointer, because every
/// engine that finds nodes by name needs both. No values for a node that reads nothing.
pub type NodeFn<V> = Arc<dyn Fn(&[V]) -> BoxFuture<'static, V> + Send + Sync>;

/// The state of limits A and B.
struct Progress<'a, V> {
    graph: &'a Graph,
    pending: Vec<u32>,
    values: Vec<Option<V>>,
    ready: Vec<Index>,
    inputs: Vec<V>,
    run: NodeFn<V>,
}

impl<'a, V: Clone> Progress<'a, V> {
    fn new(graph: &'a Graph, run: &NodeFn<V>) -> Self {
        let count = |node| u32::try_from(graph.sources(node).len()).expect("it fits");
        Self {
            graph,
            pending: graph.nodes().map(count).collect(),
            values: vec![None; graph.len()],
            ready: graph.nodes().filter(|&node| graph.sources(node).is_empty()).rev().collect(),
            inputs: Vec::new(),
            run: run.clone(),
        }
    }

    fn start(&mut self, node: Index) -> BoxFuture<'static, V> {
        self.inputs.clear();
        let values = &self.values;
        let value = |&from: &Index| values[from as usize].clone().expect("it has ended");
        self.inputs.extend(self.graph.sources(node).iter().map(value));
        (self.run)(&self.inputs)
    }

    fn end(&mut self, node: Index, value: V) {
        self.values[node as usize] = Some(value);
        for &to in self.graph.targets(node) {
            let pending = &mut self.pending[to as usize];
            *pending -= 1;
            if *pending == 0 {
                self.ready.push(to);
            }
        }
    }

    fn finish(self) -> Vec<V> {
        self.values.into_iter().map(|value| value.expect("every node has ended")).collect()
    }
}

/// Limit A: one task; ready nodes are polled at once, only those that wait go through
/// `FuturesUnordered`.
pub async fn inline<V: Clone>(graph: &Graph, run: &NodeFn<V>) -> Vec<V> {
    let mut progress = Progress::new(graph, run);
    let mut waiting = FuturesUnordered::new();
    loop {
        while let Some(node) = progress.ready.pop() {
            let mut future = progress.start(node);
            let polled = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
            match polled {
                Poll::Ready(value) => progress.end(node, value),
                Poll::Pending => waiting.push(async move { (node, future.await) }),
            }
        }
        match waiting.next().await {
            Some((node, value)) => progress.end(node, value),
            None => return progress.finish(),
        }
    }
}

/// Limit B: one task; every node goes through `FuturesUnordered`.
pub async fn unordered<V: Clone>(graph: &Graph, run: &NodeFn<V>) -> Vec<V> {
    let mut progress = Progress::new(graph, run);
    let mut waiting = FuturesUnordered::new();
    loop {
        while let Some(node) = progress.ready.pop() {
            let future = progress.start(node);
            waiting.push(async move { (node, future.await) });
        }
        match waiting.next().await {
            Some((node, value)) => progress.end(node, value),
            None => return progress.finish(),
        }
    }
}

/// The state of limit C.
struct Spawned<V> {
    graph: Arc<Graph>,
    pending: Vec<AtomicU32>,
    values: Vec<OnceLock<V>>,
    left: AtomicUsize,
    ended: tokio::sync::Notify,
    run: NodeFn<V>,
}

/// Limit C: a tokio task for each node.
pub async fn spawned<V>(graph: Arc<Graph>, run: NodeFn<V>) -> Vec<V>
where
    V: Clone + Send + Sync + 'static,
{
    let count = |node| AtomicU32::new(u32::try_from(graph.sources(node).len()).expect("it fits"));
    let run = Arc::new(Spawned {
        pending: graph.nodes().map(count).collect(),
        values: graph.nodes().map(|_| OnceLock::new()).collect(),
        left: AtomicUsize::new(graph.len()),
        ended: tokio::sync::Notify::new(),
        run,
        graph,
    });
    let ready = run.graph.nodes().filter(|&node| run.graph.sources(node).is_empty());
    ready.for_each(|node| spawn(run.clone(), node));
    run.ended.notified().await;
    let value = |value: &OnceLock<V>| value.get().cloned().expect("every node has ended");
    run.values.iter().map(value).collect()
}

fn spawn<V: Clone + Send + Sync + 'static>(run: Arc<Spawned<V>>, node: Index) {
    let value = |&from: &Index| run.values[from as usize].get().cloned().expect("it has ended");
    let inputs: smallvec::SmallVec<[V; 4]> = run.graph.sources(node).iter().map(value).collect();
    let future = (run.run)(&inputs);
    tokio::spawn(async move {
        let value = future.await;
        let _ = run.values[node as usize].set(value);
        for &to in run.graph.targets(node) {
            if run.pending[to as usize].fetch_sub(1, Ordering::AcqRel) == 1 {
                spawn(run.clone(), to);
            }
        }
        if run.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            run.ended.notify_one();
        }
    });
}
