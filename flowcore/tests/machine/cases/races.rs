//! `join: first` and its losers.

use flowcore::{Join, NodeSpec, OnError, RetryPolicy, Value, Workflow};

use crate::stage::{Stage, check, check_wishes, inline, node, workflow};

fn first(id: &str) -> NodeSpec {
    node(id).join(Join::First)
}

#[test]
fn losers_are_told_to_stop_whatever_they_do() {
    let retry = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    let nodes = || [node("a"), node("b").retry(retry.clone()), first("c")];
    let flow = workflow(nodes(), &["a > c", "b > c"]);
    check_wishes(&flow, "a ok", "cancel b 1: lost_race, start c 1");
    check(&flow, "a ok, b stopped", "a Succeeded, b Cancelled, c Running; Running");
    check_wishes(&flow, "b is busy, a ok", "clear retry of b 1, start c 1");
    check(&flow, "b is busy, a ok", "a Succeeded, b Cancelled, c Running; Running");
    check(
        &flow,
        "b is busy, b is due, a ok, b is busy",
        "a Succeeded, b Cancelled 2, c Running; Running",
    );
    // Waiting in line.
    let mut narrow = workflow(nodes(), &["a > c", "b > c"]);
    narrow.settings.max_parallel_nodes = Some(1);
    check(&narrow, "a ok", "a Succeeded, b Running, c Pending; Running");
    let mut behind =
        workflow([node("a"), first("c"), node("b"), node("d")], &["a > c", "d > b", "b > c"]);
    behind.settings.max_parallel_nodes = Some(2);
    check(&behind, "a ok", "a Succeeded, c Running, b Cancelled, d Running; Running");
}

#[test]
fn a_late_success_of_a_loser_counts_and_changes_nothing() {
    let flow = workflow([node("a"), node("b"), first("c")], &["a.x > c.a", "b.x > c.a"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok x, b ok x");
    assert_eq!(stage.statuses(), "a Succeeded, b Succeeded, c Running; Running");
    assert_eq!(stage.input("c", 0), Some(Value::from("a.x")));
}

#[test]
fn a_loser_that_fails_because_it_was_told_to_stop_is_cancelled() {
    let retry = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    let loser = node("b").retry(retry).on_error(OnError::StopWorkflow);
    let flow = workflow([node("a"), loser, first("c")], &["a > c", "b > c"]);
    for end in ["b fails", "b is busy", "b is late", "b panics", "b stopped"] {
        let steps = format!("a ok, {end}");
        check(&flow, &steps, "a Succeeded, b Cancelled, c Running; Running");
    }
}

#[test]
fn a_node_that_is_good_for_something_else_is_no_loser() {
    let reads = |id: &str| node(id).config_value("value", "{{ nodes.b.x }}");
    let with_outputs = || {
        let mut flow = workflow([node("a"), node("b"), first("c")], &["a > c", "b > c"]);
        flow.add_output("o", "{{ nodes.b.x }}").unwrap();
        flow
    };
    let race = ["a > c", "b > c"];
    let and = |more: &'static str| [race[0], race[1], more];
    let four = |last: NodeSpec| [node("a"), node("b"), first("c"), last];
    let cases: [(&str, Workflow, &str); 6] = [
        (
            "another reads its port",
            workflow(four(node("d")), &and("b.x > d.a")),
            "a Succeeded, b Running, c Running, d Pending; Running",
        ),
        (
            "another comes after it",
            workflow(four(node("d")), &and("b > d")),
            "a Succeeded, b Running, c Running, d Pending; Running",
        ),
        (
            "another handles its failure",
            workflow(four(node("d")), &and("b.error > d")),
            "a Succeeded, b Running, c Running, d Pending; Running",
        ),
        (
            "an expression reads it",
            workflow(four(reads("d")), &race),
            "a Succeeded, b Running, c Running, d Pending; Running",
        ),
        (
            "the winner reads it",
            workflow([node("a"), node("b"), reads("c").join(Join::First)], &race),
            "a Succeeded, b Running, c Running; Running",
        ),
        ("the outputs read it", with_outputs(), "a Succeeded, b Running, c Running; Running"),
    ];
    for (title, flow, statuses) in cases {
        assert_eq!(Stage::new(&flow).play("a ok x").statuses(), statuses, "{title}");
    }
}

#[test]
fn what_leads_only_to_losers_loses() {
    // `e` leads to `d`, and `d` to the loser `b`; `f` leads to `d` and somewhere else.
    let nodes = || [node("a"), node("b"), first("c"), node("d"), node("e"), node("f"), node("g")];
    let links = ["a > c", "b > c", "d > b", "e > d", "f > d", "f > g"];
    let flow = workflow(nodes(), &links);
    check_wishes(&flow, "a ok", "cancel e 1: lost_race, start c 1");
    check(
        &flow,
        "a ok, e stopped",
        "a Succeeded, b Cancelled, c Running, d Cancelled, e Cancelled, f Running, g Pending; Running",
    );
    // One that leads to two losers is found whichever of them comes first.
    for links in [["b1 > c", "b2 > c"], ["b2 > c", "b1 > c"]] {
        let nodes = [node("a"), node("b1"), node("b2"), first("c"), node("d")];
        let all = [&["a > c", "d > b1", "d > b2"][..], &links[..]].concat();
        let statuses = "a Succeeded, b1 Cancelled, b2 Cancelled, c Running, d Cancelled; Running";
        check(&workflow(nodes, &all), "a ok, d stopped", statuses);
    }
}

#[test]
fn what_leads_to_the_losers_of_two_races_loses_with_the_second() {
    // `p` leads to `l`, which loses the race of `v`, and into the race of `w`.
    let nodes = [node("a"), node("b"), node("l"), first("v"), first("w"), node("p")];
    let links = ["a > v", "l > v", "b > w", "p > l", "p > w"];
    let flow = workflow(nodes, &links);
    let after_one = "a Succeeded, b Running, l Cancelled, v Running, w Pending, p Running; Running";
    check(&flow, "a ok", after_one);
    check_wishes(&flow, "a ok, b ok", "cancel p 1: lost_race, start w 1");
    // A connection into another race keeps it going, though that is decided as well.
    let nodes = [node("a"), node("b"), first("v"), first("w"), node("p")];
    let flow = workflow(nodes, &["a > v", "p > v", "b > w", "p > w"]);
    check_wishes(&flow, "a ok, b ok", "start w 1");
}

#[test]
fn a_node_without_outgoing_connections_is_no_loser() {
    let flow = workflow([node("a"), node("b"), first("c")], &["a > c"]);
    check(&flow, "a ok", "a Succeeded, b Running, c Running; Running");
}

#[test]
fn a_race_is_decided_when_its_node_runs() {
    let race =
        |when: &str| workflow([node("a"), node("b"), first("c").when(when)], &["a > c", "b > c"]);
    check(&race("false"), "a ok", "a Succeeded, b Running, c Skipped; Running");
    check(&race("true"), "a ok", "a Succeeded, b Running, c Running; Running");
    check_wishes(&race("false"), "a ok", "");
    check_wishes(&race("true"), "a ok", "cancel b 1: lost_race, start c 1");
    let function = inline("c").join(Join::First);
    let flow = workflow([node("a"), node("b"), function], &["a > c", "b > c"]);
    check_wishes(&flow, "a ok", "cancel b 1: lost_race, start c 1");
}

#[test]
fn a_dead_connection_decides_nothing() {
    let careless = node("a").on_error(OnError::ContinueOnError);
    let flow = workflow([careless, node("b"), first("c")], &["a.x > c.a", "b.x > c.a"]);
    check(&flow, "a ok y", "a Succeeded, b Running, c Pending; Running");
    check(&flow, "a fails", "a Failed, b Running, c Pending; Running");
    check(&flow, "a fails, b ok x", "a Failed, b Succeeded, c Running; Running");
}

#[test]
fn an_execution_that_ends_tells_losers_once_more_and_why() {
    let flow = workflow([node("a"), node("b"), first("c")], &["a > c", "b > c"]);
    check_wishes(&flow, "a ok, cancel", "cancel b 1: requested, cancel c 1: requested");
    check(&flow, "a ok, cancel, c ok, b fails", "a Succeeded, b Cancelled, c Succeeded; Cancelled");
}

#[test]
fn a_first_node_sees_what_there_was_when_its_race_was_decided() {
    // `b` is not cancelled, because `d` needs it; it ends before `c` gets a permit.
    let race = node("c").join(Join::First).when("nodes.b.y is not defined");
    let nodes = [node("a"), node("b"), race, node("d")];
    let flow = workflow(nodes, &["b.x > c.a", "a.x > c.a", "b.x > c.b", "b > d"]);
    let mut stage = Stage::without_permits(&flow);
    stage.play("permit, permit");
    assert_eq!(stage.statuses(), "a Running, b Running, c Pending, d Pending; Running");
    stage.play("a ok x, b ok x y");
    for attempt in 0..2 {
        assert_eq!(stage.input("c", 0), Some(Value::from("a.x")), "attempt {attempt}");
        assert_eq!(stage.input("c", 1), None, "attempt {attempt}");
        if attempt == 0 {
            stage.play("permit");
        }
    }
    assert_eq!(stage.statuses(), "a Succeeded, b Succeeded, c Running, d Pending; Running");
}

#[test]
fn a_crash_among_the_losers_of_a_race_changes_nothing() {
    // `a` wins; `b1` waits for `b2`, which waits for `b3`; all three only serve to win.
    let nodes = [node("b2"), node("c").join(Join::First), node("b3"), node("b1"), node("a")];
    let flow = workflow(nodes, &["a > c", "b1 > c", "b2 > b1", "b3 > b2"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok");
    let end = "b2 Cancelled, c Running, b3 Running, b1 Cancelled, a Succeeded; Running";
    assert_eq!(stage.statuses(), end);
    let first = stage.events.iter().position(|record| record.event.name() == "NodeCompleted");
    for stop in first.unwrap() + 1..=stage.events.len() {
        let mut again = Stage::after(&flow, &stage.events[..stop]);
        again.play("");
        assert_eq!(again.statuses(), end, "after a stop at event {stop}");
        assert_eq!(again.play("b3 stopped, c ok").statuses(), stage_end(&flow));
    }
}

fn stage_end(flow: &Workflow) -> String {
    Stage::new(flow).play("a ok, b3 stopped, c ok").statuses()
}
