//! Rules, what they give, and how they fail.

use super::*;
use crate::expression::Slot;
use crate::value::read_json;

const DATA: &str = r#"{
    "amount": 12, "name": "ada", "note": null, "empty": [],
    "items": [{"price": 2.5, "paid": true}, {"price": 4, "paid": false}],
    "nested": {"a": {"b": [10, 20]}, "5": "five"}
}"#;

fn evaluate(rule: &str) -> Result<Value, ExpressionError> {
    let logic = Logic::compile(&read_json(rule).unwrap()).unwrap_or_else(|problems| {
        panic!("{rule}: {}", problems[0]);
    });
    logic.evaluate(&read_json(DATA).unwrap())
}

#[track_caller]
fn check(rule: &str, json: &str) {
    assert_eq!(evaluate(rule).map(|value| value.to_json_text()), Ok(json.to_owned()), "{rule}");
}

#[track_caller]
fn check_error(rule: &str, code: &str, message: &str) {
    let error = evaluate(rule).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (code, message), "{rule}");
}

#[test]
fn rules_give_values() {
    check(r#"{"var": "amount"}"#, "12");
    check(r#"{"*": [{"var": "amount"}, 0.5]}"#, "6");
    check(r#"{"/": [7, 2]}"#, "3.5");
    check(r#"{"+": [9007199254740993, 1]}"#, "9007199254740994");
    check(r#"{"cat": ["Hello, ", {"var": "name"}]}"#, r#""Hello, ada""#);
    check(r#"{"if": [{">": [{"var": "amount"}, 10]}, "large", "small"]}"#, r#""large""#);
    check(r#"{"and": [{"==": [1, 1]}, {"<": [1, {"var": "amount"}, 20]}]}"#, "true");
    check(r#"{"in": [{"var": "name"}, ["ada", "bob"]]}"#, "true");
    check(r#"{"map": [{"var": "items"}, {"var": "price"}]}"#, "[2.5,4]");
    check(r#"{"filter": [{"var": "items"}, {"var": "paid"}]}"#, r#"[{"price":2.5,"paid":true}]"#);
    check(
        r#"{"reduce": [{"var": "items"}, {"+": [{"var": "current.price"}, {"var": "accumulator"}]}, 0]}"#,
        "6.5",
    );
    check(r#"{"!": {"var": "paid"}}"#, "true");
    check(r#"{"and": {"var": "amount"}}"#, "12");
    check("[1, {\"var\": \"name\"}]", r#"[1,"ada"]"#);
    check("\"text with {{ inputs.x }}\"", r#""text with {{ inputs.x }}""#);
    check(r#"{"length": {"var": "items"}}"#, "2");
    check(r#"{"distinct": [[1, 2, 1, "1"]]}"#, r#"[1,2,"1"]"#);
    check(r#"{"try": [{"throw": "late"}, {"var": "type"}]}"#, r#""late""#);
}

#[test]
fn paths_lead_into_the_data() {
    check(r#"{"var": "nested.a.b.1"}"#, "20");
    check(r#"{"val": ["nested", "a", "b", 0]}"#, "10");
    check(r#"{"var": "nested.5"}"#, "\"five\"");
    check(r#"{"var": ["items.0.price"]}"#, "2.5");
    check(r#"{"var": ["nothing", {"var": "name"}]}"#, "\"ada\"");
    check(r#"{"var": {"cat": ["na", "me"]}}"#, "\"ada\"");
    check(r#"{"val": [{"var": "name"}]}"#, "null");
    check(r#"{"exists": ["nested", "a"]}"#, "true");
    check(r#"{"exists": "note"}"#, "true");
    check(r#"{"missing": ["amount", "nested.a", "nested.x", "note"]}"#, r#"["nested.x"]"#);
    check(r#"{"missing_some": [1, ["amount", "x"]]}"#, "[]");
    check(
        r#"{"map": [{"var": "items"}, {"+": [{"var": "price"}, {"val": [[1], "amount"]}]}]}"#,
        "[14.5,16]",
    );
    let rule = r#"{"map": [{"var": "items"}, {"missing": ["price", "x"]}]}"#;
    check(rule, r#"[["x"],["x"]]"#);
    let whole = Logic::compile(&read_json(r#"{"var": ""}"#).unwrap()).unwrap();
    for json in ["[1,2.0]", "\"x\"", r#"{"a":{"$bytes":"AP8="}}"#, "null"] {
        let value = read_json(json).unwrap();
        assert_eq!(whole.evaluate(&value).unwrap(), value, "every value comes back as it was");
    }
}

#[test]
fn what_is_not_there_is_null() {
    check(r#"{"var": "nothing"}"#, "null");
    check(r#"{"var": "amount.nothing"}"#, "null");
    check(r#"{"==": [{"var": "nothing"}, null]}"#, "true");
}

#[test]
fn a_rule_that_fails_is_an_error() {
    let not_a_number = "something is not a number that it can work with, or the divisor is 0";
    for (rule, operator) in [
        (r#"{"+": [{"var": "name"}, 1]}"#, "+"),
        (r#"{">": [{"var": "name"}, 1]}"#, ">"),
        (r#"{"<": [{"var": "nested"}, 1]}"#, "<"),
        (r#"{"/": [1, 0]}"#, "/"),
        (r#"{"/": [1.5, 0]}"#, "/"),
        (r#"{"%": [1, 0]}"#, "%"),
    ] {
        let message = format!("the rule failed in `{operator}`: {not_a_number}");
        check_error(rule, "logic.failed", &message);
    }
    check_error(
        r#"{"filter": [{"var": "amount"}, true]}"#,
        "logic.failed",
        "the rule failed in `filter`: it does not take these arguments",
    );
    check_error(
        r#"{"==": [1]}"#,
        "logic.failed",
        "the rule failed in `==`: it does not take these arguments",
    );
    check_error(
        r#"{"throw": "late"}"#,
        "logic.failed",
        "the rule failed in `throw`: it throws {\"type\":\"late\"}",
    );
    let whole = Logic::compile(&read_json(r#"{"var": ""}"#).unwrap()).unwrap();
    let error = whole.evaluate(&Value::from(u64::MAX)).unwrap_err();
    assert_eq!(
        error.message,
        "the rule failed: an integer is beyond the signed 64 bits that JSONLogic calculates with"
    );
}

#[test]
fn s31_hostile_rules_are_stopped() {
    let too_much = "the rule takes too many steps or too much memory";
    let ten = r#"[0,1,2,3,4,5,6,7,8,9]"#;
    let many = (0..5).fold("1".to_owned(), |body, _| format!(r#"{{"map": [{ten}, {body}]}}"#));
    check_error(&format!(r#"{{"!": {many}}}"#), "logic.too_expensive", too_much);
    check_error(&format!(r#"{{"try": [{many}, 1]}}"#), "logic.too_expensive", too_much);
    let forty: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let twice = r#"{"merge": [{"var": "accumulator"}, {"var": "accumulator"}]}"#;
    let doubling = format!(r#"{{"reduce": [[{}], {twice}, [1]]}}"#, forty.join(","));
    check_error(&format!(r#"{{"!": {doubling}}}"#), "logic.too_expensive", too_much);
    // The next evaluation of the same thread has a budget of its own.
    check(r#"{"map": [[1, 2], {"var": ""}]}"#, "[1,2]");
    let deep = (0..49).fold("1".to_owned(), |rule, _| format!(r#"{{"!": [{rule}]}}"#));
    check(&deep, "false");
}

#[test]
fn the_result_is_tainted_if_anything_read_is() {
    let data = r#"{"token": "s3cret", "limit": 2}"#;
    let data = read_json(data).unwrap();
    let token = data.get("token").unwrap().clone().tainted();
    let object = [("token", token), ("limit", Value::from(2))];
    let data = Value::Object(crate::Object::from_entries(object).unwrap());
    let run = |rule: &str| Logic::compile(&read_json(rule).unwrap()).unwrap().evaluate(&data);
    assert!(run(r#"{"cat": ["x", {"var": "token"}]}"#).unwrap().is_tainted());
    assert_eq!(run(r#"{"cat": ["x", {"var": "token"}]}"#).unwrap().as_str(), Some("xs3cret"));
    assert!(!run(r#"{"var": "limit"}"#).unwrap().is_tainted());
    for rule in [r#"{"throw": {"var": "token"}}"#, r#"{"+": [{"var": "token"}, 1]}"#] {
        let error = run(rule).unwrap_err();
        assert!(!error.message.contains("s3cret"), "{}", error.message);
    }
}

/// The problems of a rule in a workflow.
fn problems(rule: &str) -> Vec<String> {
    let compiled = Logic::compile_in_workflow(&read_json(rule).unwrap(), Roots::Workflow);
    let problems = compiled.err().unwrap_or_default();
    let show = |problem: &LogicProblem| {
        let suggestion = problem.error.suggestion.as_deref();
        let suggestion = suggestion.map(|name| format!("; {name}?")).unwrap_or_default();
        format!("{}: {problem}{suggestion}", problem.error.code)
    };
    problems.iter().map(show).collect()
}

#[test]
fn every_problem_has_its_place() {
    assert_eq!(
        problems(r#"{"and": [{"lenght": {"var": "inputs.x"}}, {"==": [1, {"vra": "x"}]}]}"#),
        [
            "logic.unknown_operator: JSONLogic has no operator `lenght` (at /and/0/lenght); length?",
            "logic.unknown_operator: JSONLogic has no operator `vra` (at /and/1/==/1/vra); var?",
        ]
    );
    assert_eq!(
        problems(r#"{"or": [{"==": [1, 1], "<": [1, 2]}, {}, 18446744073709551615]}"#),
        [
            "logic.syntax: an object in a rule is an operator, with one key; this one has 2 (at /or/0)",
            "logic.syntax: an object in a rule is an operator, with one key; this one has 0 (at /or/1)",
            "logic.syntax: an integer is beyond the signed 64 bits that JSONLogic calculates with (at /or/2)",
        ]
    );
    assert_eq!(
        problems(r#"{"now": []}"#),
        ["logic.unknown_operator: JSONLogic has no operator `now` (at /now)"]
    );
    let many = format!(r#"{{"and": [{}1]}}"#, r#"{"!": 1}, "#.repeat(600));
    assert_eq!(problems(&many), ["logic.too_complex: a rule has at most 512 operators (at /)"]);
}

#[test]
fn paths_in_a_workflow_are_those_of_expressions() {
    let wrong = |path: &str| problems(&format!(r#"{{"var": {path}}}"#)).join("\n");
    assert_eq!(
        wrong("\"inptus.limit\""),
        "expression.unknown_name: there is no name `inptus` (at /var); inputs?"
    );
    assert_eq!(
        wrong("\"nodes.fetch\""),
        "expression.needs_literal: `nodes` is only reachable as `nodes.<id>.<port>` (at /var)"
    );
    assert_eq!(
        wrong("\"execution.idd\""),
        "expression.unknown_name: `execution` has no field `idd` (at /var); id?"
    );
    for path in ["\"\"", "[]", r#"{"cat": ["inputs", ".a"]}"#] {
        let problem =
            "expression.needs_literal: a path in `when` stands there literally, as a text";
        assert!(wrong(path).starts_with(problem), "{path}: {}", wrong(path));
    }
    for path in ["1", "\"true\"", "\"a b\"", "\"7\""] {
        assert!(wrong(path).starts_with("expression.unknown_name: "), "{path}: {}", wrong(path));
    }
    assert_eq!(problems(r#"{"missing": ["inputs.x", "inptus.b"]}"#).len(), 1);
    assert_eq!(problems(r#"{"val": ["nodes", "fetch"]}"#).len(), 1);
    assert_eq!(problems(r#"{"map": [[1], {"val": [[1], "x"]}]}"#).len(), 1);
    assert_eq!(problems(r#"{"map": [[1], {"val": [[1], "index"]}]}"#), [""; 0]);
    assert_eq!(problems(r#"{"map": [[1], {"var": "anything"}]}"#), [""; 0]);
}

fn lookup(slot: &Slot) -> Option<Value> {
    let json = match slot {
        Slot::Input(name) if &**name == "limit" => "3",
        Slot::Inputs => r#"{"limit": 3}"#,
        Slot::Node(node) if &*node.id == "fetch" && &*node.port == "json" => {
            r#"{"items": [{"price": 2.5}], "a b": {"c": 1}, "q\"": {"d": 2}}"#
        }
        Slot::Node(node) if &*node.id == "my-node" => "true",
        Slot::Node(node) if &*node.id == "7" => "7",
        Slot::Secret(_) => return Some(Value::from("s3cret").tainted()),
        _ => return None,
    };
    Some(read_json(json).unwrap())
}

#[track_caller]
fn check_holds(rule: &str, expected: bool) {
    let rule = read_json(rule).unwrap();
    let logic = Logic::compile_in_workflow(&rule, Roots::Workflow).unwrap();
    assert_eq!(logic.holds(&mut lookup), Ok(expected), "{rule}");
}

#[test]
fn conditions_read_what_expressions_read() {
    for rule in [
        r#"{"==": [{"var": "inputs.limit"}, 3]}"#,
        r#"{"==": [{"val": ["inputs", "limit"]}, 3]}"#,
        r#"{"==": [{"var": "nodes.fetch.json.items.0.price"}, 2.5]}"#,
        r#"{"==": [{"val": ["nodes", "fetch", "json", "items", 0, "price"]}, 2.5]}"#,
        r#"{"==": [{"var": "nodes.fetch.json.a b.c"}, 1]}"#,
        r#"{"==": [{"val": ["nodes", "fetch", "json", "q\"", "d"]}, 2]}"#,
        r#"{"var": "nodes.my-node.ok"}"#,
        r#"{"==": [{"var": "nodes.7.out"}, 7]}"#,
        r#"{"and": [{"var": "inputs"}, {"var": "inputs.limit"}]}"#,
        r#"{"==": [{"var": "secrets.token"}, "s3cret"]}"#,
        r#"{"==": [{"var": ["nodes.skipped.out", 5]}, 5]}"#,
        r#"{"!": {"var": "nodes.skipped.out"}}"#,
        r#"{"in": ["nodes.skipped.out", {"missing": ["nodes.skipped.out", "inputs.limit"]}]}"#,
        r#"{"some": [{"var": "nodes.fetch.json.items"}, {"<": [{"var": "price"}, {"val": [[1], "inputs", "limit"]}]}]}"#,
    ] {
        check_holds(rule, true);
    }
    let fails = read_json(r#"{">": [{"var": "secrets.token"}, 1]}"#).unwrap();
    let logic = Logic::compile_in_workflow(&fails, Roots::Workflow).unwrap();
    let error = logic.holds(&mut lookup).unwrap_err();
    assert_eq!(error.code, "logic.failed");
    assert!(!error.message.contains("s3cret"));
}

/// The table of docs/expressions.md.
#[test]
fn truth_is_that_of_jsonlogic() {
    let cases = [
        ("true", true),
        ("false", false),
        ("null", false),
        ("0", false),
        ("0.0", false),
        ("-1", true),
        ("0.5", true),
        ("\"\"", false),
        ("\"0\"", true),
        ("\"false\"", true),
        ("[]", false),
        ("[0]", true),
        ("{}", false),
        (r#"{"a": 0}"#, true),
    ];
    for (json, expected) in cases {
        let rule = read_json(r#"{"var": "inputs.x"}"#).unwrap();
        let logic = Logic::compile_in_workflow(&rule, Roots::Workflow).unwrap();
        let value = read_json(json).unwrap();
        assert_eq!(logic.holds(&mut |_| Some(value.clone())), Ok(expected), "{json}");
    }
}
