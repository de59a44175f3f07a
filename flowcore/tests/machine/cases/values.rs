//! What nodes are given, and what an execution gives.

use flowcore::{ExecutionStatus, Join, NodeSpec, Object, OnError, Value};

use crate::nodes::MANY;
use crate::stage::{Stage, node, workflow};

#[test]
fn a_port_takes_its_value_from_a_connection_else_the_config_else_the_inputs() {
    let named = node("b").config_value("a", "constant");
    let needing = NodeSpec::new("b", "waiting.needing");
    let cases = [
        ("a connection", node("b"), vec!["a.x > b.a"], Some("a.x")),
        ("a connection before the config", named.clone(), vec!["a.x > b.a"], Some("a.x")),
        ("the config", named.clone(), vec!["a > b"], Some("constant")),
        ("the config before the inputs", named, vec![], Some("constant")),
        ("the inputs", node("b"), vec![], Some("input a")),
        ("nothing, with a connection", node("b"), vec!["a > b"], None),
        (
            "nothing, with an expression",
            node("b").config_value("value", "{{ nodes.a.x }}"),
            vec![],
            None,
        ),
        (
            "the inputs, beside a port that is needed",
            needing.config_value("need", 1),
            vec![],
            Some("input a"),
        ),
    ];
    for (title, reader, links, value) in cases {
        let mut flow = workflow([node("a"), reader], &links);
        flow.add_input("a", serde_json::json!({})).unwrap();
        let inputs = Object::from_entries([("a", Value::from("input a"))]).unwrap();
        let mut stage = Stage::with_inputs(&flow, inputs);
        stage.play("a ok x");
        assert_eq!(stage.input("b", 0), value.map(Value::from), "{title}");
    }
}

#[test]
fn of_several_connections_into_a_port_the_first_live_one_in_the_file_counts() {
    let flow = workflow(
        [node("a"), node("b"), node("c").join(Join::Any)],
        &["b.x > c.a", "a.x > c.a", "a.y > c.b", "b.y > c.b"],
    );
    let cases = [("a ok x y, b ok x y", "b.x", "a.y"), ("a ok x, b ok y", "a.x", "b.y")];
    for (steps, a, b) in cases {
        let mut stage = Stage::new(&flow);
        stage.play(steps);
        assert_eq!(stage.input("c", 0), Some(Value::from(a)), "{steps}");
        assert_eq!(stage.input("c", 1), Some(Value::from(b)), "{steps}");
    }
}

#[test]
fn a_port_that_takes_many_gets_an_array_in_the_order_of_the_connections() {
    let links = ["b.x > c.many", "a.x > c.many", "a.y > c.many"];
    let flow = |join| workflow([node("a"), node("b"), node("c").join(join)], &links);
    let cases = [
        (Join::All, "a ok x y, b ok x", r#"["b.x","a.x","a.y"]"#),
        (Join::Any, "a ok y, b ok x", r#"["b.x","a.y"]"#),
        (Join::First, "a ok x y", r#"["a.x","a.y"]"#),
    ];
    for (join, steps, values) in cases {
        let mut stage = Stage::new(&flow(join));
        stage.play(steps);
        assert_eq!(stage.input("c", MANY).unwrap().to_string(), values, "{join:?} {steps}");
    }
}

#[test]
fn a_port_that_is_needed_and_has_no_value_fails_the_attempt() {
    let needing = NodeSpec::new("c", "waiting.needing").join(Join::Any);
    let flow = workflow([node("a"), node("b"), needing], &["a.x > c.need", "b > c"]);
    let mut stage = Stage::new(&flow);
    stage.play("a ok y, b ok");
    assert_eq!(stage.statuses(), "a Succeeded, b Succeeded, c Running; Running");
    let error = stage.machine.prepare(stage.instance("c"), stage.moment()).err().unwrap();
    assert_eq!((error.code(), error.is_retryable()), ("input.missing", false));
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
fn without_outputs_the_last_nodes_give_theirs() {
    let careless = |id: &str| node(id).on_error(OnError::ContinueOnError);
    let flow = workflow([careless("c"), node("a"), careless("b")], &["a > b", "a > c"]);
    let outputs = |steps: &str| Stage::new(&flow).play(steps).result().outputs.to_string();
    let both = r#"{"c":{"y":"c.y"},"b":{"x":"b.x"}}"#;
    assert_eq!(outputs("a ok x, b ok x, c ok y"), both);
    assert_eq!(outputs("a ok x, b fails, c ok"), r#"{"c":{}}"#);
    assert_eq!(outputs("a ok x, b fails, c fails"), "{}");
    let mut nothing = workflow([node("a")], &[]);
    nothing.outputs = Some(Object::new());
    assert_eq!(Stage::new(&nothing).play("a ok x").result().outputs.to_string(), "{}");
}

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
