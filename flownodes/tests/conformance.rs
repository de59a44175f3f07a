//! What holds for every node type, whoever wrote it.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    AttemptSignals, CancelReason, Clock, ContextBuilder, Effect, Example, Execution, NodeConfig,
    NodeContext, NodeDescriptor, NodeError, NodeInstance, NodeOutput, NodeRegistry, Object, Policy,
    RegisteredNode, Timestamp, Value,
};
use serde_json::{Value as Json, json};

/// Node types that touch the outside. Under a policy that allows nothing their examples must fail,
/// and those of all others must not notice.
const TOUCHES: [&str; 4] = ["file.", "http.", "shell.", "sql."];

/// Examples that cannot run here, and what runs them instead.
const ELSEWHERE: [(&str, &str); 1] = [("http.request", "its own tests, against a local server")];

/// How long a cancelled attempt that listens may take.
const GRACE: Duration = Duration::from_secs(10);

fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    flownodes::register_all(&mut registry);
    registry
}

/// The node types that have attempts, and outputs. What the machine itself runs, and what only
/// fails, is tested with a runtime.
fn nodes() -> Vec<RegisteredNode> {
    let is_here = |node: &&RegisteredNode| {
        let NodeDescriptor { execution, node_type, .. } = &*node.descriptor;
        *execution != Execution::Control && node_type != "control.fail"
    };
    registry().iter().filter(is_here).cloned().collect()
}

fn touches_the_outside(node_type: &str) -> bool {
    TOUCHES.iter().any(|prefix| node_type.starts_with(prefix))
}

fn object(json: &Json) -> Object {
    let value = Value::from_json(json.clone()).expect("examples are not deep");
    value.as_object().cloned().unwrap_or_default()
}

/// A context in which an example runs: nothing is allowed, and sleeping takes no time.
fn context(node: &RegisteredNode, config: &Object, inputs: &Json) -> ContextBuilder {
    let builder = object(inputs).iter().fold(NodeContext::builder(), |builder, (port, value)| {
        builder.input(port.clone(), value.clone())
    });
    builder.config_for(&node.descriptor, config)
}

/// One attempt, from the factory to the end, as the engine does it.
async fn run(
    node: &RegisteredNode,
    config: &Object,
    ctx: NodeContext,
) -> Result<NodeOutput, NodeError> {
    match node.factory.instance(&NodeConfig::new(config.clone()))? {
        NodeInstance::Inline(node) => node.call(&ctx),
        NodeInstance::Node(mut instance) => {
            let has_life = !node.descriptor.stateless;
            if has_life {
                instance.initialize().await?;
            }
            let result = instance.execute(ctx).await;
            if has_life {
                instance.shutdown().await?;
            }
            result
        }
    }
}

/// Names of fields and ports that workflow files rely on: node type, input ports and fields of the
/// config, output ports. Others may join them; none of them goes.
const RELIED_ON: [(&str, &[&str], &[&str]); 9] = [
    (
        "http.request",
        &["method", "url", "headers", "query", "body"],
        &["status", "headers", "body", "json", "success"],
    ),
    ("transform.json_parse", &["json"], &["parsed"]),
    ("transform.json_stringify", &["value"], &["json"]),
    ("transform.jq", &["filter", "input"], &["output"]),
    ("transform.template", &["template"], &["output"]),
    ("time.delay", &["delay_ms"], &[]),
    ("debug.log", &["message"], &["message"]),
    (
        "shell.exec",
        &["command", "args", "shell", "env", "workdir", "stdin", "fail_on_error"],
        &["output", "stdout", "stderr", "exit_code", "success"],
    ),
    ("file.read", &["path"], &["content"]),
];

/// Runs an example under a policy.
async fn run_example(
    node: &RegisteredNode,
    example: &Example,
    policy: Policy,
) -> Result<NodeOutput, NodeError> {
    let config = object(&example.config);
    let ctx = context(node, &config, &example.inputs).policy(policy).build();
    run(node, &config, ctx).await
}

/// Runs the first example with another config and nothing allowed.
async fn run_with_config(node: &RegisteredNode, config: &Json) -> Result<NodeOutput, NodeError> {
    let config = object(config);
    let inputs = &node.descriptor.examples[0].inputs;
    run(node, &config, context(node, &config, inputs).build()).await
}

/// Time of the tokio runtime, which stands still unless everything waits.
struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::default()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The properties of a config schema.
fn properties(descriptor: &NodeDescriptor) -> Vec<(&str, &Json)> {
    let schema = descriptor.config_schema.as_ref();
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Json::as_object);
    properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema)).collect()
}

#[test]
fn descriptors_are_complete() {
    for node in nodes().iter() {
        check_descriptor(&node.descriptor);
        let config = NodeConfig::new(object(&node.descriptor.examples[0].config));
        let node_type = &*node.descriptor.node_type;
        assert_eq!(node.factory.node_type(), node_type);
        let is_function = match node.factory.instance(&config).unwrap() {
            NodeInstance::Inline(_) => true,
            NodeInstance::Node(instance) => {
                assert_eq!(instance.node_type(), node_type);
                false
            }
        };
        let execution = node.descriptor.execution;
        let runs_as_function = matches!(execution, Execution::Inline | Execution::Blocking);
        assert_eq!(is_function, runs_as_function, "{node_type} runs as {execution:?}");
    }
}

#[test]
fn names_that_files_rely_on_stay() {
    for (node_type, given, outputs) in RELIED_ON {
        let registry = registry();
        let descriptor = &registry.get(node_type).expect(node_type).descriptor;
        let fields = properties(descriptor);
        for name in given {
            let is_field = fields.iter().any(|(field, _)| field == name);
            assert!(is_field || descriptor.input_port(name).is_some(), "{node_type}: {name}");
        }
        for name in outputs {
            assert!(descriptor.output_port(name).is_some(), "{node_type}: {name}");
        }
    }
}

fn check_descriptor(descriptor: &NodeDescriptor) {
    let name = &descriptor.node_type;
    assert!(descriptor.version >= 1, "{name} has no version");
    let summary = descriptor.summary.trim();
    assert!(!summary.is_empty() && !summary.contains('\n'), "{name} has no one-line summary");
    assert!(!descriptor.description.trim().is_empty(), "{name} has no description");
    assert!(!descriptor.category.is_empty(), "{name} has no category");
    for ports in [&descriptor.inputs, &descriptor.outputs] {
        for (index, port) in ports.iter().enumerate() {
            assert!(
                !port.description.trim().is_empty(),
                "{name}: `{}` is not described",
                port.name
            );
            let earlier = &ports[..index];
            assert!(earlier.iter().all(|other| other.name != port.name), "{name}: {}", port.name);
        }
    }
    assert!(descriptor.output_port("error").is_none(), "{name}: every node has the port `error`");
    check_config_schema(descriptor);
    assert!(!descriptor.examples.is_empty(), "{name} has no example");
    descriptor.examples.iter().for_each(|example| check_example(descriptor, example));
}

fn check_config_schema(descriptor: &NodeDescriptor) {
    let name = &descriptor.node_type;
    let Some(schema) = &descriptor.config_schema else { panic!("{name} takes any config") };
    assert_eq!(schema.get("additionalProperties"), Some(&json!(false)), "{name} takes any field");
    for (field, schema) in properties(descriptor) {
        let described = schema.get("description").and_then(Json::as_str);
        assert!(described.is_some_and(|text| !text.is_empty()), "{name}: `{field}` not described");
        assert!(descriptor.input_port(field).is_none(), "{name}: `{field}` is a port and a field");
    }
    for raw in &descriptor.raw_fields {
        let known = properties(descriptor).iter().any(|(field, _)| field == raw);
        assert!(known, "{name}: there is no field `{raw}` to be raw");
    }
}

fn check_example(descriptor: &NodeDescriptor, example: &Example) {
    let name = format!("{}, {}", descriptor.node_type, example.title);
    assert!(!example.title.trim().is_empty(), "{name}: no title");
    for (key, _) in example.config.as_object().expect(&name) {
        let is_field = properties(descriptor).iter().any(|(field, _)| field == key);
        assert!(is_field || descriptor.input_port(key).is_some(), "{name}: config `{key}`");
    }
    for (port, _) in example.inputs.as_object().expect(&name) {
        let known = descriptor.open_inputs || descriptor.input_port(port).is_some();
        assert!(known, "{name}: input `{port}`");
    }
    for (port, _) in example.outputs.as_object().expect(&name) {
        let known = descriptor.open_outputs || descriptor.output_port(port).is_some();
        assert!(known, "{name}: output `{port}`");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_configs_are_refused() {
    for node in nodes().iter() {
        let good = &node.descriptor.examples[0].config;
        let properties = properties(&node.descriptor);
        if !properties.is_empty() {
            check_refused(node, good, "no_such_field", json!(1)).await;
        }
        let schema = node.descriptor.config_schema.as_ref().unwrap();
        for (field, property) in properties {
            let candidates = [json!({ "no_such_field": 1 }), json!([[]]), json!(-0.5), json!(true)];
            let wrong = candidates.into_iter().find(|value| !allows(property, schema, value));
            if let Some(wrong) = wrong {
                check_refused(node, good, field, wrong).await;
            }
        }
    }
}

async fn check_refused(node: &RegisteredNode, good: &Json, field: &str, value: Json) {
    let mut config = good.clone();
    config[field] = value;
    let name = &node.descriptor.node_type;
    match run_with_config(node, &config).await {
        Err(error) => assert_eq!(error.code(), "config.invalid", "{name} {config}: {error}"),
        Ok(output) => panic!("{name} takes {config}: {output:?}"),
    }
}

/// Whether a schema may allow a value; knows what schemas of configs are made of, and takes the rest
/// for allowed.
fn allows(schema: &Json, root: &Json, value: &Json) -> bool {
    let path = schema.get("$ref").and_then(Json::as_str).and_then(|path| path.strip_prefix('#'));
    let schema = path.and_then(|path| root.pointer(path)).unwrap_or(schema);
    if let Some(expected) = schema.get("const") {
        return expected == value;
    }
    if let Some(expected) = schema.get("enum").and_then(Json::as_array) {
        return expected.contains(value);
    }
    let options = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Json::as_array);
    if let Some(options) = options {
        return options.iter().any(|option| allows(option, root, value));
    }
    let has_type = |name: &Json| match (name.as_str(), value) {
        (Some("object"), Json::Object(entries)) => {
            let named = schema.get("properties").is_some();
            let closed = schema.get("additionalProperties") == Some(&json!(false));
            let values = schema.get("additionalProperties").filter(|values| values.is_object());
            let inner = |value| values.is_none_or(|schema| allows(schema, root, value));
            !(named && closed) && entries.values().all(inner)
        }
        (Some("array"), Json::Array(items)) => {
            let inner = |item| schema.get("items").is_none_or(|schema| allows(schema, root, item));
            items.iter().all(inner)
        }
        (Some("integer"), Json::Number(number)) => number.is_i64() || number.is_u64(),
        (Some("number"), Json::Number(_))
        | (Some("boolean"), Json::Bool(_))
        | (Some("string"), Json::String(_))
        | (Some("null"), Json::Null) => true,
        _ => false,
    };
    match schema.get("type") {
        None => true,
        Some(Json::Array(names)) => names.iter().any(has_type),
        Some(name) => has_type(name),
    }
}

/// Makes the files that examples read.
fn prepare(directory: &Path) {
    let path = directory.join("greeting.txt");
    std::fs::write(path, "hello\n").expect("a new directory can be written to");
    #[cfg(feature = "sqlite")]
    rusqlite::Connection::open(directory.join("orders.db"))
        .and_then(|database| {
            database.execute_batch(
                "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, amount INTEGER);
                 INSERT INTO orders VALUES (1, 'ada', 5), (2, 'grace', 20), (3, 'ada', 42);",
            )
        })
        .expect("a new database can be written to");
}

// Programs take real time, so it is not paused here.
#[tokio::test]
async fn examples_give_their_outputs() {
    for node in nodes().iter() {
        let name = &*node.descriptor.node_type;
        if ELSEWHERE.iter().any(|(other, _)| *other == name) {
            continue;
        }
        for example in &node.descriptor.examples {
            let directory = tempfile::tempdir().unwrap();
            prepare(directory.path());
            let policy = Policy::allow_all(directory.path());
            let title = &example.title;
            let output = run_example(node, example, policy).await;
            let output = output.unwrap_or_else(|error| panic!("{name}, {title}: {error:?}"));
            check_outputs(node, example, &output);
        }
    }
}

fn check_outputs(node: &RegisteredNode, example: &Example, output: &NodeOutput) {
    let name = format!("{}, {}", node.descriptor.node_type, example.title);
    for (port, expected) in object(&example.outputs).iter() {
        assert_eq!(output.get(port), Some(expected), "{name}: `{port}`");
    }
    for (port, _) in output.iter() {
        let known = node.descriptor.open_outputs || node.descriptor.output_port(port).is_some();
        assert!(known, "{name}: there is no output port `{port}`");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_is_not_touched() {
    for node in nodes().iter() {
        let name = &*node.descriptor.node_type;
        for example in &node.descriptor.examples {
            let result = run_example(node, example, Policy::deny_all()).await;
            match result {
                Ok(_) => assert!(!touches_the_outside(name), "{name}: {}", example.title),
                Err(error) => {
                    assert!(touches_the_outside(name), "{name}, {}: {error:?}", example.title);
                    assert!(error.code().starts_with("policy."), "{name}: {error:?}");
                }
            }
        }
        if node.descriptor.effect == Effect::Pure {
            assert!(!touches_the_outside(name), "{name} is not pure");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pure_nodes_give_the_same_twice() {
    for node in nodes().iter().filter(|node| node.descriptor.effect == Effect::Pure) {
        for example in &node.descriptor.examples {
            let first = run_example(node, example, Policy::deny_all()).await.unwrap();
            let second = run_example(node, example, Policy::deny_all()).await.unwrap();
            assert_eq!(first, second, "{}", node.descriptor.node_type);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cancelled_attempts_end() {
    for node in nodes().iter() {
        for example in &node.descriptor.examples {
            let name = format!("{}, {}", node.descriptor.node_type, example.title);
            let signals = Arc::new(AttemptSignals::default());
            let config = object(&example.config);
            let ctx = context(node, &config, &example.inputs).clock(Arc::new(TokioClock));
            let ctx = ctx.signals(signals.clone()).build();
            let mut attempt = Box::pin(run(node, &config, ctx));
            if poll_once(attempt.as_mut()).await.is_some() {
                continue;
            }
            // One that does not listen is dropped, which is an end as well.
            if signals.cancel(CancelReason::Requested) {
                let ended = tokio::time::timeout(GRACE, attempt).await;
                assert!(ended.is_ok(), "{name} goes on after it was cancelled");
            }
        }
    }
}

/// The result of a future, if it has one at once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn missing_inputs_are_errors() {
    for node in nodes().iter() {
        let descriptor = &node.descriptor;
        let fields: Vec<_> = object(&descriptor.examples[0].config)
            .iter()
            .filter(|(key, _)| descriptor.input_port(key).is_none())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let config = Object::from_entries(fields).unwrap();
        let result = run(node, &config, context(node, &config, &json!({})).build()).await;
        if descriptor.inputs.iter().any(|port| port.required) {
            let code = result.map_err(|error| error.code().to_owned());
            assert_eq!(code, Err("input.missing".to_owned()), "{}", descriptor.node_type);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn inputs_of_any_type_end_in_a_result() {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(""),
        json!("{{ x"),
        json!({ "$bytes": "/w==" }),
        json!([]),
        json!([[], {}, null, "a", 1]),
        json!({}),
        json!({ "": null, "a": [] }),
    ];
    for node in nodes().iter() {
        for port in &node.descriptor.inputs {
            for value in &values {
                let config = object(&node.descriptor.examples[0].config);
                let mut inputs = node.descriptor.examples[0].inputs.clone();
                inputs[&*port.name] = value.clone();
                let ctx = context(node, &config, &inputs).build();
                if let Err(error) = run(node, &config, ctx).await {
                    assert!(error.code().contains('.'), "{}: {error:?}", node.descriptor.node_type);
                    assert!(!error.message().is_empty(), "{error:?}");
                }
            }
        }
    }
}
