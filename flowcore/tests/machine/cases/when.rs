//! Conditions.

use flowcore::{NodeSpec, Object, OnError, RetryPolicy, Value};

use crate::stage::{Stage, check, inline, node, workflow};

/// How `b` stands, which waits for `a` and has this condition.
#[track_caller]
fn check_when(when: &str, input: Value, status: &str) {
    for reader in [node("b"), inline("b")] {
        let reader = reader.when(when).on_error(OnError::ContinueOnError);
        let mut flow = workflow([node("a"), reader, node("last")], &["a > b"]);
        flow.add_input("flag", serde_json::json!({})).unwrap();
        let inputs = Object::from_entries([("flag", input.clone())]).unwrap();
        let mut stage = Stage::with_inputs(&flow, inputs);
        stage.play("a ok x");
        let index = stage.index("b");
        // An inline node that is offered counts as not started.
        let found = match stage.machine.node_status(index).to_public().as_str() {
            "Pending" if !stage.wishes().is_empty() => "Running",
            found => found,
        };
        assert_eq!(found, status, "{when} with {input}");
    }
}

#[test]
fn false_and_null_skip_and_everything_but_a_boolean_fails() {
    let cases = [
        (Value::from(true), "Running"),
        (Value::from(false), "Skipped"),
        (Value::Null, "Skipped"),
        (Value::from(0), "Failed"),
        (Value::from(1), "Failed"),
        (Value::from(""), "Failed"),
        (Value::from("true"), "Failed"),
        (Value::Object(Object::new()), "Failed"),
    ];
    for (input, status) in cases {
        check_when("inputs.flag", input, status);
    }
    check_when("nodes.a.x is defined", Value::Null, "Running");
    check_when("nodes.a.y is defined", Value::Null, "Skipped");
    check_when("nodes.a.y", Value::Null, "Failed");
    check_when("nodes.a.x.nothing", Value::Null, "Failed");
    check_when("nodes.a.x + 1", Value::Null, "Failed");
    check_when("execution.attempt == 1", Value::Null, "Running");
    check_when("input.a is defined", Value::Null, "Skipped");
}

/// As [`check_when`], with a rule in JSONLogic.
#[track_caller]
fn check_logic(rule: &str, input: Value, status: &str) {
    let rule = flowcore::value::read_json(rule).unwrap();
    let reader = node("b").when_logic(rule.as_object().unwrap().clone());
    let reader = reader.on_error(OnError::ContinueOnError);
    let mut flow = workflow([node("a"), reader], &["a > b"]);
    flow.add_input("flag", serde_json::json!({})).unwrap();
    let inputs = Object::from_entries([("flag", input.clone())]).unwrap();
    let mut stage = Stage::with_inputs(&flow, inputs);
    stage.play("a ok x");
    let index = stage.index("b");
    assert_eq!(
        stage.machine.node_status(index).to_public().as_str(),
        status,
        "{rule} with {input}"
    );
}

#[test]
fn a_rule_in_jsonlogic_decides_by_what_counts_as_true() {
    let flag = r#"{"var": "inputs.flag"}"#;
    for (input, status) in [
        (Value::from(true), "Running"),
        (Value::from(1), "Running"),
        (Value::from("0"), "Running"),
        (Value::from(0), "Skipped"),
        (Value::from(""), "Skipped"),
        (Value::Null, "Skipped"),
        (Value::Object(Object::new()), "Skipped"),
        (Value::from(u64::MAX), "Failed"),
    ] {
        check_logic(flag, input, status);
    }
    check_logic(r#"{">": [{"var": "inputs.flag"}, 1]}"#, Value::from("text"), "Failed");
    check_logic(r#"{"missing": ["nodes.a.x"]}"#, Value::Null, "Skipped");
    check_logic(r#"{"missing": ["nodes.a.y"]}"#, Value::Null, "Running");
    check_logic(r#"{"var": "nodes.a.y"}"#, Value::Null, "Skipped");
}

#[test]
fn a_rule_that_fails_fails_its_node() {
    let rule = flowcore::value::read_json(r#"{"+": ["a", 1]}"#).unwrap();
    let failing = node("b").when_logic(rule.as_object().unwrap().clone());
    let flow = workflow([node("a"), failing], &["a > b"]);
    let result = Stage::new(&flow).play("a ok").result();
    let error = result.error.as_ref().unwrap();
    assert_eq!((error.code.as_str(), error.attempts), ("logic.failed", Some(1)));
}

fn failing(when: &str) -> NodeSpec {
    let retry = RetryPolicy { max_attempts: 3, ..RetryPolicy::default() };
    node("b").when(when).retry(retry)
}

#[test]
fn a_condition_that_fails_fails_its_node_with_its_first_attempt() {
    let cases = [("nodes.a.y", "expression.undefined"), ("1 + 1", "when.not_boolean")];
    for (when, code) in cases {
        let flow = workflow([node("a"), failing(when)], &["a > b"]);
        let result = Stage::new(&flow).play("a ok").result();
        let error = result.error.as_ref().unwrap();
        assert_eq!((error.code.as_str(), error.attempts), (code, Some(1)));
        assert_eq!(result.node("b").unwrap().attempts, 1, "it is not tried again");
        let handled = workflow([node("a"), failing(when), node("c")], &["a > b", "b.error > c.a"]);
        let mut stage = Stage::new(&handled);
        stage.play("a ok");
        assert_eq!(stage.statuses(), "a Succeeded, b Failed, c Running; Running");
        assert_eq!(stage.input("c", 0).unwrap().get("code"), Some(&Value::from(code)));
    }
}

#[test]
fn a_condition_is_asked_once() {
    let retry = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    let flow = workflow([node("a").when("execution.attempt == 1").retry(retry)], &[]);
    check(&flow, "a is busy, a is due", "a Running 2; Running");
}

#[test]
fn what_is_skipped_by_its_condition_makes_its_connections_dead() {
    let flow = workflow([node("a").when("false"), node("b"), node("c")], &["a > b", "a.error > c"]);
    check(&flow, "", "a Skipped, b Skipped, c Skipped; Succeeded");
}
