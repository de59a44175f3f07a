//! Results that are reused: in one execution, in another one of the same runtime, until their time.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    CacheUse, Digest, Effect, Event, Execution, NodeDescriptor, NodeError, NodeOutput, Port,
    Secrets, Timestamp, Value,
};
use flowruntime::{FlowRuntime, FlowRuntimeBuilder, MemoryCache, ResultCache};
use serde_json::json;

use crate::support::{EXECUTIONS, Log, Ran, advance, on_current_thread, paused, run, workflow};

fn name(execution: Execution) -> &'static str {
    match execution {
        Execution::Inline => "double.inline",
        Execution::Async => "double.async",
        Execution::Task => "double.task",
        Execution::Blocking => "double.blocking",
        Execution::Control => unreachable!("no node type of a test"),
    }
}

/// Node types `double.*`, which note each call and fail for 13; and a node type `made`, with an
/// instance per execution.
fn builder(log: &Log) -> FlowRuntimeBuilder {
    let mut registry = flowcore::NodeRegistry::new();
    for execution in EXECUTIONS {
        // With ports of its own: one that takes any is given the index of an item as well.
        let mut descriptor = NodeDescriptor::new(name(execution)).execution(execution).stateless();
        descriptor.config_schema = None;
        let descriptor =
            descriptor.input(Port::new("n")).output(Port::new("out")).effect(Effect::Pure);
        let log = log.clone();
        let double = move |ctx: &flowcore::NodeContext| {
            let given = ctx.input("n").cloned().unwrap_or_default();
            log.note(given.to_string());
            match given.as_i64() {
                Some(13) => Err(NodeError::retryable("test.unlucky", "13")),
                Some(number) => Ok(NodeOutput::of("out", 2 * number)),
                None => Ok(NodeOutput::of("out", given)),
            }
        };
        if matches!(execution, Execution::Inline | Execution::Blocking) {
            registry.register_function(descriptor, double);
        } else {
            registry.register_async(descriptor, move |ctx| std::future::ready(double(&ctx)));
        }
    }
    let (descriptor, log) = (NodeDescriptor::untyped("made").effect(Effect::Pure), log.clone());
    registry.register_async(descriptor, move |_| {
        log.note("made");
        std::future::ready(Ok(NodeOutput::of("out", 1)))
    });
    FlowRuntime::builder().registry(registry)
}

fn flow(node_type: &str, cache: serde_json::Value) -> flowcore::Workflow {
    let node = json!({
        "id": "a", "node_type": node_type, "config": {"k": "{{ inputs.k | default(0) }}"}, "cache": cache,
    });
    workflow(json!({"nodes": [node], "inputs": {"n": {}, "k": {"default": 0}}}))
}

/// What the cache had, attempt for attempt: `a miss, b hit`, and `-` when it was not asked.
fn uses(ran: &Ran) -> String {
    let uses = ran.events.iter().filter_map(|event| match event.event()? {
        Event::NodeCompleted { cache, .. } => Some(match cache {
            Some(CacheUse::Hit) => format!("{} hit", event.node_id()?),
            Some(CacheUse::Miss) => format!("{} miss", event.node_id()?),
            None => format!("{} -", event.node_id()?),
        }),
        _ => None,
    });
    uses.collect::<Vec<_>>().join(", ")
}

async fn execute(runtime: &FlowRuntime, flow: &flowcore::Workflow, n: i64) -> (String, String) {
    let ran = run(runtime, flow, [("n", Value::from(n))]).await;
    (uses(&ran), ran.result.outputs.to_string())
}

both_flavours! {
    async fn a_result_is_reused_by_other_executions_wherever_the_node_runs() {
        for execution in EXECUTIONS {
            let log = Log::default();
            let runtime = builder(&log).build().unwrap();
            let flow = flow(name(execution), json!({"ttl_ms": 60_000}));
            let (miss, hit) = ("a miss".to_owned(), "a hit".to_owned());
            let four = r#"{"a":{"out":4}}"#.to_owned();
            assert_eq!(execute(&runtime, &flow, 2).await, (miss.clone(), four.clone()));
            assert_eq!(execute(&runtime, &flow, 2).await, (hit, four));
            assert_eq!(execute(&runtime, &flow, 3).await.0, miss);
            assert_eq!(log.joined(), "2, 3", "{execution:?}");
            assert_eq!(runtime.running_attempts(), 0);
            let other = builder(&log).build().unwrap();
            assert_eq!(execute(&other, &flow, 2).await.0, miss, "of another runtime");
        }
    }

    async fn a_hit_makes_no_instance() {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let flow = flow("made", json!({"ttl_ms": 60_000}));
        for use_of in ["a miss", "a hit", "a hit"] {
            assert_eq!(execute(&runtime, &flow, 2).await.0, use_of);
        }
        assert_eq!(log.len(), 1);
    }

    async fn equal_items_share_a_result() {
        for execution in EXECUTIONS {
            let log = Log::default();
            let runtime = builder(&log).build().unwrap();
            let body = json!({"nodes": [{
                "id": "d", "node_type": name(execution), "config": {"n": "{{ item }}"},
                "cache": {"ttl_ms": 1_000},
            }]});
            let flow = workflow(json!({"nodes": [{
                "id": "each", "node_type": "control.for_each",
                "config": {"items": [1, 2, 1, 1], "max_concurrency": 1, "body": body},
            }]}));
            let ran = run(&runtime, &flow, ()).await;
            let expected =
                "each[0].d miss, each[1].d miss, each[2].d hit, each[3].d hit, each -";
            assert_eq!(uses(&ran), expected, "{execution:?}");
            assert_eq!(log.joined(), "1, 2");
            let results = &ran.result.outputs;
            assert_eq!(results.pointer("/each/results/3/d/out"), Some(&Value::from(2)), "{results}");
        }
    }

    async fn nothing_that_comes_from_a_secret_is_kept() {
        for execution in EXECUTIONS {
            let log = Log::default();
            let secrets = Secrets::new([("token".to_owned(), Value::from("abc"))]);
            let cache = Arc::new(MemoryCache::default());
            let runtime = builder(&log).secrets(secrets).result_cache(cache.clone());
            let runtime = runtime.build().unwrap();
            let node = |id: &str, config: serde_json::Value, cache: serde_json::Value| {
                json!({"id": id, "node_type": name(execution), "config": config, "cache": cache})
            };
            let flow = workflow(json!({"nodes": [
                node("a", json!({"n": "{{ secrets.token }}"}), json!({"ttl_ms": 1_000})),
                node("b", json!({"n": "{{ nodes.a.out }}"}), json!({"ttl_ms": 1_000, "key": "1"})),
                node("c", json!({"n": "{{ nodes.b.out | length }}"}),
                    json!({"ttl_ms": 1_000, "key": "secrets.token"})),
            ]}));
            for _ in 0..2 {
                let ran = run(&runtime, &flow, ()).await;
                assert_eq!(uses(&ran), "a -, b -, c -", "{execution:?}");
            }
            assert_eq!(log.len(), 6);
            assert!(cache.is_empty());
        }
    }
}

#[test]
fn a_result_is_good_until_its_time() {
    paused(async {
        for execution in EXECUTIONS {
            let log = Log::default();
            let runtime = builder(&log).build().unwrap();
            let flow = flow(name(execution), json!({"ttl_ms": 1_000}));
            assert_eq!(execute(&runtime, &flow, 2).await.0, "a miss");
            advance(Duration::from_millis(999)).await;
            assert_eq!(execute(&runtime, &flow, 2).await.0, "a hit");
            advance(Duration::from_millis(1)).await;
            assert_eq!(execute(&runtime, &flow, 2).await.0, "a miss");
            assert_eq!(log.len(), 2, "a hit makes no result last longer");
        }
    });
}

#[test]
fn with_a_key_only_the_key_counts() {
    on_current_thread(async {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let flow = flow("double.inline", json!({"ttl_ms": 60_000, "key": "inputs.n % 2"}));
        assert_eq!(execute(&runtime, &flow, 2).await.0, "a miss");
        let reused = ("a hit".to_owned(), r#"{"a":{"out":4}}"#.to_owned());
        assert_eq!(execute(&runtime, &flow, 4).await, reused);
        assert_eq!(execute(&runtime, &flow, 5).await.0, "a miss");
    });
}

#[test]
fn a_key_that_fails_fails_the_attempt() {
    on_current_thread(async {
        for execution in EXECUTIONS {
            let log = Log::default();
            let runtime = builder(&log).build().unwrap();
            let flow = flow(name(execution), json!({"ttl_ms": 1, "key": "inputs.n.deep.er"}));
            let ran = run(&runtime, &flow, [("n", Value::from(1))]).await;
            assert_eq!(ran.result.error.unwrap().code, "expression.undefined", "{execution:?}");
            assert_eq!((log.len(), runtime.running_attempts()), (0, 0));
        }
    });
}

#[test]
fn failures_are_not_kept() {
    paused(async {
        for execution in EXECUTIONS {
            let log = Log::default();
            let runtime = builder(&log).build().unwrap();
            let mut flow = flow(name(execution), json!({"ttl_ms": 60_000}));
            flow.nodes[0].retry_policy = Some(Box::new(flowcore::RetryPolicy {
                max_attempts: 2,
                ..flowcore::RetryPolicy::default()
            }));
            let ran = run(&runtime, &flow, [("n", Value::from(13))]).await;
            assert_eq!(ran.result.error.unwrap().code, "test.unlucky");
            assert_eq!(log.joined(), "13, 13", "{execution:?}");
        }
    });
}

/// A cache that says what it is told.
#[derive(Default)]
struct Told(Log);

impl ResultCache for Told {
    fn get(&self, key: &Digest, _now: Timestamp) -> Option<NodeOutput> {
        self.0.note(format!("get {key}"));
        None
    }

    fn put(&self, key: Digest, outputs: NodeOutput, _until: Timestamp) {
        self.0.note(format!("put {key} {outputs:?}"));
    }
}

#[test]
fn a_program_may_bring_its_own_cache_and_keys_never_change() {
    on_current_thread(async {
        let told = Arc::new(Told::default());
        let runtime = builder(&Log::default()).result_cache(told.clone()).build().unwrap();
        execute(&runtime, &flow("double.task", json!({"ttl_ms": 1})), 2).await;
        let key = "905d1a54ae189e640ae5978a9b4169396167736ffb14d436b64813be35a643c0";
        assert_eq!(told.0.joined(), format!("get {key}, put {key} {{\"out\": 4}}"));
    });
}
