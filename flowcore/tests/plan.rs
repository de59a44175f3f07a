//! What is found when a workflow is compiled.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use flowcore::{
    CacheSpec, Compiled, ConcurrencySpec, Diagnostics, Effect, Join, Limits, NodeDescriptor,
    NodeId, NodeRegistry, NodeSpec, Object, Port, RateLimitSpec, Value, Workflow, compile_within,
};
use proptest::prelude::*;

/// `text` needs its port `a`; `open` takes and gives anything; `merge` takes many.
fn registry() -> NodeRegistry {
    let text = NodeDescriptor::new("text")
        .input(Port::new("a").required())
        .input(Port::new("b"))
        .output(Port::new("x"))
        .output(Port::new("y"));
    let merge =
        NodeDescriptor::new("merge").input(Port::new("many").multiple()).output(Port::new("x"));
    let mut registry = NodeRegistry::new();
    for descriptor in [text, merge, NodeDescriptor::untyped("open")] {
        registry.register_async(descriptor, |_| async { unreachable!("never run") });
    }
    registry
}

fn open(id: &str) -> NodeSpec {
    NodeSpec::new(id, "open")
}

fn text(id: &str) -> NodeSpec {
    NodeSpec::new(id, "text").config_value("a", "constant")
}

/// A workflow with connections such as `a > b`, `a.x > b.a` and `a.error > b`.
fn workflow(nodes: impl IntoIterator<Item = NodeSpec>, links: &[&str]) -> Workflow {
    let mut workflow = Workflow::new("plan");
    for node in nodes {
        workflow.add_node(node);
    }
    for link in links {
        let (from, to) = link.split_once(" > ").expect("`a.x > b.a`");
        let end = |text: &str| match text.split_once('.') {
            Some((node, port)) => (node.parse::<NodeId>().unwrap(), Some(port.into())),
            None => (text.parse().unwrap(), None),
        };
        let ((from_node, from_port), (to_node, to_port)) = (end(from), end(to));
        workflow.connections.push(flowcore::Connection { from_node, from_port, to_node, to_port });
    }
    workflow
}

fn diagnostics(workflow: &Workflow) -> Diagnostics {
    let Compiled { plan, diagnostics } = compile_within(workflow, &registry(), &Limits::none());
    assert_eq!(plan.is_none(), diagnostics.has_errors(), "{diagnostics}");
    diagnostics
}

/// Each expected problem is `code pointer`, and `→ suggestion` if there is one.
#[track_caller]
fn check(workflow: &Workflow, expected: &[&str]) {
    let diagnostics = diagnostics(workflow);
    let found: Vec<String> = diagnostics
        .iter()
        .map(|found| {
            let suggestion = found.suggestion.as_ref().map(|suggestion| format!(" → {suggestion}"));
            format!("{} {}{}", found.code, found.pointer, suggestion.unwrap_or_default())
        })
        .collect();
    assert_eq!(found, expected, "{diagnostics}");
}

#[test]
fn connections_name_nodes_and_ports_that_exist() {
    let nodes = || [text("first"), text("second")];
    let cases: [(&[&str], &[&str]); 11] = [
        (&["first > second"], &[]),
        (&["first.x > second.a", "first.y > second.b"], &[]),
        (&["first.error > second.a"], &[]),
        (&["first.x > second"], &[]),
        (&["frist > second"], &["connection.unknown_node /connections/0/from_node → first"]),
        (
            &["first > second", "first > nobody"],
            &["connection.unknown_node /connections/1/to_node"],
        ),
        (
            &["nobody > elsewhere"],
            &[
                "connection.unknown_node /connections/0/from_node",
                "connection.unknown_node /connections/0/to_node",
            ],
        ),
        (&["first.z > second.a"], &["connection.unknown_port /connections/0/from_port"]),
        (&["first.x > second.value"], &["connection.unknown_port /connections/0/to_port"]),
        (&["first > second.a"], &["connection.no_from_port /connections/0"]),
        (
            &["first.x > second.a", "first.y > second.a"],
            &["connection.port_taken /connections/1/to_port"],
        ),
    ];
    for (links, expected) in cases {
        check(&workflow(nodes(), links), expected);
    }
}

#[test]
fn several_connections_may_enter_a_port_when_somebody_chooses_or_it_takes_many() {
    let links = ["a.x > c.a", "b.x > c.a"];
    for join in [Join::Any, Join::First] {
        check(&workflow([text("a"), text("b"), text("c").join(join)], &links), &[]);
    }
    let merge = NodeSpec::new("c", "merge");
    check(&workflow([text("a"), text("b"), merge], &["a.x > c.many", "b.x > c.many"]), &[]);
    let taken = ["connection.port_taken /connections/1/to_port"];
    check(&workflow([open("a"), open("b"), open("c")], &links), &taken);
}

#[test]
fn circles_are_named() {
    let abc = || [open("a"), open("b"), open("c")];
    check(&workflow(abc(), &["a > b", "b > c", "c > a"]), &["workflow.cycle /nodes/0"]);
    check(&workflow(abc(), &["b > b"]), &["workflow.cycle /nodes/1"]);
    check(&workflow(abc(), &["b.x > c.x", "c.y > b.y"]), &["workflow.cycle /nodes/1"]);
    let both = [open("a"), open("b"), open("c"), open("d")];
    check(
        &workflow(both, &["a > b", "b > a", "c > d", "d > c"]),
        &["workflow.cycle /nodes/0", "workflow.cycle /nodes/2"],
    );
    let message = |links: &[&str]| {
        let found = diagnostics(&workflow(abc(), links));
        found.iter().map(|found| found.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        message(&["c > b", "b > a", "a > c"]),
        ["the nodes wait for each other: a → c → b → a"]
    );
    assert_eq!(message(&["c > c"]), ["the nodes wait for each other: c → c"]);
    let shortest = message(&["a > b", "b > c", "c > a", "b > a"]);
    assert_eq!(shortest, ["the nodes wait for each other: a → b → a"]);
}

#[test]
fn expressions_make_circles_too() {
    let reads = |id: &str, other: &str| {
        open(id).config_value("value", format!("{{{{ nodes.{other}.x }}}}"))
    };
    check(&workflow([reads("a", "b"), reads("b", "a")], &[]), &["workflow.cycle /nodes/0"]);
    check(&workflow([reads("a", "b"), open("b")], &["a > b"]), &["workflow.cycle /nodes/0"]);
    let when = [open("a").when("nodes.b.x"), reads("b", "c"), open("c").when("nodes.a.x")];
    check(&workflow(when, &[]), &["workflow.cycle /nodes/0"]);
    check(&workflow([reads("a", "a")], &[]), &["expression.unknown_name /nodes/0/config/value"]);
    check(&workflow([reads("a", "b"), open("b")], &["b > a"]), &[]);
}

/// Checks one problem: its code, its pointer, and the part of the string that it is about.
#[track_caller]
fn check_place(workflow: &Workflow, string: &str, code: &str, pointer: &str, place: &str) {
    let diagnostics = diagnostics(workflow);
    let found: Vec<_> = diagnostics
        .iter()
        .map(|found| (found.code, found.pointer.as_str(), found.range_within().unwrap()))
        .collect();
    let start = string.find('«').unwrap();
    let end = string.find('»').unwrap() - '«'.len_utf8();
    assert_eq!(found, [(code, pointer, start..end)], "{diagnostics}");
    assert_eq!(string.replace(['«', '»'], "")[start..end], *place);
}

#[test]
fn only_pure_nodes_are_cached_and_their_key_is_an_expression() {
    let cached = |node: NodeSpec, key: Option<&str>| {
        let cache = CacheSpec::new(1_000);
        node.cache(key.map_or(cache.clone(), |key| cache.key(key)))
    };
    let pure = || text("b").effect(Effect::Pure);
    let flow = |node: NodeSpec| workflow([open("a"), node], &["a > b"]);
    check(&flow(cached(pure(), None)), &[]);
    check(&flow(cached(pure(), Some("nodes.a.x ~ input.b"))), &[]);
    check(&flow(cached(text("b"), None)), &["cache.not_pure /nodes/1/cache"]);
    check(&flow(cached(text("b").effect(Effect::Read), None)), &["cache.not_pure /nodes/1/cache"]);
    let delay = NodeSpec::new("b", "time.delay").config_value("delay_ms", 1);
    check(&flow(cached(delay, None)), &["control.no_cache /nodes/1/cache"]);
    check(
        &flow(cached(pure(), Some("nodes.aa.x"))),
        &["expression.unknown_name /nodes/1/cache/key → a"],
    );
    check(&flow(cached(pure(), Some("1 +"))), &["expression.syntax /nodes/1/cache/key"]);
    let circle = workflow([cached(pure(), Some("nodes.c.x")), open("c")], &["b > c"]);
    check(&circle, &["workflow.cycle /nodes/0"]);
}

#[test]
fn a_key_of_executions_is_made_of_their_inputs() {
    let limited = |key: &str| {
        let mut flow = workflow([open("a")], &[]);
        flow.add_input("user", serde_json::json!({"type": "string"})).unwrap();
        flow.settings.concurrency = Some(ConcurrencySpec::new(1).key(key));
        flow
    };
    check(&limited("inputs.user ~ '@' ~ workflow.id"), &[]);
    check(&limited("inputs.usr"), &["expression.unknown_name /settings/concurrency/key → user"]);
    check(&limited("inputs.user ~"), &["expression.syntax /settings/concurrency/key"]);
    let cases = [
        ("«nodes».a.x", "nodes"),
        ("1 + «input».a", "input"),
        ("«execution».id", "execution"),
        ("«secrets».token", "secrets"),
        ("inputs.user ~ «item»", "item"),
    ];
    for (text, name) in cases {
        let flow = limited(&text.replace(['«', '»'], ""));
        let pointer = "/settings/concurrency/key";
        check_place(&flow, text, "expression.unknown_name", pointer, name);
    }
    let key = |flow: &Workflow, user: &str| {
        let plan = compile_within(flow, &registry(), &Limits::none()).plan.unwrap();
        let inputs = Object::from_entries([("user", Value::from(user))]).unwrap();
        plan.concurrency(&inputs).map(|limit| limit.map(|limit| limit.key.to_string()))
    };
    let flow = limited("inputs.user ~ '@' ~ workflow.id");
    assert_eq!(key(&flow, "ada").unwrap().unwrap(), "\"ada@plan\"");
    assert_eq!(key(&workflow([open("a")], &[]), "ada").unwrap(), None);
    assert_eq!(key(&limited("inputs.user.x"), "ada").unwrap_err().code, "expression.undefined");
}

#[test]
fn rate_limits_name_nodes_that_exist_and_have_attempts() {
    let body = serde_json::json!({"nodes": [{"id": "b", "node_type": "text", "config": {"a": 1}}]});
    let each = |body: serde_json::Value| {
        let config = Value::from_json(serde_json::json!({"items": [1], "body": body})).unwrap();
        NodeSpec::new("each", "control.for_each").config(config.as_object().unwrap().clone())
    };
    let limited = |limits: &[RateLimitSpec], body: &serde_json::Value| {
        let mut flow = workflow([open("a"), each(body.clone())], &[]);
        flow.settings.rate_limits = limits.to_vec();
        flow
    };
    let of = |nodes: &[&str]| RateLimitSpec::of_resource("crm", nodes.iter().copied(), 1, 1_000);
    let good = [of(&["a", "each.b"]), RateLimitSpec::of_node_type("text", 2, 1_000)];
    check(&limited(&good, &body), &[]);
    let plan = compile_within(&limited(&good, &body), &registry(), &Limits::none()).plan.unwrap();
    let counts: Vec<_> = plan
        .graph()
        .nodes()
        .iter()
        .map(|node| (node.id().as_str(), node.rate_limits().len()))
        .collect();
    assert_eq!(counts, [("a", 1), ("each", 0), ("b", 2)]);
    check(
        &limited(&[of(&["aa", "each.bb", "b"])], &body),
        &[
            "rate_limit.unknown_node /settings/rate_limits/0/nodes/0 → a",
            "rate_limit.unknown_node /settings/rate_limits/0/nodes/1 → each.b",
            "rate_limit.unknown_node /settings/rate_limits/0/nodes/2 → each.b",
        ],
    );
    check(
        &limited(&[of(&["each"]), RateLimitSpec::of_node_type("time.delay", 1, 1)], &body),
        &[
            "rate_limit.no_attempts /settings/rate_limits/0/nodes/0",
            "rate_limit.no_attempts /settings/rate_limits/1/node_type",
        ],
    );
    let broken = serde_json::json!({"nodes": [{"id": "b", "node_type": "txt"}]});
    check(
        &limited(&[of(&["each.b"])], &broken),
        &["node.unknown_type /nodes/1/config/body/nodes/0/node_type → text"],
    );
}

#[test]
fn unknown_names_in_expressions_have_a_place() {
    let cases = [
        ("{{ nodes.«bb».x }}", "bb"),
        ("{{ nodes.b.x ~ nodes.«bb».x }}", "bb"),
        ("{{ nodes.long.x ~ nodes.«lon».x }}", "lon"),
        ("{{ nodes[\"«b-b»\"].x }}", "b-b"),
        ("{{ nodes . «bb» . x }}", "bb"),
        ("{{ nodes.b.x ~ nodes.long.«b» }}", "b"),
        ("text {{ inputs.url }} and {{ inputs.«ulr» }}", "ulr"),
        ("{{ nodes.b.x ~ inputs.«b» }}", "b"),
        ("{{ inputs.url ~ «url» }}", "url"),
        ("{{ input.b ~ input.«c» }}", "c"),
        ("{{ nodes.«a».x }}", "a"),
    ];
    for (string, place) in cases {
        let value = string.replace(['«', '»'], "");
        let reader = text("a").config_value("b", value);
        let mut flow = workflow([reader, text("b"), text("long")], &[]);
        flow.add_input("url", serde_json::json!({"type": "string"})).unwrap();
        check_place(&flow, string, "expression.unknown_name", "/nodes/0/config/b", place);
    }
}

/// A node whose `when` is this rule in JSONLogic.
fn ruled(id: &str, rule: &str) -> NodeSpec {
    let rule = flowcore::value::read_json(rule).unwrap();
    text(id).when_logic(rule.as_object().unwrap().clone())
}

#[test]
fn rules_are_checked_as_expressions_are() {
    let cases = [
        ("nodes.«bb».x", "expression.unknown_name", "bb"),
        ("nodes.b.«z»", "expression.unknown_name", "z"),
        ("nodes.«a».x", "expression.unknown_name", "a"),
        ("inputs.«ulr».b", "expression.unknown_name", "ulr"),
        ("input.«c»", "expression.unknown_name", "c"),
    ];
    for (path, code, place) in cases {
        let written = path.replace(['«', '»'], "");
        let rule = format!(r#"{{"and": [true, {{"==": [{{"var": "{written}"}}, 1]}}]}}"#);
        let mut flow = workflow([ruled("a", &rule), text("b")], &[]);
        flow.add_input("url", serde_json::json!({"type": "string"})).unwrap();
        let found = diagnostics(&flow);
        let problem = found.iter().next().unwrap();
        assert_eq!((problem.code, found.len()), (code, 1), "{found}");
        assert_eq!(problem.pointer, "/nodes/0/when/and/1/==/0/var");
        assert_eq!(&written[problem.range_within().unwrap()], place, "{path}");
    }
    let rule = r#"{"and": [{"lenght": {"var": "inptus.a"}}, {"val": ["nodes", "bb", "x"]}]}"#;
    check(
        &workflow([ruled("a", rule)], &[]),
        &[
            "logic.unknown_operator /nodes/0/when/and/0/lenght → length",
            "expression.unknown_name /nodes/0/when/and/0/lenght/var → inputs",
        ],
    );
}

#[test]
fn the_when_of_a_workflow_reads_only_what_is_there_before_an_execution() {
    let cases = [
        ("inputs.«ulr» == 'x'", "ulr"),
        ("inputs.url == «nodes».a.x", "nodes"),
        ("«execution».attempt > 1", "execution"),
        ("«input».b", "input"),
        ("«item» == 1", "item"),
    ];
    for (string, place) in cases {
        let mut flow = workflow([text("a")], &[]);
        flow.add_input("url", serde_json::json!({"type": "string"})).unwrap();
        flow.when = Some(string.replace(['«', '»'], "").into());
        check_place(&flow, string, "expression.unknown_name", "/when", place);
        let rule = serde_json::json!({"==": [{"var": flow.when.clone().unwrap().to_json()}, 1]});
        if !string.contains(' ') {
            flow.when = Some(flowcore::Value::from_json(rule).unwrap());
            check(&flow, &["expression.unknown_name /when/==/0/var"]);
        }
    }
    let mut flow = workflow([text("a")], &[]);
    flow.add_input("url", serde_json::json!({"type": "string"})).unwrap();
    flow.when = Some("inputs.url == 'x' and workflow.id != secrets.name".into());
    check(&flow, &[]);
}

#[test]
fn a_rule_implies_connections() {
    let rule = |path: &str| format!(r#"{{"!": {{"missing": ["{path}"]}}}}"#);
    let nodes = [ruled("a", &rule("nodes.b.x")), ruled("b", &rule("nodes.a.x"))];
    check(&workflow(nodes, &[]), &["workflow.cycle /nodes/0"]);
}

#[test]
fn every_expression_of_a_text_is_checked() {
    let value = "{{ 1 + }}{{ inputs.ulr }}";
    let flow = workflow([text("a").config_value("b", value)], &[]);
    let diagnostics = diagnostics(&flow);
    let found = diagnostics.iter().map(|found| (found.code, found.range_within().unwrap().start));
    let expected =
        [("expression.syntax", 5), ("expression.unknown_name", value.find("ulr").unwrap())];
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

/// A reference waits for success, and the port `error` is live after a failure.
#[test]
fn the_port_error_is_read_only_where_it_can_be_live() {
    let reads = |id: &str| open(id).config_value("v", "{{ nodes.a.error.code }}");
    let never = ["expression.never_defined /nodes/1/config/v"];
    let flow = |reader: NodeSpec, links: &[&str]| workflow([open("a"), reader, open("c")], links);
    check(&flow(reads("b"), &[]), &never);
    check(&flow(reads("b"), &["a.x > b.y"]), &never);
    check(&flow(reads("b"), &["a.error > c"]), &never);
    check(&flow(reads("b"), &["a.error > b"]), &[]);
    check(&flow(reads("b"), &["a.error > b.y"]), &[]);
    check(&flow(reads("b").join(Join::Any), &["c > b", "a.error > c"]), &[]);
    check(&flow(reads("b").join(Join::Any), &["c > b"]), &never);
    let when = flow(open("b").when("nodes.a.error is defined"), &[]);
    check(&when, &["expression.never_defined /nodes/1/when"]);
    let mut outputs = flow(open("b"), &[]);
    outputs.add_output("o", "{{ nodes.a.error }}").unwrap();
    check(&outputs, &["expression.never_defined /outputs/o"]);
    let mut outputs = flow(open("b"), &["a.error > b"]);
    outputs.add_output("o", "{{ nodes.a.error }}").unwrap();
    check(&outputs, &[]);
    let place = "{{ 1 ~ nodes.a.«error» }}";
    let flow = flow(open("b").config_value("v", place.replace(['«', '»'], "")), &[]);
    check_place(&flow, place, "expression.never_defined", "/nodes/1/config/v", "error");
}

#[test]
fn outputs_and_conditions_are_checked_as_well() {
    let mut flow = workflow([text("a").when("nodes.b.x")], &[]);
    flow.add_output("deep/er", "{{ nodes.a.z }}").unwrap();
    flow.add_output("own", "{{ input.a }}").unwrap();
    flow.add_output("attempt", "{{ execution.attempt }}").unwrap();
    let unknown = |place: &str| format!("expression.unknown_name {place}");
    check(
        &flow,
        &[
            &unknown("/nodes/0/when"),
            &unknown("/outputs/deep~1er"),
            &unknown("/outputs/own"),
            &unknown("/outputs/attempt"),
        ],
    );
}

#[test]
fn a_condition_that_is_no_expression_is_refused() {
    let cases = [
        (serde_json::json!([{"==": [1, 1]}]), "node.wrong_type /nodes/0/when"),
        (serde_json::json!({"==": [1, 1], "!": 1}), "logic.syntax /nodes/0/when"),
        (serde_json::json!(true), "node.wrong_type /nodes/0/when"),
        (serde_json::json!(1), "node.wrong_type /nodes/0/when"),
    ];
    for (when, expected) in cases {
        let mut node = open("a");
        node.when = Some(flowcore::Value::from_json(when).unwrap());
        check(&workflow([node], &[]), &[expected]);
    }
}

#[test]
fn a_required_port_needs_a_connection_a_value_or_an_input() {
    let bare = |id: &str| NodeSpec::new(id, "text");
    let declared = |name: &str, nodes: Vec<NodeSpec>, links: &[&str]| {
        let mut flow = workflow(nodes, links);
        flow.add_input(name, serde_json::json!({})).unwrap();
        flow
    };
    check(&declared("a", vec![bare("n")], &[]), &[]);
    check(&declared("b", vec![bare("n")], &[]), &["port.unconnected /nodes/0"]);
    check(&declared("b", vec![text("n")], &[]), &[]);
    // Without declared inputs an execution takes any.
    check(&workflow([bare("n")], &[]), &[]);
    // A node with connections takes no execution inputs.
    let after = declared("a", vec![text("m"), bare("n")], &["m > n"]);
    check(&after, &["port.unconnected /nodes/1"]);
    let reads = bare("n").config_value("b", "{{ nodes.m.x }}");
    check(&declared("a", vec![text("m"), reads], &[]), &["port.unconnected /nodes/1"]);
    check(&declared("b", vec![text("m"), bare("n")], &["m.x > n.a"]), &[]);
}

#[test]
fn a_node_that_waits_for_success_and_failure_of_another_never_runs() {
    let never = ["join.never_runs /nodes/2"];
    let abc = |join| [open("a"), open("b"), open("c").join(join)];
    let cases: [(Join, &[&str], &[&str]); 8] = [
        (Join::All, &["a.x > c.x", "a.error > c.y"], &never),
        (Join::All, &["a > c", "a.error > c"], &never),
        (Join::All, &["a.error > b", "b > c", "a > c"], &never),
        (Join::Any, &["a.error > b", "b > c", "a > c"], &[]),
        (Join::First, &["a.error > b", "b > c", "a > c"], &[]),
        (Join::All, &["a.error > b", "b > c"], &[]),
        (Join::All, &["a.error > c.x", "b > c"], &[]),
        (Join::All, &["a.error > c.x", "b.error > c.y"], &[]),
    ];
    for (join, links, expected) in cases {
        check(&workflow(abc(join), links), expected);
    }
    // Of two ways to `b`, one asks for success and one for failure of `a`: it may run.
    let nodes = [open("a"), open("b").join(Join::Any), open("c"), open("d")];
    check(&workflow(nodes, &["a.error > c", "c > b", "a > b", "b > d", "a > d"]), &[]);
}

#[test]
fn every_problem_is_found_at_once() {
    let nodes = [
        NodeSpec::new("a", "txet"),
        text("b").config_value("b", "{{ 1 + }}"),
        text("c").config_value("b", "{{ nodes.nobody.x }}"),
        NodeSpec::new("d", "text").when("inputs.x +"),
    ];
    check(
        &workflow(nodes, &["b.q > c.b", "nobody > c", "c > d"]),
        &[
            "node.unknown_type /nodes/0/node_type → text",
            "connection.unknown_port /connections/0/from_port",
            "connection.unknown_node /connections/1/from_node",
            "expression.syntax /nodes/1/config/b",
            "expression.unknown_name /nodes/2/config/b",
            "expression.syntax /nodes/3/when",
            "port.unconnected /nodes/3",
        ],
    );
}

/// Edges among a few nodes; every second one is made by an expression.
fn graph() -> impl Strategy<Value = (u32, Vec<(u32, u32)>)> {
    (1..12_u32).prop_flat_map(|size| {
        (Just(size), proptest::collection::vec((0..size, 0..size), 0..size as usize * 2))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        rng_algorithm: prop::test_runner::RngAlgorithm::ChaCha,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_circle_passes_and_everything_else_does((size, edges) in graph()) {
        let mut nodes: Vec<NodeSpec> = (0..size).map(|index| open(&format!("n{index}"))).collect();
        let mut links = Vec::new();
        let mut is_own = false;
        for (number, (from, to)) in edges.iter().enumerate() {
            if number % 2 == 0 {
                links.push(format!("n{from} > n{to}"));
            } else {
                let key = format!("value{number}");
                let read = format!("{{{{ nodes.n{from}.x }}}}");
                let node = &mut nodes[*to as usize];
                *node = node.clone().config_value(&key, read);
                is_own |= from == to;
            }
        }
        let links: Vec<&str> = links.iter().map(String::as_str).collect();
        let found = diagnostics(&workflow(nodes, &links));
        let graph = petgraph::graph::DiGraph::<(), (), u32>::from_edges(edges);
        let is_cyclic = petgraph::algo::is_cyclic_directed(&graph);
        prop_assert_eq!(found.has_errors(), is_cyclic, "{}", found);
        let codes = found.iter().all(|found| {
            found.code == "workflow.cycle" || (is_own && found.code == "expression.unknown_name")
        });
        prop_assert!(codes, "{}", found);
    }
}

/// As many nodes as fit, on a thread with little stack: nothing recurses along the graph.
#[test]
fn a_long_chain_and_a_long_circle_need_no_stack() {
    let check = || {
        let size = 20_000;
        let mut flow = Workflow::new("long");
        for index in 0..size {
            flow.add_node(open(&format!("n{index}")));
        }
        for index in 1..size {
            flow.connect_after(&format!("n{}", index - 1), &format!("n{index}"));
        }
        assert!(compile_within(&flow, &registry(), &Limits::none()).plan.is_some());
        flow.connect_after(&format!("n{}", size - 1), "n0");
        let diagnostics = compile_within(&flow, &registry(), &Limits::none()).diagnostics;
        assert_eq!(
            diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(),
            ["workflow.cycle"]
        );
    };
    let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(check).unwrap();
    thread.join().unwrap();
}

/// Ten thousand nodes, each of which may fail: who needs what is found without a set for each.
#[test]
fn joins_of_many_nodes_that_may_fail_are_checked() {
    let size = 10_000;
    let mut flow = Workflow::new("wide");
    for index in 0..size {
        flow.add_node(open(&format!("n{index}")));
    }
    flow.add_node(open("handler").join(Join::Any)).add_node(open("never"));
    for index in 0..size {
        let id = format!("n{index}");
        flow.connect(&id, "error", "handler", "error");
        if index > 0 {
            flow.connect_after(&format!("n{}", index - 1), &id);
        }
    }
    flow.connect("n17", "error", "never", "error").connect_after("n9000", "never");
    check(&flow, &["join.never_runs /nodes/10001"]);
}

#[test]
fn a_connection_brings_what_its_port_takes() {
    let mut registry = NodeRegistry::new();
    let descriptor = NodeDescriptor::new("typed")
        .input(Port::new("text").typed::<String>())
        .input(Port::new("number").typed::<f64>())
        .input(Port::new("maybe").typed::<Option<String>>())
        .input(Port::new("any"))
        .output(Port::new("text").typed::<String>())
        .output(Port::new("count").typed::<u64>())
        .output(Port::new("any"));
    registry.register_function(descriptor, |_| Ok(flowcore::NodeOutput::new()));
    let problems = |from: &str, to: &str| {
        let text = format!(
            r#"{{"nodes": [{{"id": "a", "node_type": "typed"}}, {{"id": "b", "node_type": "typed"}}],
                "connections": [{{"from_node": "a", "from_port": "{from}", "to_node": "b", "to_port": "{to}"}}]}}"#
        );
        let workflow = Workflow::from_json(&text).unwrap();
        let found = compile_within(&workflow, &registry, &Limits::default()).diagnostics;
        let line = |found: &flowcore::Diagnostic| {
            format!("{found}; {}", found.hint.as_deref().unwrap_or_default())
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    for (from, to) in [
        ("text", "text"),
        ("text", "maybe"),
        ("count", "number"),
        ("count", "any"),
        ("any", "text"),
        ("error", "text"),
    ] {
        assert_eq!(problems(from, to), "", "{from} → {to}");
    }
    assert_eq!(
        problems("count", "text"),
        "error[connection.type_mismatch]: port `count` of node `a` gives integer, and port `text` of node `b` takes string (at /connections/0); in place of the connection: \"text\": \"{{ nodes.a.count | string }}\""
    );
    assert!(problems("text", "number").contains("| float"));
}
