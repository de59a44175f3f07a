//! Case by case, as tables.

use flowcore::Join;

use crate::stage::{check, node, workflow};

#[test]
fn joins() {
    // `a` and `b` succeed, on port `x` or another one; `c` reads their port `x`.
    let cases = [
        (Join::All, "a ok x", "a Succeeded, b Running, c Pending; Running"),
        (Join::All, "a ok x, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::All, "a ok x, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::All, "a ok y", "a Succeeded, b Running, c Pending; Running"),
        (Join::All, "a ok y, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::Any, "a ok x", "a Succeeded, b Running, c Pending; Running"),
        (Join::Any, "a ok x, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::Any, "a ok y, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::Any, "a ok y, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::First, "a ok y", "a Succeeded, b Running, c Pending; Running"),
        (Join::First, "a ok y, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::First, "a ok y, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::First, "a ok x", "a Succeeded, b Running, c Running; Running"),
        (Join::First, "a ok x, b stopped", "a Succeeded, b Cancelled, c Running; Running"),
        (Join::First, "a ok x, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
    ];
    for (join, steps, statuses) in cases {
        let nodes = [node("a"), node("b"), node("c").join(join)];
        check(&workflow(nodes, &["a.x > c.a", "b.x > c.b"]), steps, statuses);
    }
}

#[test]
fn a_join_without_connections_runs() {
    for join in [Join::All, Join::Any, Join::First] {
        check(&workflow([node("a").join(join)], &[]), "a ok x", "a Succeeded; Succeeded");
    }
}

#[test]
fn a_connection_without_a_port_is_live_when_its_source_succeeded() {
    let flow = workflow([node("a"), node("b")], &["a > b"]);
    check(&flow, "a ok", "a Succeeded, b Running; Running");
    check(&flow, "a fails", "a Failed, b Pending; Failed");
}
