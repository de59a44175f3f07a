//! Virtual time and stand-ins, as tests of workflows use them.

use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    Clock, Event, Execution, ExecutionStatus, NodeContext, NodeDescriptor, NodeError, NodeIndex,
    NodeOutput, NodeRegistry, Plan, Timestamp, Value,
};
use flowruntime::store::MemoryStore;
use flowruntime::testing::crash::{Splitting, Twisted};
use flowruntime::testing::{Pins, StandIn, StandIns, VirtualClock};
use flowruntime::{FlowRuntime, FlowRuntimeBuilder, Received};
use serde_json::json;

use crate::support::workflow;

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn nine() -> Timestamp {
    "2026-01-01T09:00:00Z".parse().unwrap()
}

/// Node types whose attempts really wait for another thread, or for the clock.
fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::new();
    for (name, execution) in [("real.async", Execution::Async), ("real.task", Execution::Task)] {
        let descriptor = NodeDescriptor::untyped(name).execution(execution);
        registry.register_async(descriptor, |ctx| async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || {
                (0..20).for_each(|_| std::thread::yield_now());
                sender.send(()).unwrap();
            });
            receiver.await.unwrap();
            Ok(NodeOutput::of("at", ctx.clock().now().to_string()))
        });
    }
    let descriptor = NodeDescriptor::untyped("real.blocking").execution(Execution::Blocking);
    registry.register_function(descriptor, |ctx| {
        (0..20).for_each(|_| std::thread::yield_now());
        Ok(NodeOutput::of("at", ctx.clock().now().to_string()))
    });
    registry.register_async(NodeDescriptor::untyped("sleepy"), |ctx| async move {
        ctx.clock().sleep(3 * SECOND).await;
        let (one, two) = (ctx.clock().sleep(5 * SECOND), ctx.clock().sleep(2 * SECOND));
        futures_util::future::join(one, two).await;
        Ok(NodeOutput::of("at", ctx.clock().now().to_string()))
    });
    registry.register_function(NodeDescriptor::untyped("inline"), |_| Ok(NodeOutput::of("v", 1)));
    registry
}

fn runtime(clock: &VirtualClock) -> FlowRuntimeBuilder {
    FlowRuntime::builder().registry(registry()).virtual_time(clock)
}

both_flavours! {
    async fn days_pass_at_once_and_a_signal_comes_when_it_should() {
        let clock = VirtualClock::starting_at(nine());
        let runtime = runtime(&clock).build().unwrap();
        let workflow = workflow(json!({"nodes": [
            {"id": "pause", "node_type": "time.delay", "config": {"delay_ms": 86_400_000}},
            {"id": "paid", "node_type": "wait.signal", "config": {"wait_ms": 259_200_000}},
        ], "connections": [{"from_node": "pause", "to_node": "paid"}]}));
        // At the very moment at which the wait would end, the signal comes first.
        let hold = clock.hold();
        let due = clock.reach(nine().after(4 * DAY));
        let execution = runtime.start(&workflow, ()).await.unwrap();
        drop(hold);
        let held = due.await;
        execution.signal("paid", Value::from(7)).await.unwrap();
        drop(held);
        let result = execution.wait().await.unwrap();
        assert_eq!(result.outputs.to_json(), json!({"paid": {"payload": 7}}));
        assert_eq!(result.duration(), 4 * DAY);
    }

    async fn what_really_runs_takes_no_virtual_time() {
        for node_type in ["real.async", "real.task", "real.blocking"] {
            let clock = VirtualClock::starting_at(nine());
            let runtime = runtime(&clock).build().unwrap();
            let workflow = workflow(json!({"nodes": [
                {"id": "a", "node_type": node_type, "timeout_ms": 1},
                {"id": "pause", "node_type": "time.delay", "config": {"delay_ms": 1_000}},
            ], "settings": {"max_execution_time_ms": 2_000}}));
            let result = runtime.execute(&workflow, ()).await.unwrap();
            assert!(result.is_success(), "{node_type}: {result:?}");
            let at = result.outputs.pointer("/a/at").and_then(Value::as_str).map(str::to_owned);
            assert_eq!(at.as_deref(), Some("2026-01-01T09:00:00.000Z"), "{node_type}");
            assert_eq!(result.duration(), SECOND, "{node_type}");
        }
    }

    async fn a_node_that_waits_for_the_clock_lets_it_move_on() {
        let clock = VirtualClock::starting_at(nine());
        let runtime = runtime(&clock).build().unwrap();
        let node = |id: &str| json!({"id": id, "node_type": "sleepy"});
        let workflow = workflow(json!({"nodes": [node("a"), node("b")]}));
        let result = runtime.execute(&workflow, ()).await.unwrap();
        assert!(result.is_success(), "{result:?}");
        assert_eq!(result.duration(), 8 * SECOND);
    }

    async fn pins_give_attempt_by_attempt_and_take_their_time() {
        let clock = VirtualClock::starting_at(nine());
        let busy = StandIn::fails(NodeError::retryable("http.status", "503"));
        let slow = StandIn::gives(NodeOutput::new()).after(60 * SECOND);
        let good = StandIn::gives(NodeOutput::of("v", 3)).after(2 * SECOND);
        let pins = Pins::new()
            .pin("a", [busy.clone(), slow, good])
            .pin("b", [busy.clone(), StandIn::gives(NodeOutput::of("v", 4))]);
        let runtime = runtime(&clock).stand_ins(pins).build().unwrap();
        let retry = json!({"max_attempts": 3, "delay_ms": 1_000, "backoff_multiplier": 2.0,
            "retry_on_timeout": true});
        let workflow = workflow(json!({"nodes": [
            {"id": "a", "node_type": "real.task", "timeout_ms": 5_000, "retry_policy": retry},
            {"id": "b", "node_type": "inline", "retry_policy": retry},
        ]}));
        let result = runtime.execute(&workflow, ()).await.unwrap();
        assert_eq!(result.outputs.to_json(), json!({"a": {"v": 3}, "b": {"v": 4}}));
        assert_eq!(result.node("a").unwrap().attempts, 3);
        // The waits are whole, whatever the jitter: 1 + 5 + 2 + 2.
        assert_eq!(result.duration(), 10 * SECOND);
    }

    async fn an_attempt_that_is_made_may_end_later() {
        struct Later;
        impl StandIns for Later {
            fn stand_in(&self, _: &Plan, _: NodeIndex, _: &NodeContext) -> Option<StandIn> {
                Some(StandIn::made().after(60 * SECOND))
            }
        }
        for node_type in ["real.async", "real.task", "real.blocking"] {
            let clock = VirtualClock::starting_at(nine());
            let runtime = runtime(&clock).stand_ins(Later).build().unwrap();
            let workflow = workflow(json!({"nodes": [{"id": "a", "node_type": node_type}]}));
            let result = runtime.execute(&workflow, ()).await.unwrap();
            let at = result.outputs.pointer("/a/at").and_then(Value::as_str).map(str::to_owned);
            assert_eq!(at.as_deref(), Some("2026-01-01T09:00:00.000Z"), "{node_type}: {result:?}");
            assert_eq!(result.duration(), 60 * SECOND, "{node_type}");
        }
    }

    async fn of_moments_that_are_past_the_earliest_comes_first() {
        let clock = VirtualClock::starting_at(nine().after(DAY));
        let gives = |name: &str| StandIn::gives(NodeOutput::of("v", name));
        let pins = Pins::new()
            .pin("a", [gives("a").until(nine().after(2 * SECOND))])
            .pin("b", [gives("b").until(nine().after(SECOND))]);
        let runtime = runtime(&clock).stand_ins(pins).build().unwrap();
        let node = |id: &str| json!({"id": id, "node_type": "real.task"});
        let workflow = workflow(json!({"nodes": [node("a"), node("b")]}));
        let prepared = runtime.prepare(&workflow, ()).unwrap();
        let mut events = prepared.events();
        prepared.start().await.unwrap().wait().await.unwrap();
        let mut ended = Vec::new();
        while let Some(Received::Event(event)) = events.next().await {
            if let Some(Event::NodeCompleted { .. }) = event.event() {
                ended.push(event.node_id().unwrap().to_owned());
            }
        }
        assert_eq!(ended[0], "b", "{ended:?}");
    }

    async fn time_passes_at_once_for_executions_that_are_kept() {
        let clock = VirtualClock::starting_at(nine());
        let split = Twisted::new(Arc::new(MemoryStore::new()), Splitting::default());
        let runtime = runtime(&clock).store(Arc::new(split)).build().unwrap();
        let workflow = workflow(json!({"nodes": [
            {"id": "pause", "node_type": "time.delay", "config": {"delay_ms": 86_400_000}},
            {"id": "a", "node_type": "sleepy"},
            {"id": "late", "node_type": "time.delay", "config": {"delay_ms": 259_200_000}},
        ], "connections": [{"from_node": "pause", "to_node": "a"},
                           {"from_node": "a", "to_node": "late"}]}));
        let id = "01a21714-43f1-721e-bff0-9ea6cb0a0380".parse().unwrap();
        let prepared = runtime.prepare(&workflow, ()).unwrap().with_id(id);
        let execution = prepared.start().await.unwrap();
        let result = execution.wait().await.unwrap();
        assert!(result.is_success(), "{result:?}");
        assert_eq!((result.duration(), execution.id()), (4 * DAY + 8 * SECOND, id));
    }

    async fn an_execution_that_waits_for_its_turn_does_not_keep_time_from_moving_on() {
        let clock = VirtualClock::starting_at(nine());
        let runtime = runtime(&clock).max_executions(1).build().unwrap();
        let workflow = workflow(json!({"nodes": [
            {"id": "pause", "node_type": "time.delay", "config": {"delay_ms": 86_400_000}},
            {"id": "paid", "node_type": "wait.signal"},
        ], "connections": [{"from_node": "pause", "to_node": "paid"}]}));
        let (first, second) = {
            let _hold = clock.hold();
            let first = runtime.start(&workflow, ()).await.unwrap();
            (first, runtime.start(&workflow, ()).await.unwrap())
        };
        second.signal("paid", Value::from(2)).await.unwrap();
        first.signal("paid", Value::from(1)).await.unwrap();
        for execution in [first, second] {
            let result = execution.wait().await.unwrap();
            assert!(result.is_success(), "{result:?}");
            assert_eq!(result.duration(), DAY);
        }
        assert_eq!(clock.now(), nine().after(2 * DAY));
    }

    async fn what_waits_for_ever_is_noticed() {
        let clock = VirtualClock::starting_at(nine());
        let runtime = runtime(&clock).build().unwrap();
        let workflow = workflow(json!({"nodes": [{"id": "paid", "node_type": "wait.signal"}]}));
        let execution = runtime.start(&workflow, ()).await.unwrap();
        clock.stalled().await;
        assert!(!execution.is_ended());
        execution.cancel();
        assert_eq!(execution.wait().await.unwrap().status, ExecutionStatus::Cancelled);
    }
}
