//! SVG: a picture that browsers show, without any program beside.

use std::cmp::Ordering;
use std::fmt::Write;

use super::layout::{Layout, Link, Point, Size, layout};
use super::{Drawing, DrawnEdge, DrawnNode, EdgeKind, Group};

const MARGIN: f64 = 24.0;
const NODE_HEIGHT: f64 = 48.0;
/// The space around what stands inside of a node.
const PADDING: f64 = 16.0;
/// The height of the label of one of several parts inside of a node.
const PART_LABEL: f64 = 18.0;
/// The space between two layers, without labels.
const LAYER_SPACE: f64 = 64.0;
/// The height of a line of a label.
const LABEL_LINE: f64 = 13.0;
/// How much wider the name of a node is than other text.
const BOLDER: f64 = 1.15;
/// The longest text in a node or a label, in characters.
const MOST_LETTERS: usize = 36;

const STYLE: &str = "\
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #24292f; }
.name { font-weight: 600; font-size: 13px; }
.type { fill: #57606a; font-size: 11px; }
.node rect { fill: #f6f8fa; stroke: #8c959f; }
.edge { fill: none; stroke: #57606a; stroke-width: 1.3; marker-end: url(#arrow); }
.label { fill: #57606a; font-size: 11px; text-anchor: middle; stroke: #fff; stroke-width: 4; \
paint-order: stroke; }
.implied { stroke-dasharray: 5 4; }
.error { stroke: #cf222e; marker-end: url(#error-arrow); }
.error-label { fill: #cf222e; }
";

/// The drawing as an SVG document.
pub(super) fn write(drawing: &Drawing) -> String {
    let placed = place(&drawing.whole);
    let mut text = head(drawing, &placed.places);
    write_group(&mut text, &drawing.whole, &placed);
    text.push_str("</svg>\n");
    text
}

/// Where the nodes and connections of a group go, and those inside of its nodes.
struct Placed {
    sizes: Vec<Size>,
    places: Layout,
    /// What stands inside of each node: how far below its upper side, and where.
    inside: Vec<Vec<(f64, Placed)>>,
}

fn place(group: &Group) -> Placed {
    let mut sizes = Vec::with_capacity(group.nodes.len());
    let mut inside = Vec::with_capacity(group.nodes.len());
    for node in &group.nodes {
        let (size, held) = place_inside(node);
        sizes.push(size);
        inside.push(held);
    }
    let links: Vec<Link> = group.edges.iter().map(link).collect();
    let places = layout(&sizes, &links);
    Placed { sizes, places, inside }
}

/// The size of a node, and what stands inside of it: one below the other.
fn place_inside(node: &DrawnNode) -> (Size, Vec<(f64, Placed)>) {
    let mut size = size(node);
    let mut inside = Vec::with_capacity(node.holds.len());
    for held in &node.holds {
        if held.label.is_some() {
            size.height += PART_LABEL;
        }
        let placed = place(held);
        inside.push((size.height, placed));
        let (_, Placed { places, .. }) = &inside[inside.len() - 1];
        size.width = size.width.max(places.width + 2.0 * PADDING);
        size.height += places.height + PADDING;
    }
    (size, inside)
}

fn write_group(text: &mut String, group: &Group, placed: &Placed) {
    let routes = &placed.places.routes;
    for (edge, route) in group.edges.iter().zip(routes) {
        let class = match edge.kind {
            EdgeKind::Data | EdgeKind::Order => "edge",
            EdgeKind::Error => "edge error",
            EdgeKind::Implied => "edge implied",
        };
        line(text, format_args!("<path class=\"{class}\" d=\"{}\"/>", curve(route)));
    }
    let degrees = Degrees::new(group);
    for (edge, route) in group.edges.iter().zip(routes) {
        write_labels(text, edge, route, degrees.label_place(edge, route));
    }
    for (index, node) in group.nodes.iter().enumerate() {
        let corner = placed.places.nodes[index];
        write_node(text, node, placed.sizes[index], corner);
        for (held, (top, placed)) in node.holds.iter().zip(&placed.inside[index]) {
            let (x, y) = (corner.x + PADDING, corner.y + top);
            if let Some(label) = &held.label {
                let (y, label) = (y - 6.0, escape(label));
                line(
                    text,
                    format_args!("<text class=\"type\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>"),
                );
            }
            line(text, format_args!("<g transform=\"translate({x:.1} {y:.1})\">"));
            write_group(text, held, placed);
            text.push_str("</g>\n");
        }
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to memory cannot fail");
}

fn head(drawing: &Drawing, places: &Layout) -> String {
    let (width, height) = (places.width + 2.0 * MARGIN, places.height + 2.0 * MARGIN);
    let title = escape(&drawing.title);
    let arrow = |id: &str, fill: &str| {
        format!(
            "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
             markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 8 4 0 8z\" fill=\"{fill}\"/></marker>"
        )
    };
    let arrows = arrow("arrow", "#57606a") + &arrow("error-arrow", "#cf222e");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"{x:.0} {x:.0} {width:.0} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<defs>{arrows}</defs>\n\
         <rect x=\"{x:.0}\" y=\"{x:.0}\" width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        x = -MARGIN,
    )
}

fn size(node: &DrawnNode) -> Size {
    let [name, kind] = node.lines().map(|line| text_width(&shorten(&line)));
    Size { width: (name * BOLDER).max(kind).max(60.0) + 24.0, height: NODE_HEIGHT }
}

fn link(edge: &DrawnEdge) -> Link {
    let widest = widest_label(edge);
    let space = if widest > 0.0 { widest + 48.0 } else { 0.0 };
    Link { from: edge.from, to: edge.to, space: space.max(LAYER_SPACE) }
}

fn widest_label(edge: &DrawnEdge) -> f64 {
    edge.labels.iter().map(|label| text_width(&shorten(label))).fold(0.0, f64::max)
}

/// How many connections leave and enter each node.
struct Degrees {
    leaving: Vec<usize>,
    entering: Vec<usize>,
}

impl Degrees {
    fn new(group: &Group) -> Self {
        let none = vec![0; group.nodes.len()];
        let mut degrees = Self { leaving: none.clone(), entering: none };
        for edge in &group.edges {
            degrees.leaving[edge.from] += 1;
            degrees.entering[edge.to] += 1;
        }
        degrees
    }

    /// How far along its first curve the label of a connection stands: at the end where fewer
    /// others are.
    fn label_place(&self, edge: &DrawnEdge, route: &[Point]) -> f64 {
        let ends_at_bend = route.len() > 2;
        let entering = if ends_at_bend { 1 } else { self.entering[edge.to] };
        match self.leaving[edge.from].cmp(&entering) {
            Ordering::Less => 0.3,
            Ordering::Equal => 0.5,
            Ordering::Greater => 0.7,
        }
    }
}

/// Roughly: the real font is not known.
fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if u32::from(c) < 0x1100 { 7.2 } else { 13.0 }).sum()
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= MOST_LETTERS {
        return text.to_owned();
    }
    text.chars().take(MOST_LETTERS - 1).chain(['…']).collect()
}

/// A smooth line through the points, level at each.
fn curve(route: &[Point]) -> String {
    let mut path = format!("M{:.1} {:.1}", route[0].x, route[0].y);
    for step in route.windows(2) {
        let (from, to) = (step[0], step[1]);
        let part = if from.y == to.y {
            format!("H{:.1}", to.x)
        } else {
            let middle = f64::midpoint(from.x, to.x);
            format!("C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}", from.y, to.y, to.x, to.y)
        };
        path.push_str(&part);
    }
    path
}

/// Writes the labels of a connection, `place` of the way along its first curve.
fn write_labels(text: &mut String, edge: &DrawnEdge, route: &[Point], place: f64) {
    let (from, to) = (route[0], route[1]);
    // They stay clear of the nodes at both ends.
    let room = (to.x - from.x - widest_label(edge)).max(0.0) / 2.0;
    let x = f64::midpoint(from.x, to.x) + (place - 0.5) * (to.x - from.x).min(2.0 * room);
    let middle = from.y + (to.y - from.y) * place * place * (3.0 - 2.0 * place);
    let class = if edge.kind == EdgeKind::Error { "label error-label" } else { "label" };
    let first = middle + 4.0 - LABEL_LINE * (edge.labels.len().saturating_sub(1)) as f64 / 2.0;
    for (index, label) in edge.labels.iter().enumerate() {
        let y = first + LABEL_LINE * index as f64;
        let label = escape(&shorten(label));
        line(
            text,
            format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{label}</text>"),
        );
    }
}

fn write_node(text: &mut String, node: &DrawnNode, size: Size, corner: Point) {
    let lines = node.lines();
    let tip = escape(&lines.join("\n"));
    let [name, kind] = lines.map(|line| escape(&shorten(&line)));
    let (x, y) = (corner.x, corner.y);
    line(
        text,
        format_args!(
            "<g class=\"node\"><title>{tip}</title>\
             <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"8\"/>\
             <text class=\"name\" x=\"{left:.1}\" y=\"{:.1}\">{name}</text>\
             <text class=\"type\" x=\"{left:.1}\" y=\"{:.1}\">{kind}</text></g>",
            size.width,
            size.height,
            y + 20.0,
            y + 37.0,
            left = x + 12.0,
        ),
    );
}

/// For text and attributes; characters that XML does not have are replaced.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
        escaped
    })
}
