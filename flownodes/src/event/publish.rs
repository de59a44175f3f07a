//! `event.publish`: tells other workflows that something happened.

use std::sync::Arc;

use async_trait::async_trait;
use flowcore::{
    Array, Digest, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeOutput, Object, Port, Value, is_topic,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Delivery, Publication, Publisher};

/// How many events may lead to an execution, one from the other: a chain that goes on for ever would
/// be cut here.
pub const MAX_HOPS: u32 = 16;

/// The longest id of an event that is an idempotency key; of longer ones the digest is taken.
const MAX_ID: usize = 256;

const DESCRIPTION: &str = "\
On a server, starts an execution of every workflow of the project that has an `event` trigger for the \
topic. The node is done when all of them are accepted, not when they have ended; `deliveries` says \
what became of each.

The id of the event is the idempotency key of the node, so another attempt, also one after a crash, \
starts nothing twice. A listener that cannot be started does not fail the node.

Events may lead to executions that publish events: after 16 of them, one from the other, the node \
fails with `event.too_deep`.

Where nobody listens, as in `flowcli run`, nothing happens, and `is_published` is false.";

/// The config of `event.publish`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PublishConfig {
    /// The topic: names with `.` between them, such as `orders.paid`.
    #[expect(dead_code, reason = "read untyped, as the typed config reveals secrets")]
    topic: String,
}

/// Makes `event.publish`.
pub struct PublishFactory {
    publisher: Option<Arc<dyn Publisher>>,
}

impl PublishFactory {
    /// For nodes whose events go through this publisher.
    pub fn new(publisher: Arc<dyn Publisher>) -> Self {
        Self { publisher: Some(publisher) }
    }

    /// For nodes whose events go nowhere.
    pub(super) fn to_nobody() -> Self {
        Self { publisher: None }
    }
}

impl NodeFactory for PublishFactory {
    fn node_type(&self) -> &'static str {
        "event.publish"
    }

    fn create(&self, _: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(Publish { publisher: self.publisher.clone() }))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("event.publish")
            .summary("Tell other workflows that something happened")
            .description(DESCRIPTION)
            .config::<PublishConfig>()
            .stateless()
            .input(Port::new("data").description("What the event says; null without it"))
            .output(Port::new("event_id").typed::<String>().description("The id of the event"))
            .output(
                Port::new("is_published")
                    .typed::<bool>()
                    .description("Whether there is somebody who takes events to listeners"),
            )
            .output(Port::new("deliveries").typed::<Vec<serde_json::Value>>().description(
                "For each listener `workflow_id`, `trigger`, `version`, and `execution_id`, or \
                 `reason` when nothing was started",
            ))
            .example(
                "An order was paid; nobody listens here",
                json!({ "topic": "orders.paid" }),
                json!({ "data": { "order": 7 } }),
                json!({
                    "event_id": "00000000-0000-0000-0000-000000000000/1/test",
                    "is_published": false,
                    "deliveries": [],
                }),
            )
    }
}

struct Publish {
    publisher: Option<Arc<dyn Publisher>>,
}

#[async_trait]
impl Node for Publish {
    fn node_type(&self) -> &'static str {
        "event.publish"
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        ctx.config::<PublishConfig>()?;
        let topic = topic(&ctx)?;
        let id = event_id(&ctx);
        let hops = ctx.origin().hops + 1;
        if hops > MAX_HOPS {
            let message = format!("{MAX_HOPS} events led to this execution, one from the other");
            return Err(NodeError::new("event.too_deep", message)
                .with_hint("look for workflows that start each other in a circle"));
        }
        let Some(publisher) = &self.publisher else {
            ctx.warning(format!("nobody listens to `{topic}` here; on a server, triggers do"));
            return output(&id, false, Vec::new());
        };
        let event = Publication {
            project: ctx.origin().project.clone(),
            id: id.clone(),
            topic,
            data: ctx.input("data").cloned().unwrap_or_default(),
            hops,
        };
        output(&id, true, publisher.publish(event).await?)
    }
}

/// Where an event goes is shown to everybody.
fn topic(ctx: &NodeContext) -> Result<String, NodeError> {
    let topic = ctx.config_object().get("topic").cloned().unwrap_or_default();
    if topic.is_tainted() {
        return Err(NodeError::config("`topic` came from a secret, and topics are shown"));
    }
    let topic = topic.as_str().unwrap_or_default();
    if !is_topic(topic) {
        return Err(NodeError::new("event.bad_topic", format!("`{topic}` is not a topic"))
            .with_hint("a topic is made of names with `.` between them, such as `orders.paid`"));
    }
    Ok(topic.to_owned())
}

/// The same for every attempt.
fn event_id(ctx: &NodeContext) -> String {
    let key = ctx.idempotency_key();
    if key.len() <= MAX_ID {
        key
    } else {
        Digest::of_bytes("flow.event", key.as_bytes()).to_string()
    }
}

fn output(id: &str, is_published: bool, all: Vec<Delivery>) -> Result<NodeOutput, NodeError> {
    let too_deep = |error: flowcore::ValueError| NodeError::new(error.code(), error.to_string());
    let deliveries: Result<Vec<Value>, _> = all.into_iter().map(delivery).collect();
    let deliveries = Array::from_values(deliveries.map_err(too_deep)?).map_err(too_deep)?;
    Ok(NodeOutput::of("event_id", id)
        .with("is_published", is_published)
        .with("deliveries", Value::Array(deliveries)))
}

fn delivery(delivery: Delivery) -> Result<Value, flowcore::ValueError> {
    let members = [
        ("workflow_id", Some(Value::from(delivery.workflow_id))),
        ("trigger", Some(Value::from(delivery.trigger))),
        ("version", Some(Value::from(delivery.version))),
        ("execution_id", delivery.execution_id.map(Value::from)),
        ("reason", delivery.reason.map(Value::from)),
    ];
    let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Object::from_entries(members).map(Value::Object)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use flowcore::{Origin, ProjectId};

    use super::*;

    #[derive(Default)]
    struct Noted(Mutex<Vec<Publication>>);

    #[async_trait]
    impl Publisher for Noted {
        async fn publish(&self, event: Publication) -> Result<Vec<Delivery>, NodeError> {
            self.0.lock().unwrap().push(event);
            Ok(vec![Delivery {
                workflow_id: "w".to_owned(),
                trigger: "0".to_owned(),
                version: 3,
                execution_id: None,
                reason: Some("it is full".to_owned()),
            }])
        }
    }

    async fn publish(
        topic: Value,
        hops: u32,
        publisher: &Arc<Noted>,
    ) -> Result<NodeOutput, NodeError> {
        let config = Object::from_entries([("topic", topic)]).unwrap();
        let origin = Origin { project: ProjectId::new("shop").unwrap(), hops };
        let ctx = NodeContext::builder().config(config).origin(origin).input("data", 7).build();
        let factory = PublishFactory::new(publisher.clone());
        factory.create(&NodeConfig::default()).unwrap().execute(ctx).await
    }

    #[tokio::test]
    async fn events_go_to_the_project_of_the_execution() {
        let noted = Arc::new(Noted::default());
        let output = publish(Value::from("orders.paid"), 2, &noted).await.unwrap();
        let expected = Publication {
            project: ProjectId::new("shop").unwrap(),
            id: "00000000-0000-0000-0000-000000000000/1/test".to_owned(),
            topic: "orders.paid".to_owned(),
            data: Value::from(7),
            hops: 3,
        };
        assert_eq!(*noted.0.lock().unwrap(), [expected]);
        assert_eq!(output.get("is_published"), Some(&Value::from(true)));
        assert_eq!(
            output.get("deliveries").unwrap().to_json(),
            json!([{"workflow_id": "w", "trigger": "0", "version": 3, "reason": "it is full"}])
        );
    }

    #[tokio::test]
    async fn a_chain_of_events_has_an_end() {
        let noted = Arc::new(Noted::default());
        publish(Value::from("again"), MAX_HOPS - 1, &noted).await.unwrap();
        let error = publish(Value::from("again"), MAX_HOPS, &noted).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("event.too_deep", false));
        assert_eq!(noted.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_topic_is_plain_and_no_secret() {
        let noted = Arc::new(Noted::default());
        for (topic, code) in [
            (Value::from("orders.*"), "event.bad_topic"),
            (Value::from(""), "event.bad_topic"),
            (Value::from(3), "config.invalid"),
            (Value::from("orders").tainted(), "config.invalid"),
        ] {
            assert_eq!(publish(topic, 0, &noted).await.unwrap_err().code(), code);
        }
        assert!(noted.0.lock().unwrap().is_empty());
    }
}
