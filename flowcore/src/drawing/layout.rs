//! Where nodes and connections go: in layers from left to right.
//!
//! A node's layer is the longest way to it; within a layer nodes are ordered by where their
//! neighbours are, and then moved as near to them as the others allow.

/// How often the order within the layers is improved; more hardly changes anything.
const ORDER_SWEEPS: usize = 8;
/// How often nodes are moved towards their neighbours.
const MOVE_SWEEPS: usize = 6;
/// The most bends: beyond them connections cross the layers straight, so that a connection over
/// thousands of layers does not cost thousands of bends.
const MOST_BENDS: usize = 20_000;
/// The space between two nodes of a layer.
const NODE_GAP: f64 = 24.0;
/// The height of the lane of a connection that passes a layer.
const LANE: f64 = 14.0;

/// A node to place: its width and height.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A connection to place.
#[derive(Clone, Copy)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) to: usize,
    /// The least space between its source's layer and the next.
    pub(super) space: f64,
}

/// A point of a drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Where everything goes.
pub(super) struct Layout {
    /// The left upper corner of each node.
    pub(super) nodes: Vec<Point>,
    /// The points of each connection, from its source's right side to its target's left side.
    pub(super) routes: Vec<Vec<Point>>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Places the nodes and connections of an acyclic graph.
pub(super) fn layout(sizes: &[Size], links: &[Link]) -> Layout {
    let mut grid = Grid::new(sizes, links);
    grid.order();
    grid.move_to_neighbours();
    grid.finish(sizes, links)
}

/// A node, or the bend of a connection that passes a layer.
struct Item {
    layer: usize,
    height: f64,
    /// The vertical middle.
    y: f64,
    before: Vec<usize>,
    after: Vec<usize>,
}

/// The nodes, then the bends, and their order within the layers.
struct Grid {
    items: Vec<Item>,
    layers: Vec<Vec<usize>>,
    /// The bends of each connection.
    bends: Vec<Vec<usize>>,
}

impl Grid {
    fn new(sizes: &[Size], links: &[Link]) -> Self {
        let layer_of = layers(sizes.len(), links);
        let item = |layer, height| Item { layer, height, y: 0.0, before: vec![], after: vec![] };
        let mut items: Vec<Item> =
            sizes.iter().zip(&layer_of).map(|(size, layer)| item(*layer, size.height)).collect();
        let mut bends = Vec::with_capacity(links.len());
        for link in links {
            let passed = layer_of[link.from] + 1..layer_of[link.to];
            let room = items.len() + passed.len() <= sizes.len() + MOST_BENDS;
            let first = items.len();
            items.extend(passed.filter(|_| room).map(|layer| item(layer, LANE)));
            let link_bends: Vec<usize> = (first..items.len()).collect();
            let way = [link.from].into_iter().chain(link_bends.iter().copied()).chain([link.to]);
            let way: Vec<usize> = way.collect();
            for step in way.windows(2) {
                items[step[0]].after.push(step[1]);
                items[step[1]].before.push(step[0]);
            }
            bends.push(link_bends);
        }
        let mut layers = vec![Vec::new(); layer_of.iter().max().map_or(0, |last| last + 1)];
        for (index, item) in items.iter().enumerate() {
            layers[item.layer].push(index);
        }
        Self { items, layers, bends }
    }

    /// Orders each layer by the mean position of the neighbours, forth and back.
    fn order(&mut self) {
        let mut position = vec![0.0; self.items.len()];
        let number = |layer: &[usize], position: &mut [f64]| {
            layer.iter().enumerate().for_each(|(place, &item)| position[item] = place as f64);
        };
        self.layers.iter().for_each(|layer| number(layer, &mut position));
        for sweep in 0..ORDER_SWEEPS {
            let forth = sweep % 2 == 0;
            for index in sweep_order(self.layers.len(), forth) {
                let layer = &mut self.layers[index];
                let wish = |item: usize| {
                    let neighbours = self.items[item].neighbours(forth);
                    mean(neighbours.iter().map(|&other| position[other])).unwrap_or(position[item])
                };
                let mut wishes: Vec<(f64, usize)> =
                    layer.iter().map(|&item| (wish(item), item)).collect();
                wishes.sort_by(|a, b| a.0.total_cmp(&b.0));
                layer.clear();
                layer.extend(wishes.iter().map(|(_, item)| *item));
                number(layer, &mut position);
            }
        }
    }

    /// Moves the items of each layer as near to their neighbours as the others allow.
    fn move_to_neighbours(&mut self) {
        for layer in 0..self.layers.len() {
            self.place(layer, |_, _| None);
        }
        for sweep in 0..MOVE_SWEEPS {
            let forth = sweep % 2 == 0;
            for layer in sweep_order(self.layers.len(), forth) {
                self.place(layer, |items, item| {
                    mean(items[item].neighbours(forth).iter().map(|&other| items[other].y))
                });
            }
        }
    }

    /// Gives each item of a layer the place it wishes, or the nearest that keeps the order and the
    /// gaps: the least squares, by pooling those that push each other.
    fn place(&mut self, layer: usize, wish: impl Fn(&[Item], usize) -> Option<f64>) {
        let layer = &self.layers[layer];
        let mut offset = 0.0;
        let mut offsets = Vec::with_capacity(layer.len());
        let mut pools: Vec<(f64, usize)> = Vec::with_capacity(layer.len());
        for (place, &item) in layer.iter().enumerate() {
            if place > 0 {
                offset += gap(&self.items[layer[place - 1]], &self.items[item]);
            }
            offsets.push(offset);
            let mut pool = (wish(&self.items, item).unwrap_or(self.items[item].y) - offset, 1);
            while let Some(last) = pools.pop_if(|last| last.0 > pool.0) {
                let count = last.1 + pool.1;
                pool.0 = (last.0 * last.1 as f64 + pool.0 * pool.1 as f64) / count as f64;
                pool.1 = count;
            }
            pools.push(pool);
        }
        let places = pools.iter().flat_map(|(y, count)| std::iter::repeat_n(*y, *count));
        for ((&item, offset), y) in layer.iter().zip(offsets).zip(places) {
            self.items[item].y = y + offset;
        }
    }

    fn finish(self, sizes: &[Size], links: &[Link]) -> Layout {
        let columns = self.columns(sizes, links);
        let top = |item: &Item| item.y - item.height / 2.0;
        let highest = self.items.iter().map(top).fold(f64::INFINITY, f64::min);
        let lowest = self.items.iter().map(|i| i.y + i.height / 2.0).fold(highest, f64::max);
        let up = if highest.is_finite() { highest } else { 0.0 };
        let at = |x: f64, item: usize| Point { x, y: self.items[item].y - up };
        let route = |(link, bends): (&Link, &Vec<usize>)| {
            let from = columns[self.items[link.from].layer].0 + sizes[link.from].width;
            let to = columns[self.items[link.to].layer].0;
            let passed = bends.iter().flat_map(|&bend| {
                let (left, width) = columns[self.items[bend].layer];
                [at(left, bend), at(left + width, bend)]
            });
            let ends = (at(from, link.from), at(to, link.to));
            [ends.0].into_iter().chain(passed).chain([ends.1]).collect()
        };
        let corner = |index: usize, item: &Item| Point {
            x: columns[item.layer].0,
            y: at(0.0, index).y - item.height / 2.0,
        };
        let nodes = self.items.iter().take(sizes.len()).enumerate();
        Layout {
            nodes: nodes.map(|(index, item)| corner(index, item)).collect(),
            routes: links.iter().zip(&self.bends).map(route).collect(),
            width: columns.last().map_or(0.0, |(left, width)| left + width),
            height: if highest.is_finite() { lowest - highest } else { 0.0 },
        }
    }

    /// The left side and the width of each layer.
    fn columns(&self, sizes: &[Size], links: &[Link]) -> Vec<(f64, f64)> {
        let mut widths = vec![0.0_f64; self.layers.len()];
        let mut spaces = vec![0.0_f64; self.layers.len()];
        for (size, item) in sizes.iter().zip(&self.items) {
            widths[item.layer] = widths[item.layer].max(size.width);
        }
        for link in links {
            let layer = self.items[link.from].layer;
            // The label starts where the node ends, which may be before its column does.
            let short = widths[layer] - sizes[link.from].width;
            spaces[layer] = spaces[layer].max(link.space - short);
        }
        let mut left = 0.0;
        let columns = widths.iter().zip(spaces).map(|(&width, space)| {
            let column = (left, width);
            left += width + space;
            column
        });
        columns.collect()
    }
}

impl Item {
    fn neighbours(&self, before: bool) -> &[usize] {
        if before { &self.before } else { &self.after }
    }
}

/// How far apart the middles of two items are at least.
fn gap(above: &Item, below: &Item) -> f64 {
    let lanes = above.height <= LANE && below.height <= LANE;
    (above.height + below.height) / 2.0 + if lanes { 0.0 } else { NODE_GAP }
}

fn sweep_order(count: usize, forth: bool) -> Vec<usize> {
    if forth { (0..count).collect() } else { (0..count).rev().collect() }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// The length of the longest way to each node; a node that waits for nothing stands right before
/// the first that waits for it.
fn layers(count: usize, links: &[Link]) -> Vec<usize> {
    let mut after = vec![Vec::new(); count];
    let mut waits = vec![0_usize; count];
    for link in links {
        after[link.from].push(link.to);
        waits[link.to] += 1;
    }
    let is_source: Vec<bool> = waits.iter().map(|&waits| waits == 0).collect();
    let mut layers = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|&node| waits[node] == 0).collect();
    while let Some(node) = ready.pop() {
        for &next in &after[node] {
            layers[next] = layers[next].max(layers[node] + 1);
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(next);
            }
        }
    }
    for node in (0..count).filter(|&node| is_source[node]) {
        let first = after[node].iter().map(|&next| layers[next]).min();
        layers[node] = first.map_or(0, |first| first - 1);
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: usize, to: usize) -> Link {
        Link { from, to, space: 60.0 }
    }

    fn place(count: usize, links: &[Link]) -> Layout {
        layout(&vec![Size { width: 100.0, height: 40.0 }; count], links)
    }

    fn overlapping(layout: &Layout) -> usize {
        let mut nodes = layout.nodes.clone();
        nodes.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.y.total_cmp(&b.y)));
        let near = |pair: &&[Point]| pair[0].x == pair[1].x && pair[1].y - pair[0].y < 40.0;
        nodes.windows(2).filter(near).count()
    }

    #[test]
    fn a_diamond_is_symmetric() {
        let layout = place(4, &[link(0, 1), link(0, 2), link(1, 3), link(2, 3)]);
        let ys: Vec<f64> = layout.nodes.iter().map(|node| node.y).collect();
        assert_eq!(ys, [32.0, 0.0, 64.0, 32.0]);
        assert_eq!((layout.width, layout.height), (420.0, 104.0));
    }

    #[test]
    fn connections_pass_beside_the_nodes() {
        let layout = place(3, &[link(0, 1), link(1, 2), link(0, 2)]);
        assert_eq!(layout.routes[2].len(), 4);
        let (y, node) = (layout.routes[2][1].y, layout.nodes[1].y);
        assert!(y < node || y > node + 40.0, "{y} is within {node}");
    }

    #[test]
    fn a_source_stands_before_its_first_target() {
        let layout = place(4, &[link(0, 1), link(1, 2), link(3, 2)]);
        assert_eq!(layout.nodes[3].x, layout.nodes[1].x);
    }

    #[test]
    fn large_graphs_are_placed_without_overlap() {
        assert!(place(0, &[]).nodes.is_empty());
        let fan: Vec<Link> = (1..1000).flat_map(|node| [link(0, node), link(node, 1000)]).collect();
        assert_eq!(overlapping(&place(1001, &fan)), 0);
        // Every tenth node of a chain is read by all behind it: far more than the most bends.
        let chain = (1..2000).map(|node| link(node - 1, node));
        let readers =
            (0..2000).step_by(10).flat_map(|from| (from + 2..2000).map(move |to| (from, to)));
        let readers = readers.filter(|(_, to)| to % 7 == 0).map(|(from, to)| link(from, to));
        let links: Vec<Link> = chain.chain(readers).collect();
        assert_eq!(overlapping(&place(2000, &links)), 0);
    }
}
