//! Workflows that are crashed.

use flowcore::Workflow;
use serde_json::{Value as Json, json};

/// A workflow, and the signals that it is sent.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) workflow: Workflow,
    pub(crate) signals: Vec<&'static str>,
}

fn workload(name: &'static str, mut file: Json) -> Workload {
    file["id"] = json!(name.replace(' ', "-"));
    let (workflow, diagnostics) = Workflow::from_value(&flowcore::Value::from_json(file).unwrap());
    assert!(!diagnostics.has_errors(), "{name}: {diagnostics}");
    Workload { name, workflow, signals: Vec::new() }
}

fn signalled(name: &'static str, file: Json, signals: &[&'static str]) -> Workload {
    Workload { signals: signals.to_vec(), ..workload(name, file) }
}

fn chain(ids: &[&str]) -> Json {
    ids.windows(2).map(|pair| json!({"from_node": pair[0], "to_node": pair[1]})).collect()
}

/// A node whose config is `config`.
fn node(id: &str, node_type: &str, config: Json) -> Json {
    json!({"id": id, "node_type": node_type, "config": config})
}

fn seen(id: &str) -> Json {
    node(id, "seen.task", json!({}))
}

fn with(mut node: Json, key: &str, value: Json) -> Json {
    node[key] = value;
    node
}

fn retried(id: &str, fails: u32) -> Json {
    let retry = json!({"max_attempts": 5, "delay_ms": 100});
    with(node(id, "seen.async", json!({"fails": fails})), "retry_policy", retry)
}

fn reading(id: &str, expression: &str) -> Json {
    node(id, "seen.task", json!({"given": expression}))
}

fn body(nodes: &[Json], connections: Json) -> Json {
    json!({"nodes": nodes, "connections": connections})
}

/// All of them.
pub(crate) fn all() -> Vec<Workload> {
    let mut all = plain();
    all.extend(endings());
    all.extend(control());
    all.extend(waiting());
    all
}

fn plain() -> Vec<Workload> {
    let mixed = ["pure.inline", "seen.inline", "seen.task", "seen.blocking", "pure.task"];
    let mixed: Vec<Json> = ["a", "b", "c", "d", "e"]
        .iter()
        .zip(mixed)
        .map(|(id, node_type)| node(id, node_type, json!({})))
        .collect();
    let wide: Vec<Json> = (0..8).map(|n| seen(&format!("n{n}"))).collect();
    vec![
        workload(
            "chain",
            json!({"nodes": [seen("a"), seen("b"), seen("c"), seen("d")],
                   "connections": chain(&["a", "b", "c", "d"])}),
        ),
        workload(
            "each way of running",
            json!({"nodes": mixed, "connections": chain(&["a", "b", "c", "d", "e"])}),
        ),
        workload("side by side", json!({"nodes": wide})),
        workload("few at a time", json!({"nodes": wide, "settings": {"max_parallel_nodes": 2}})),
        workload(
            "diamond",
            json!({"nodes": [
                seen("a"), reading("b", "{{ nodes.a.out.told }}"),
                node("c", "pure.task", json!({"given": "{{ nodes.a.out.told }}", "sleep_ms": 50})),
                reading("d", "{{ nodes.b.out.told ~ nodes.c.out.told }}"),
            ]}),
        ),
        workload(
            "retries",
            json!({"nodes": [retried("a", 2), retried("b", 1), seen("c")],
                                   "connections": chain(&["a", "b", "c"])}),
        ),
        workload(
            "never twice",
            json!({"nodes": [
                with(seen("a"), "effect", json!("once")),
                with(node("b", "seen.inline", json!({})), "effect", json!("once")),
                seen("c"),
            ], "connections": chain(&["a", "b", "c"])}),
        ),
        workload(
            "large values",
            json!({"nodes": [
                node("a", "seen.task", json!({"size": 1_100_000})),
                node("b", "pure.inline", json!({"given": "{{ nodes.a.out.size | length }}"})),
                reading("c", "{{ nodes.b.out.told }}"),
            ]}),
        ),
        workload(
            "skips",
            json!({"nodes": [
                seen("a"),
                with(seen("b"), "when", json!("nodes.a.out.size == 'x'")),
                seen("c"), with(seen("d"), "join", json!("any")),
            ], "connections": [
                {"from_node": "a", "to_node": "b"}, {"from_node": "b", "to_node": "c"},
                {"from_node": "a", "to_node": "d"}, {"from_node": "c", "to_node": "d"},
            ]}),
        ),
    ]
}

fn endings() -> Vec<Workload> {
    let broken = node("broken", "seen.task", json!({"broken": true, "sleep_ms": 20}));
    let slow = node("slow", "seen.task", json!({"sleep_ms": 10_000}));
    vec![
        workload("a failure stops", json!({"nodes": [seen("a"), broken, slow]})),
        workload(
            "a failure is handled",
            json!({"nodes": [broken, seen("then")], "connections": [
                {"from_node": "broken", "from_port": "error", "to_node": "then"}]}),
        ),
        workload(
            "a failure is passed over",
            json!({"nodes": [broken, seen("then"), seen("other")],
                   "connections": chain(&["broken", "then"]),
                   "settings": {"on_error": "ContinueOnError"}}),
        ),
        workload(
            "rounds",
            json!({"nodes": [seen("a"), broken], "connections": chain(&["a", "broken"]),
                   "settings": {"on_error": {"RetryWorkflow": {"max_attempts": 3}}}}),
        ),
        workload(
            "taken back",
            json!({"nodes": [
                with(seen("book"), "undo", json!({"node_type": "seen.task",
                     "config": {"given": "{{ nodes.book.out.told }}"}})),
                with(seen("pay"), "undo", json!({"node_type": "seen.inline"})),
                broken,
            ], "connections": chain(&["book", "pay", "broken"])}),
        ),
        workload(
            "the first wins",
            json!({"nodes": [seen("fast"), slow, with(seen("end"), "join", json!("first"))],
                   "connections": [
                       {"from_node": "fast", "to_node": "end"},
                       {"from_node": "slow", "to_node": "end"}]}),
        ),
    ]
}

fn control() -> Vec<Workload> {
    let step = || body(&[seen("x"), retried("y", 1)], chain(&["x", "y"]));
    let each = json!({"items": [1, 2, 3, 4, 5], "max_concurrency": 2, "body": step()});
    let twice = json!({"max_iterations": 3, "while": "index < 2", "body": step()});
    let failing = body(&[node("b", "seen.task", json!({"broken": true}))], json!([]));
    let tried = json!({"body": failing, "catch": body(&[seen("c")], json!([])),
                       "finally": body(&[seen("f")], json!([]))});
    vec![
        workload("each item", json!({"nodes": [node("each", "control.for_each", each)]})),
        workload("iterations", json!({"nodes": [node("loop", "control.loop", twice)]})),
        workload(
            "try",
            json!({"nodes": [node("try", "control.try", tried), seen("after")],
                               "connections": chain(&["try", "after"])}),
        ),
        workload(
            "race",
            json!({"nodes": [node("race", "control.parallel_race", json!({"branches": [
                body(&[node("s", "seen.task", json!({"sleep_ms": 5_000}))], json!([])),
                body(&[seen("q")], json!([])),
            ]})), seen("after")], "connections": chain(&["race", "after"])}),
        ),
        workload(
            "inside of each other",
            json!({"nodes": [node("outer", "control.for_each", json!({"items": [1, 2], "body":
                body(&[node("inner", "control.for_each", json!({"items": [1, 2],
                       "body": body(&[seen("x")], json!([]))}))], json!([]))}))]}),
        ),
    ]
}

fn waiting() -> Vec<Workload> {
    let delay = |id, ms: u64| node(id, "time.delay", json!({"delay_ms": ms}));
    vec![
        workload(
            "delays",
            json!({"nodes": [seen("a"), delay("long", 5_000), seen("b"), delay("short", 10),
                             seen("c")],
                   "connections": chain(&["a", "long", "b", "short", "c"])}),
        ),
        signalled(
            "signals",
            json!({"nodes": [seen("a"), node("go", "wait.signal", json!({})), seen("b"),
                             node("on", "wait.signal", json!({})), seen("c")],
                   "connections": chain(&["a", "go", "b", "on", "c"])}),
            &["go", "on"],
        ),
        workload(
            "a wait beside work",
            json!({"nodes": [delay("long", 5_000), seen("a"), retried("b", 3), seen("end")],
                   "connections": [
                       {"from_node": "a", "to_node": "b"}, {"from_node": "b", "to_node": "end"},
                       {"from_node": "long", "to_node": "end"}]}),
        ),
    ]
}
