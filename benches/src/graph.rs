//! The graphs that engines run: plain adjacency arrays.

use std::fmt::Write as _;

/// A node's index.
pub type Index = u32;

/// A directed acyclic graph whose nodes stand in topological order.
pub struct Graph {
    in_start: Vec<u32>,
    in_edges: Vec<Index>,
    out_start: Vec<u32>,
    out_edges: Vec<Index>,
}

impl Graph {
    /// The graph in which node `i` takes the values of `sources[i]`, in that order.
    pub fn new(sources: &[Vec<Index>]) -> Self {
        let mut in_start = vec![0];
        let mut in_edges = Vec::new();
        let mut out_start = vec![0_u32; sources.len() + 1];
        for from in sources {
            in_edges.extend_from_slice(from);
            in_start.push(u32::try_from(in_edges.len()).expect("edges are counted in 32 bits"));
            from.iter().for_each(|&from| out_start[from as usize + 1] += 1);
        }
        for index in 1..out_start.len() {
            out_start[index] += out_start[index - 1];
        }
        let mut out_edges = vec![0; in_edges.len()];
        let mut next = out_start.clone();
        for (to, from) in (0..).zip(sources) {
            for &from in from {
                let slot = &mut next[from as usize];
                out_edges[*slot as usize] = to;
                *slot += 1;
            }
        }
        Self { in_start, in_edges, out_start, out_edges }
    }

    /// One node after the other.
    pub fn chain(nodes: u32) -> Self {
        let sources: Vec<_> =
            (0..nodes).map(|node| node.checked_sub(1).into_iter().collect()).collect();
        Self::new(&sources)
    }

    /// One node, then `width` nodes that read it, then one that reads them all.
    pub fn fan(width: u32) -> Self {
        let mut sources = vec![Vec::new()];
        sources.extend((0..width).map(|_| vec![0]));
        sources.push((1..=width).collect());
        Self::new(&sources)
    }

    /// `layers` of `width` nodes. Each node reads the node above it, so that only the last layer has
    /// no readers, and two random others of the layer above; the first few read a third one, until
    /// there are `edges` connections.
    pub fn layered(layers: u32, width: u32, edges: usize) -> Self {
        let mut random = Random(0x5DEE_CE66);
        let mut sources: Vec<Vec<Index>> = vec![Vec::new(); width as usize];
        let mut extra = edges - (layers as usize - 1) * width as usize * 3;
        for layer in 1..layers {
            let above = (layer - 1) * width;
            for node in 0..width {
                let count = if extra > 0 { 4 } else { 3 };
                extra = extra.saturating_sub(1);
                let mut from = vec![above + node];
                while from.len() < count {
                    let other = above + random.below(width);
                    if !from.contains(&other) {
                        from.push(other);
                    }
                }
                sources.push(from);
            }
        }
        Self::new(&sources)
    }

    /// Ten nodes: two diamonds that overlap, and a tail.
    ///
    /// ```text
    /// 0 → 1, 2, 3;  1, 2 → 4;  2, 3 → 5;  4, 5 → 6;  6 → 7, 8;  7, 8 → 9
    /// ```
    pub fn diamond() -> Self {
        Self::new(&[
            vec![],
            vec![0],
            vec![0],
            vec![0],
            vec![1, 2],
            vec![2, 3],
            vec![4, 5],
            vec![6],
            vec![6],
            vec![7, 8],
        ])
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.in_start.len() - 1
    }

    /// How many connections there are.
    pub fn edge_count(&self) -> usize {
        self.in_edges.len()
    }

    /// All nodes, each after those that it reads.
    pub fn nodes(&self) -> std::ops::Range<Index> {
        0..u32::try_from(self.len()).expect("nodes are counted in 32 bits")
    }

    /// The nodes that a node reads.
    pub fn sources(&self, node: Index) -> &[Index] {
        range(&self.in_start, &self.in_edges, node)
    }

    /// The nodes that read a node.
    pub fn targets(&self, node: Index) -> &[Index] {
        range(&self.out_start, &self.out_edges, node)
    }

    /// The nodes that nothing reads.
    pub fn sinks(&self) -> impl Iterator<Item = Index> {
        self.nodes().filter(|&node| self.targets(node).is_empty())
    }

    /// Every node's value when each adds one to the sum of what it reads, and nodes that read
    /// nothing read `seed`: computed one after the other, without any engine.
    pub fn expected(&self, seed: u64) -> Vec<u64> {
        let mut values = vec![0_u64; self.len()];
        for node in self.nodes() {
            let sources = self.sources(node);
            let sum = if sources.is_empty() {
                seed
            } else {
                sources.iter().fold(0, |sum, &from| values[from as usize].wrapping_add(sum))
            };
            values[node as usize] = sum.wrapping_add(1);
        }
        values
    }

    /// The workflow file with this graph. Nodes with up to one connection are of the first type, with
    /// one port; those with up to four of the second, with a port for each; others of the third, with
    /// all connections on one port.
    pub fn to_json(&self, [one, few, many]: [&str; 3]) -> String {
        let mut json = String::from("{\"nodes\":[");
        for node in self.nodes() {
            let node_type = match self.sources(node).len() {
                0 | 1 => one,
                count if count <= PORTS.len() => few,
                _ => many,
            };
            let comma = if node == 0 { "" } else { "," };
            write!(json, "{comma}\n{{\"id\":\"n{node}\",\"node_type\":\"{node_type}\"}}")
                .expect("writing to a string");
        }
        json.push_str("],\"connections\":[");
        let mut comma = "";
        for node in self.nodes() {
            let sources = self.sources(node);
            for (position, from) in sources.iter().enumerate() {
                let port = if sources.len() <= PORTS.len() { PORTS[position] } else { MANY_PORT };
                write!(
                    json,
                    "{comma}\n{{\"from_node\":\"n{from}\",\"from_port\":\"out\",\
                     \"to_node\":\"n{node}\",\"to_port\":\"{port}\"}}"
                )
                .expect("writing to a string");
                comma = ",";
            }
        }
        json.push_str("]}");
        json
    }
}

/// The input ports of a node with few connections.
pub const PORTS: [&str; 4] = ["a", "b", "c", "d"];

/// The input port of a node with many connections.
pub const MANY_PORT: &str = "all";

fn range<'a>(start: &[u32], edges: &'a [Index], node: Index) -> &'a [Index] {
    let node = node as usize;
    &edges[start[node] as usize..start[node + 1] as usize]
}

/// A linear congruential generator: the same graph in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let high = self.0 >> 33;
        u32::try_from(high % u64::from(bound)).expect("less than the bound")
    }
}
