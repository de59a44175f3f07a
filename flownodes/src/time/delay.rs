//! `time.delay`: waiting for some time.

use std::time::Duration;

use async_trait::async_trait;
use flowcore::{
    Effect, Execution, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeOutput, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

const NODE_TYPE: &str = "time.delay";

const DESCRIPTION: &str = "\
The wait holds no thread. It begins anew if the process is restarted meanwhile, and a cancelled \
execution does not wait for its end.
What comes in on `input` goes out on `output`, so the node can stand in the middle of a connection.";

/// The config of `time.delay`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DelayConfig {
    /// How long to wait, in milliseconds.
    delay_ms: u64,
}

/// Makes `time.delay`.
pub(super) struct DelayFactory;

impl NodeFactory for DelayFactory {
    fn node_type(&self) -> &'static str {
        NODE_TYPE
    }

    fn create(&self, _config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(Delay))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new(NODE_TYPE)
            .summary("Wait for some time")
            .description(DESCRIPTION)
            .config::<DelayConfig>()
            .effect(Effect::Pure)
            .execution(Execution::Async)
            .stateless()
            .input(Port::new("input").description("A value to pass on"))
            .output(Port::new("output").description("The value of `input`, or null"))
            .output(Port::new("waited_ms").typed::<u64>().description("The time, in milliseconds"))
            .example(
                "Half a second",
                json!({ "delay_ms": 500 }),
                json!({ "input": "go" }),
                json!({ "output": "go", "waited_ms": 500 }),
            )
    }
}

struct Delay;

#[async_trait]
impl Node for Delay {
    fn node_type(&self) -> &'static str {
        NODE_TYPE
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        let delay_ms = ctx.config::<DelayConfig>()?.delay_ms;
        ctx.clock().sleep(Duration::from_millis(delay_ms)).await;
        let output = ctx.input("input").cloned().unwrap_or_default();
        Ok(NodeOutput::of("output", output).with("waited_ms", Value::from(delay_ms)))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};

    use flowcore::{Clock, Object, Timestamp};

    use super::*;

    /// Notes how long it was asked to sleep.
    #[derive(Default)]
    struct NotingClock(Mutex<Vec<Duration>>);

    impl Clock for NotingClock {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            self.0.lock().unwrap().push(duration);
            Box::pin(std::future::ready(()))
        }
    }

    async fn run(delay_ms: impl Into<Value>) -> (Result<NodeOutput, NodeError>, Vec<Duration>) {
        let clock = Arc::new(NotingClock::default());
        let config = Object::from_entries([("delay_ms", delay_ms.into())]).unwrap();
        let ctx = NodeContext::builder().clock(clock.clone()).config(config).build();
        let output = Delay.execute(ctx).await;
        let slept = clock.0.lock().unwrap().clone();
        (output, slept)
    }

    #[tokio::test]
    async fn the_clock_is_asked_to_sleep() {
        let (output, slept) = run(1_500).await;
        assert_eq!(slept, [Duration::from_millis(1_500)]);
        let output = output.unwrap();
        assert_eq!(output.get("waited_ms"), Some(&Value::from(1_500)));
        assert_eq!(output.get("output"), Some(&Value::Null));
        assert_eq!(run(u64::MAX).await.1, [Duration::from_millis(u64::MAX)]);
    }

    #[tokio::test]
    async fn a_bad_delay_is_refused() {
        for bad in [Value::from(-1), Value::from("5s"), Value::Null] {
            let (output, slept) = run(bad).await;
            assert_eq!(output.unwrap_err().code(), "config.invalid");
            assert!(slept.is_empty());
        }
    }
}
