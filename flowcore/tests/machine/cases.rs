//! Case by case, as tables.

use flowcore::machine::{Fact, Outcome, Timer, Turn};
use flowcore::{
    CancelReason, ExecutionStatus, Instance, Join, NodeError, OnError, RetryPolicy, ScopeId,
    Timestamp, Value, Workflow,
};

use crate::stage::{Stage, check, machine, node, workflow};

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

/// Plays `a`, and gives the outputs and the warnings.
#[track_caller]
fn check_output(expression: &str, steps: &str, output: &str, warnings: &[&str]) {
    let on_error = OnError::ContinueOnError;
    let mut flow = workflow([node("a").on_error(on_error), node("b")], &[]);
    flow.add_output("o", expression).unwrap();
    let result = Stage::new(&flow).play(steps).result();
    assert_eq!(result.status, ExecutionStatus::Succeeded, "{expression}: {result:?}");
    assert_eq!(result.outputs.to_string(), format!("{{\"o\":{output}}}"), "{expression}");
    assert_eq!(result.warnings, warnings, "{expression}");
}

#[test]
fn outputs_of_a_node_that_did_not_succeed_are_null() {
    let failed = ["`nodes.a.x` is null: node `a` is Failed"];
    let dead = ["`nodes.a.x` is null: node `a` gave nothing on this port"];
    check_output("{{ nodes.a.x }}", "a ok x, b ok x", "\"a.x\"", &[]);
    check_output("{{ nodes.a.x }}", "a fails, b ok x", "null", &failed);
    check_output("{{ nodes.a.x }}", "a ok y, b ok x", "null", &dead);
    check_output("is {{ nodes.a.x }}", "a fails, b ok x", "\"is null\"", &failed);
    check_output("{{ [nodes.a.x, nodes.b.x] }}", "a fails, b ok x", "[null,\"b.x\"]", &failed);
}

#[test]
fn what_is_inside_of_a_null_output_is_null() {
    let failed = ["`nodes.a.x` is null: node `a` is Failed"];
    check_output("{{ nodes.a.x.total }}", "a fails, b ok x", "null", &failed);
    check_output("{{ nodes.a.x[0].total | upper }}", "a fails, b ok x", "null", &failed);
}

#[test]
fn outputs_may_say_what_counts_instead_of_a_dead_port() {
    check_output("{{ nodes.a.x | default(nodes.b.x) }}", "a fails, b ok x", "\"b.x\"", &[]);
    check_output("{{ nodes.a.x is defined }}", "a fails, b ok x", "false", &[]);
}

#[test]
fn an_output_that_fails_although_everything_succeeded_fails_the_execution() {
    let mut flow = workflow([node("a")], &[]);
    flow.add_output("o", "{{ nodes.a.x.nothing }}").unwrap();
    let result = Stage::new(&flow).play("a ok x").result();
    assert_eq!(result.status, ExecutionStatus::Failed);
    assert_eq!(result.error.unwrap().code, "expression.undefined");
}

#[test]
fn an_execution_that_failed_holds_no_outputs_but_its_results() {
    let nodes = [node("a"), node("b"), node("c"), node("last")];
    let flow = workflow(nodes, &["a.x > c.a", "b > c", "a > last"]);
    for steps in ["a ok x, last ok x, b fails", "a ok x, last ok x, cancel, b stopped"] {
        let result = Stage::new(&flow).play(steps).result();
        assert!(result.node("a").unwrap().outputs.is_none(), "{steps}");
        assert!(result.node("last").unwrap().outputs.is_some(), "{steps}");
    }
}

#[test]
fn a_loser_that_fails_because_it_was_told_to_stop_is_cancelled() {
    let retry = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    let loser = node("b").retry(retry).on_error(OnError::StopWorkflow);
    let flow = workflow([node("a"), loser, node("c").join(Join::First)], &["a > c", "b > c"]);
    for end in ["b fails", "b is busy", "b is late", "b panics", "b stopped"] {
        let steps = format!("a ok, {end}");
        check(&flow, &steps, "a Succeeded, b Cancelled, c Running; Running");
    }
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

#[test]
fn an_expression_reads_an_input_port_whatever_its_value_comes_from() {
    let cases = [
        ("from a connection", node("b"), vec!["a.x > b.a"], "a.x"),
        ("from a text", node("b").config_value("a", "text"), vec!["a > b"], "text"),
        ("from an expression", node("b").config_value("a", "{{ nodes.a.x }}"), vec![], "a.x"),
        (
            "from another port",
            node("b").config_value("a", "{{ input.b }}!").config_value("b", "{{ nodes.a.x }}"),
            vec![],
            "a.x!",
        ),
    ];
    for (title, reader, links, value) in cases {
        let reader = reader.when("input.a is defined").config_value("copy", "{{ input.a }}");
        let flow = workflow([node("a"), reader], &links);
        let mut stage = Stage::new(&flow);
        stage.play("a ok x");
        assert_eq!(stage.statuses(), "a Succeeded, b Running; Running", "{title}");
        let prepared = stage.machine.prepare(stage.instance("b"), stage.moment());
        let prepared = prepared.unwrap_or_else(|error| panic!("{title}: {error:?}"));
        assert_eq!(prepared.config().unwrap().get("copy"), Some(&Value::from(value)), "{title}");
    }
}

#[test]
fn input_ports_that_read_each_other_fail_the_node() {
    let circle = node("a").config_value("a", "{{ input.b }}").config_value("b", "{{ input.a }}");
    for reader in [circle, node("a").config_value("a", "{{ input.a }}")] {
        let stage = Stage::new(&workflow([reader], &[]));
        let prepared = stage.machine.prepare(stage.instance("a"), stage.moment());
        assert_eq!(prepared.err().unwrap().code(), "expression.undefined");
    }
}

#[test]
fn facts_that_come_before_the_start_are_stale() {
    let mut unstarted = machine(&workflow([node("a")], &[]));
    let instance = Instance { scope: ScopeId(0), node: 0 };
    let facts = [
        Fact::PermitGranted,
        Fact::Cancel { reason: CancelReason::Requested, by: None },
        Fact::TimerFired(Timer::Deadline),
        Fact::TimerFired(Timer::Retry { instance, attempt: 1 }),
        Fact::AttemptEnded {
            instance,
            attempt: 1,
            started_at: Timestamp::default(),
            outcome: Outcome::Cancelled,
            jitter: 0.0,
        },
    ];
    let mut turn = Turn::recording();
    for (count, fact) in (1..).zip(facts) {
        unstarted.handle(Timestamp::default(), fact.clone(), &mut turn).unwrap();
        assert_eq!(unstarted.stale_facts(), count, "{fact:?}");
    }
    unstarted.resume(Timestamp::default(), &mut turn).unwrap();
    assert!(turn.events.is_empty() && turn.wishes.is_empty(), "{turn:?}");
    assert_eq!(unstarted.status(), ExecutionStatus::Queued);
}

#[test]
fn the_result_of_an_attempt_that_never_started_is_stale() {
    let mut stage = Stage::without_permits(&workflow([node("a")], &[]));
    assert!(stage.machine.wants_permit());
    let outcome = Outcome::Failed(NodeError::new("test.late", "from another life"));
    let (instance, started_at) = (stage.instance("a"), stage.moment());
    stage.tell(Fact::AttemptEnded { instance, attempt: 1, started_at, outcome, jitter: 0.0 });
    assert_eq!(stage.machine.stale_facts(), 1);
    assert_eq!(stage.statuses(), "a Pending; Running");
}

#[test]
fn an_execution_waits_only_when_nothing_waits_for_a_permit() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let mut stage = Stage::new(&workflow([node("a").retry(retry), node("b")], &["a.error > b"]));
    stage.play("a is busy");
    assert_eq!(stage.statuses(), "a Waiting, b Pending; Waiting");
    stage.grants = false;
    stage.play("a is due");
    assert_eq!(stage.statuses(), "a Pending, b Pending; Running");
}
