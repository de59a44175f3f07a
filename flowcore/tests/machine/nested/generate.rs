//! Random cases that shrink.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::tree::{Body, Case, Kind, Node, Policy};

/// Bodies up to three deep. Delays are even and limits odd, so they never end at the same moment.
pub(super) fn cases() -> impl Strategy<Value = Case> {
    let cancel = weighted(0.3, 1..90_000_i64);
    let again = weighted(0.3, 1..60_000_i64);
    (body(3), cancel, again, any::<u64>()).prop_map(|(mut body, cancel, again, seed)| {
        let mut next = 0;
        number(&mut body, &mut next);
        Case { body, cancel, again, seed }
    })
}

fn body(depth: u32) -> BoxedStrategy<Body> {
    let size = if depth > 1 { 1..=3_usize } else { 1..=2 };
    (vec(node(depth), size), any::<bool>())
        .prop_map(|(nodes, is_chain)| Body { nodes, is_chain })
        .boxed()
}

fn node(depth: u32) -> BoxedStrategy<Node> {
    let kind = if depth == 0 { leaf().boxed() } else { control(depth - 1) };
    kind.prop_map(|kind| Node { id: String::new(), kind }).boxed()
}

fn weighted_undo() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.5)
}

fn leaf() -> impl Strategy<Value = Kind> {
    prop_oneof![
        5 => weighted_undo().prop_map(|undo| Kind::Leaf { undo }),
        1 => (1..20_i64).prop_map(|half| Kind::Delay { millis: half * 2 }),
    ]
}

fn control(depth: u32) -> BoxedStrategy<Kind> {
    let policy = prop_oneof![Just(Policy::Fail), Just(Policy::Skip), Just(Policy::Collect)];
    let each = (
        1..=3_u32,
        1..=3_u32,
        policy,
        weighted(0.2, (1..30_i64).prop_map(|half| half * 2 + 1)),
        body(depth),
    )
        .prop_map(|(items, at_once, policy, limit_ms, body)| Kind::Each {
            items,
            at_once,
            policy,
            limit_ms,
            body,
        });
    let repeat = (1..=3_u32, body(depth)).prop_map(|(times, body)| Kind::Loop { times, body });
    let race = vec(body(depth), 1..=3).prop_map(|branches| Kind::Race { branches });
    let part = |depth| weighted(0.6, body(depth));
    let trial = (body(depth), part(depth), part(depth))
        .prop_map(|(body, catch, finally)| Kind::Try { body, catch, finally });
    let call = body(depth).prop_map(|body| Kind::Call { body });
    prop_oneof![4 => leaf(), 2 => each, 1 => repeat, 1 => race, 2 => trial, 2 => call].boxed()
}

/// Ids are unique in the whole case.
fn number(body: &mut Body, next: &mut u32) {
    for node in &mut body.nodes {
        node.id = format!("n{next}");
        *next += 1;
        match &mut node.kind {
            Kind::Leaf { .. } | Kind::Delay { .. } => {}
            Kind::Each { body, .. } | Kind::Loop { body, .. } | Kind::Call { body } => {
                number(body, next);
            }
            Kind::Race { branches } => branches.iter_mut().for_each(|body| number(body, next)),
            Kind::Try { body, catch, finally } => {
                number(body, next);
                catch.iter_mut().chain(finally).for_each(|body| number(body, next));
            }
        }
    }
}
