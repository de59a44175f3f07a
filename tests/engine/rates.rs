//! How often attempts start, under paused time.

use std::time::Duration;

use flowcore::{Event, Execution, ExecutionStatus, NodeError, NodeOutput, Wait, Workflow};
use flowruntime::{FlowRuntime, FlowRuntimeBuilder, Received};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::support::{EXECUTIONS, Log, advance, kind, paused, run, watch, workflow};

/// Node types that note when they are called, in milliseconds: `note.*` in each place where attempts
/// can run, `fails`, which asks for another attempt, and `slow`, which takes two seconds.
fn builder(log: &Log) -> FlowRuntimeBuilder {
    let mut registry = flowcore::NodeRegistry::new();
    let origin = Instant::now();
    let note = {
        let log = log.clone();
        move |ctx: &flowcore::NodeContext| {
            log.note(format!("{} {}", ctx.address(), origin.elapsed().as_millis()));
            Ok(NodeOutput::of("out", 1))
        }
    };
    for execution in EXECUTIONS {
        let descriptor = kind(name(execution), execution);
        let note = note.clone();
        if matches!(execution, Execution::Inline | Execution::Blocking) {
            registry.register_function(descriptor, note);
        } else {
            registry.register_async(descriptor, move |ctx| std::future::ready(note(&ctx)));
        }
    }
    registry.register_async(kind("fails", Execution::Async), {
        let note = note.clone();
        move |ctx| {
            let noted = note(&ctx);
            async move { noted.and(Err(NodeError::retryable("test.failed", "it failed"))) }
        }
    });
    registry.register_async(kind("slow", Execution::Task), move |ctx| {
        let noted = note(&ctx);
        async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            noted
        }
    });
    FlowRuntime::builder().registry(registry)
}

fn name(execution: Execution) -> &'static str {
    match execution {
        Execution::Inline => "note.inline",
        Execution::Async => "note.async",
        Execution::Task => "note.task",
        Execution::Blocking => "note.blocking",
        Execution::Control => unreachable!("no node type of a test"),
    }
}

fn flow(nodes: &[(&str, &str)], limits: Json) -> Workflow {
    let nodes: Vec<Json> =
        nodes.iter().map(|(id, node_type)| json!({"id": id, "node_type": node_type})).collect();
    workflow(json!({"nodes": nodes, "settings": {"rate_limits": limits}}))
}

/// How late a timer may be: tokio's have the precision of a millisecond.
fn rounded(lines: &[String]) -> String {
    let round = |line: &String| {
        let (what, millis) = line.rsplit_once(' ').unwrap();
        format!("{what} {}", (millis.parse::<u64>().unwrap() + 5) / 10 * 10)
    };
    lines.iter().map(round).collect::<Vec<_>>().join(", ")
}

#[test]
fn attempts_start_in_order_and_no_more_than_the_limit_wherever_they_run() {
    for execution in EXECUTIONS {
        paused(async {
            let log = Log::default();
            let runtime = builder(&log).build().unwrap();
            let kind = name(execution);
            let nodes = [("a", kind), ("b", kind), ("c", kind), ("d", kind), ("e", kind)];
            let limits = json!([{"node_type": kind, "limit": 2, "per_ms": 1_000}]);
            let ran = run(&runtime, &flow(&nodes, limits), ()).await;
            assert!(ran.result.is_success());
            let lines = log.lines();
            let mut times: Vec<u64> =
                lines.iter().map(|line| line[2..].parse::<u64>().unwrap() / 10 * 10).collect();
            times.sort_unstable();
            assert_eq!(times, [0, 0, 1_000, 1_000, 2_000], "{execution:?}");
            if execution != Execution::Blocking {
                assert_eq!(rounded(&lines), "a 0, b 0, c 1000, d 1000, e 2000");
            }
            let waits = ran.events.iter().filter_map(|event| match event.event()? {
                Event::NodeWaiting {
                    until: Some(until), wait: Wait::RateLimit { name }, ..
                } => {
                    let left = until.since(ran.result.started_at).as_millis();
                    Some(format!("{} {name} {}", event.node_id()?, left))
                }
                _ => None,
            });
            let expected = [("c", 1_000), ("d", 1_000), ("e", 2_000)];
            let expected = expected.map(|(id, until)| format!("{id} {kind} {until}"));
            assert_eq!(waits.collect::<Vec<_>>(), expected);
            assert_eq!(ran.result.node("c").unwrap().attempts, 1);
        });
    }
}

#[test]
fn all_executions_of_a_runtime_count_together() {
    paused(async {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let limits = |per_ms: u64| json!([{"resource": "crm", "nodes": ["a"], "limit": 1, "per_ms": per_ms}]);
        let nodes = [("a", "note.async"), ("z", "note.async")];
        let (one, other) = (flow(&nodes, limits(1_000)), flow(&nodes, limits(1_000)));
        let mut handles = Vec::new();
        for flow in [&one, &one, &other, &other] {
            handles.push(runtime.start(flow, ()).await.unwrap());
        }
        for handle in &handles {
            handle.wait().await.unwrap();
        }
        let lines = log.lines();
        let limited: Vec<String> =
            lines.iter().filter(|line| line.starts_with('a')).cloned().collect();
        assert_eq!(rounded(&limited), "a 0, a 1000, a 2000, a 3000");
        assert_eq!(lines.iter().filter(|line| *line == "z 0").count(), 4, "others do not wait");
        let free = builder(&log).build().unwrap();
        let begun = Instant::now();
        free.execute(&one, ()).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO, "another runtime counts for itself");
    });
}

#[test]
fn one_that_waits_holds_no_permit_and_no_place_and_its_time_does_not_run() {
    paused(async {
        let log = Log::default();
        let runtime = builder(&log).max_running_nodes(1).build().unwrap();
        let mut flow = flow(
            &[("a", "note.task"), ("b", "note.task"), ("c", "note.async"), ("d", "note.inline")],
            json!([{"node_type": "note.task", "limit": 1, "per_ms": 5_000}]),
        );
        flow.settings.max_parallel_nodes = Some(1);
        flow.nodes[1].timeout_ms = Some(1_000);
        let ran = run(&runtime, &flow, ()).await;
        assert!(ran.result.is_success(), "{:?}", ran.result);
        assert_eq!(rounded(&log.lines()), "a 0, c 0, d 0, b 5000");
    });
}

#[test]
fn one_that_waits_is_cancelled_at_once_and_gives_its_turn_up() {
    paused(async {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let flow = flow(
            &[("a", "note.task")],
            json!([{"node_type": "note.task", "limit": 1, "per_ms": 5_000}]),
        );
        runtime.execute(&flow, ()).await.unwrap();
        let (waits, _) = watch(&runtime, &flow, ()).await;
        advance(Duration::from_secs(1)).await;
        assert_eq!(runtime.running_attempts(), 0);
        waits.cancel();
        let begun = Instant::now();
        waits.wait().await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        runtime.execute(&flow, ()).await.unwrap();
        assert_eq!(rounded(&log.lines()), "a 0, a 5000");
    });
}

both_flavours! {
    async fn others_go_on_while_one_waits_and_a_cancel_ends_the_wait() {
        let log = Log::default();
        let runtime = builder(&log).max_running_nodes(1).build().unwrap();
        let mut flow = flow(
            &[("a", "note.task"), ("b", "note.task"), ("c", "note.blocking"), ("d", "note.inline")],
            json!([{"node_type": "note.task", "limit": 1, "per_ms": 3_600_000}]),
        );
        flow.settings.max_parallel_nodes = Some(1);
        let prepared = runtime.prepare(&flow, ()).unwrap();
        let mut events = prepared.events();
        let handle = prepared.start().await.unwrap();
        let mut ended = Vec::new();
        while ended.len() < 3 {
            let Some(Received::Event(event)) = events.next().await else { panic!("{ended:?}") };
            if let Some(Event::NodeCompleted { .. }) = event.event() {
                ended.push(event.node_id().unwrap().to_owned());
            }
        }
        assert_eq!(ended, ["a", "c", "d"]);
        handle.cancel();
        let result = handle.wait().await.unwrap();
        assert_eq!(result.status, ExecutionStatus::Cancelled);
        assert_eq!(result.node("b").unwrap().status, flowcore::NodeStatus::Cancelled);
        assert_eq!((log.len(), runtime.running_attempts()), (3, 0));
    }
}

#[test]
fn every_attempt_counts() {
    paused(async {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let mut flow =
            flow(&[("a", "fails")], json!([{"node_type": "fails", "limit": 1, "per_ms": 1_000}]));
        flow.nodes[0].retry_policy = Some(Box::new(flowcore::RetryPolicy {
            max_attempts: 3,
            delay_ms: 10,
            jitter: false,
            ..flowcore::RetryPolicy::default()
        }));
        run(&runtime, &flow, ()).await;
        assert_eq!(rounded(&log.lines()), "a 0, a 1000, a 2000");
    });
}

#[test]
fn nodes_in_bodies_are_limited_by_their_path_and_others_are_not() {
    paused(async {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let body = json!({"nodes": [
            {"id": "read", "node_type": "note.async"}, {"id": "update", "node_type": "note.async"},
        ]});
        let flow = workflow(json!({
            "nodes": [{
                "id": "each", "node_type": "control.for_each",
                "config": {"items": [1, 2, 3], "max_concurrency": 3, "body": body},
            }],
            "settings": {"rate_limits": [
                {"resource": "crm", "nodes": ["each.update"], "limit": 1, "per_ms": 1_000},
            ]},
        }));
        assert!(run(&runtime, &flow, ()).await.result.is_success());
        let lines = log.lines();
        let (reads, updates): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.contains("read"));
        assert_eq!(rounded(&reads), "each[0].read 0, each[1].read 0, each[2].read 0");
        let expected = "each[0].update 0, each[1].update 1000, each[2].update 2000";
        assert_eq!(rounded(&updates), expected);
    });
}

/// Its turn comes while there is no room for it: what counts is when it starts.
#[test]
fn one_that_takes_its_turn_late_does_not_let_too_many_start() {
    paused(async {
        let log = Log::default();
        let runtime = builder(&log).build().unwrap();
        let limits = json!([{"node_type": "note.async", "limit": 1, "per_ms": 1_000}]);
        let mut narrow =
            flow(&[("a", "note.async"), ("b", "note.async"), ("s", "slow")], limits.clone());
        narrow.settings.max_parallel_nodes = Some(1);
        let wide = flow(&[("c", "note.async"), ("d", "note.async")], limits);
        let narrow = runtime.start(&narrow, ()).await.unwrap();
        advance(Duration::from_millis(10)).await;
        let wide = runtime.start(&wide, ()).await.unwrap();
        narrow.wait().await.unwrap();
        wide.wait().await.unwrap();
        let starts: Vec<u64> = log
            .lines()
            .iter()
            .filter(|line| !line.starts_with('s'))
            .map(|line| line[2..].parse().unwrap())
            .collect();
        assert_eq!(starts.len(), 4);
        assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= 999), "{:?}", log.lines());
    });
}
