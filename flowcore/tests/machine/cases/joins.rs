//! Which nodes run.

use flowcore::{Join, OnError};

use crate::stage::{check, inline, node, workflow};

#[test]
fn joins() {
    // `a` and `b` give port `x` or another one, or nothing; `c` reads their port `x`.
    let cases = [
        (Join::All, "a ok x", "a Succeeded, b Running, c Pending; Running"),
        (Join::All, "a ok x, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::All, "a ok x, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::All, "a ok x, b fails", "a Succeeded, b Failed, c Skipped; Succeeded"),
        (Join::All, "a ok y", "a Succeeded, b Running, c Pending; Running"),
        (Join::All, "a ok y, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::All, "a fails, b fails", "a Failed, b Failed, c Skipped; Succeeded"),
        (Join::Any, "a ok x", "a Succeeded, b Running, c Pending; Running"),
        (Join::Any, "a ok x, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::Any, "a ok x, b fails", "a Succeeded, b Failed, c Running; Running"),
        (Join::Any, "a ok y, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::Any, "a ok y, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::Any, "a fails, b fails", "a Failed, b Failed, c Skipped; Succeeded"),
        (Join::First, "a ok y", "a Succeeded, b Running, c Pending; Running"),
        (Join::First, "a fails, b ok x", "a Failed, b Succeeded, c Running; Running"),
        (Join::First, "a ok y, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
        (Join::First, "a ok y, b ok y", "a Succeeded, b Succeeded, c Skipped; Succeeded"),
        (Join::First, "a ok x", "a Succeeded, b Running, c Running; Running"),
        (Join::First, "a ok x, b stopped", "a Succeeded, b Cancelled, c Running; Running"),
        (Join::First, "a ok x, b ok x", "a Succeeded, b Succeeded, c Running; Running"),
    ];
    for (join, steps, statuses) in cases {
        let careless = |id| node(id).on_error(OnError::ContinueOnError);
        let nodes = [careless("a"), careless("b"), node("c").join(join)];
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

#[test]
fn a_connection_with_half_its_ports_is_live_when_the_port_is() {
    let flow = workflow([node("a"), node("b")], &["a.x > b"]);
    check(&flow, "a ok x", "a Succeeded, b Running; Running");
    check(&flow, "a ok y", "a Succeeded, b Skipped; Succeeded");
}

#[test]
fn what_is_skipped_makes_its_connections_dead() {
    let nodes = [node("d").join(Join::Any), node("c"), node("b"), node("a")];
    let flow = workflow(nodes, &["a.x > b", "b > c", "c > d", "a.y > d"]);
    check(&flow, "a ok y", "d Running, c Skipped, b Skipped, a Succeeded; Running");
    check(&flow, "a ok", "d Skipped, c Skipped, b Skipped, a Succeeded; Succeeded");
}

#[test]
fn two_connections_of_the_same_nodes_count_as_two() {
    let flow = |join| workflow([node("a"), node("b").join(join)], &["a.x > b.a", "a.y > b.b"]);
    check(&flow(Join::All), "a ok x", "a Succeeded, b Skipped; Succeeded");
    check(&flow(Join::All), "a ok x y", "a Succeeded, b Running; Running");
    check(&flow(Join::Any), "a ok y", "a Succeeded, b Running; Running");
    check(&flow(Join::First), "a ok y", "a Succeeded, b Running; Running");
}

#[test]
fn an_expression_makes_an_order_connection() {
    let reads = || node("b").config_value("value", "{{ nodes.a.x | default(1) }}");
    let flow = workflow([node("a"), reads()], &[]);
    check(&flow, "", "a Running, b Pending; Running");
    check(&flow, "a ok y", "a Succeeded, b Running; Running");
    // A written connection stands for it.
    let written = workflow([node("a"), reads()], &["a.error > b"]);
    check(&written, "a fails", "a Failed, b Running; Running");
    check(&written, "a ok x", "a Succeeded, b Skipped; Succeeded");
}

#[test]
fn at_most_so_many_nodes_run_and_in_file_order() {
    let mut flow = workflow([node("c"), node("b"), node("a"), inline("d")], &["b > d"]);
    flow.settings.max_parallel_nodes = Some(2);
    check(&flow, "", "c Running, b Running, a Pending, d Pending; Running");
    check(&flow, "b ok", "c Running, b Succeeded, a Running, d Pending; Running");
    check(&flow, "b ok, c ok, d ok", "c Succeeded, b Succeeded, a Running, d Succeeded; Running");
    flow.settings.max_parallel_nodes = Some(1);
    check(&flow, "", "c Running, b Pending, a Pending, d Pending; Running");
}
