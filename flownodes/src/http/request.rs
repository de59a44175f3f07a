//! `http.request`.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use flowcore::{
    Effect, Execution, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeOutput, Port, Reach, async_trait,
};
use reqwest::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::clients::Clients;
use super::outgoing::Outgoing;
use super::response::{self, Reading};
use super::{redirect, resolver};
use crate::encoding::Encoding;

/// The config of `http.request`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RequestConfig {
    /// The method, such as `GET` or `POST`.
    method: String,
    /// How long everything may take, redirects and body included, in milliseconds.
    timeout_ms: u64,
    /// How long connecting may take, TLS included, in milliseconds.
    connect_timeout_ms: u64,
    /// The largest body that is taken, in bytes, after decompression.
    max_response_bytes: usize,
    /// How many redirects are followed; with 0, a redirect is an answer like any other.
    max_redirects: u32,
    /// Whether a status of 400 or more fails the node.
    fail_on_status: bool,
    /// Whether the body becomes text or stays bytes. `auto` is text in the charset that the
    /// content type names, or UTF-8; bytes where that is not possible, and for images, audio,
    /// video and fonts.
    encoding: Encoding,
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            timeout_ms: 30_000,
            connect_timeout_ms: 5_000,
            max_response_bytes: 10 * 1024 * 1024,
            max_redirects: 10,
            fail_on_status: true,
            encoding: Encoding::Auto,
        }
    }
}

/// Makes `http.request` nodes, which share their connections.
#[derive(Debug, Default)]
pub(super) struct RequestFactory {
    clients: Arc<Clients>,
}

impl NodeFactory for RequestFactory {
    fn node_type(&self) -> &str {
        "http.request"
    }

    fn create(&self, _config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(RequestNode { clients: self.clients.clone() }))
    }

    fn descriptor(&self) -> NodeDescriptor {
        type AnyObject = serde_json::Map<String, serde_json::Value>;
        NodeDescriptor::new("http.request")
            .summary("Send an HTTP request")
            .description(DESCRIPTION)
            .input(Port::new("url").description("Where to send it.").typed::<String>().required())
            .input(
                Port::new("headers")
                    .description("Headers by name; a list repeats the header.")
                    .typed::<AnyObject>(),
            )
            .input(
                Port::new("query")
                    .description("Parameters added to the URL; a list repeats the parameter.")
                    .typed::<AnyObject>(),
            )
            .input(Port::new("body").description(
                "What to send: a string as text, bytes as they are, any other value as JSON.",
            ))
            .output(Port::new("status").description("The status code.").typed::<u16>())
            .output(
                Port::new("headers")
                    .description("Headers by lower-case name; repeated ones joined with `, `.")
                    .typed::<BTreeMap<String, String>>(),
            )
            .output(Port::new("body").description("The body: a string, or bytes."))
            .output(Port::new("json").description(
                "The body as a value; dead when the content type is not JSON, or the body not.",
            ))
            .output(
                Port::new("success")
                    .description("Whether the status is below 400.")
                    .typed::<bool>(),
            )
            .config::<RequestConfig>()
            .effect(Effect::Idempotent)
            .execution(Execution::Async)
            .stateless()
            .example(
                "Get JSON",
                json!({ "url": "https://api.example.org/orders", "query": { "limit": 2 } }),
                json!({}),
                json!({ "status": 200, "success": true, "json": [{ "id": 1 }, { "id": 2 }] }),
            )
            .example(
                "Send JSON",
                json!({
                    "method": "POST",
                    "url": "https://api.example.org/orders",
                    "headers": { "x-shop": "north" },
                }),
                json!({ "body": { "customer": "ada" } }),
                json!({ "status": 201, "json": { "id": 3, "customer": "ada" } }),
            )
    }
}

const DESCRIPTION: &str = "\
Sends a request and gives the answer. A status of 400 or more fails the node with `http.status`, \
unless `fail_on_status` is off; 408, 425, 429 and 5xx may be retried, not before the time that \
`Retry-After` names.

`POST` and `PATCH` carry an `Idempotency-Key`, the same for every attempt of the node, unless \
`headers` has one. Where a server ignores it and repeating hurts, set `\"effect\": \"once\"` on \
the node.

Where the execution is traced, because it was started with a `traceparent` or its server exports \
traces, the request carries `traceparent` and `tracestate`, unless `headers` has one of them.

Redirects are followed, and the policy is asked about each host. Where it allows only the public \
Internet, as on a server, the addresses that a name leads to are looked at, and proxies are not used. To another origin, \
`authorization`, `cookie`, the trace and headers that came from a secret are not sent. A `POST` that is \
answered with 301, 302 or 303 goes on as `GET` without a body.

Connections are kept and shared. Proxies are taken from the environment (`HTTPS_PROXY`, \
`NO_PROXY`).";

struct RequestNode {
    clients: Arc<Clients>,
}

#[async_trait]
impl Node for RequestNode {
    fn node_type(&self) -> &str {
        "http.request"
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<RequestConfig>()?;
        let outgoing = Outgoing::new(&ctx, &config.method)?;
        let shown = outgoing.shown();
        let limit = Duration::from_millis(config.timeout_ms);
        let exchange = self.exchange(&ctx, &config, outgoing);
        tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
            let message = format!("{shown} took longer than {} ms", config.timeout_ms);
            Err(NodeError::retryable("http.timeout", message).with_hint("raise `timeout_ms`"))
        })
    }
}

impl RequestNode {
    async fn exchange(
        &self,
        ctx: &NodeContext,
        config: &RequestConfig,
        outgoing: Outgoing,
    ) -> Result<NodeOutput, NodeError> {
        let (response, shown) = self.send(ctx, config, outgoing).await?;
        if config.fail_on_status && response::is_failure(response.status()) {
            return Err(response::failure(ctx, response, &shown).await);
        }
        let reading = Reading { encoding: config.encoding, max_bytes: config.max_response_bytes };
        response::output(ctx, response, &shown, &reading).await
    }

    /// Sends the request and follows redirects. Returns the answer and the name of the request
    /// that got it.
    async fn send(
        &self,
        ctx: &NodeContext,
        config: &RequestConfig,
        mut outgoing: Outgoing,
    ) -> Result<(Response, String), NodeError> {
        let mut redirects = 0;
        loop {
            let reach = outgoing.reach(ctx.policy())?;
            let response = self.send_once(config, &outgoing, reach).await?;
            let next = match config.max_redirects {
                0 => None,
                _ => redirect::next(&outgoing, response.status(), response.headers())?,
            };
            let Some(next) = next else { return Ok((response, outgoing.shown())) };
            if redirects == config.max_redirects {
                return Err(redirect::too_many(&next, config.max_redirects));
            }
            redirects += 1;
            outgoing = next;
        }
    }

    async fn send_once(
        &self,
        config: &RequestConfig,
        outgoing: &Outgoing,
        reach: Reach,
    ) -> Result<Response, NodeError> {
        let connect_timeout = Duration::from_millis(config.connect_timeout_ms);
        let client = self.clients.get(connect_timeout, reach).await?;
        outgoing.with(&client).send().await.map_err(|error| not_answered(config, outgoing, &error))
    }
}

fn not_answered(config: &RequestConfig, outgoing: &Outgoing, error: &reqwest::Error) -> NodeError {
    if let Some(refusal) = resolver::refusal(error) {
        return outgoing.hide(refusal);
    }
    let shown = outgoing.shown();
    let failure = if error.is_builder() {
        NodeError::new("http.bad_url", format!("{shown} cannot be sent"))
    } else if error.is_timeout() {
        let limit = config.connect_timeout_ms;
        NodeError::retryable("http.timeout", format!("{shown} had no connection after {limit} ms"))
            .with_hint("raise `connect_timeout_ms`")
    } else if error.is_connect() {
        NodeError::retryable("http.connect", format!("{shown} could not connect"))
    } else {
        NodeError::retryable("http.connect", format!("{shown} lost its connection"))
    };
    // The error itself only says so, and names the URL.
    match error.source() {
        Some(source) => failure.with_source(source),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Query;
    use axum::http::StatusCode;
    use axum::routing::{any, get};
    use axum::{Json, Router};
    use flowcore::{Access, Object, Policy, Value};
    use tokio::net::TcpListener;

    use super::super::test_server::{TestServer, request, request_under};
    use super::*;
    use crate::testing::object;

    async fn check_error(config: serde_json::Value, code: &str) -> NodeError {
        let error = request(config).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        error
    }

    async fn orders(Query(query): Query<BTreeMap<String, String>>) -> Json<serde_json::Value> {
        let limit: u64 = query["limit"].parse().unwrap();
        Json((1..=limit).map(|id| json!({ "id": id })).collect())
    }

    async fn order(Json(mut order): Json<serde_json::Value>) -> impl axum::response::IntoResponse {
        let mut answer = json!({ "id": 3 });
        answer.as_object_mut().unwrap().append(order.as_object_mut().unwrap());
        (StatusCode::CREATED, Json(answer))
    }

    #[tokio::test]
    async fn the_examples_hold() {
        let server =
            TestServer::start(Router::new().route("/orders", get(orders).post(order))).await;
        for example in RequestFactory::default().descriptor().examples {
            let mut config = example.config;
            config["url"] = json!(server.url("/orders"));
            config
                .as_object_mut()
                .unwrap()
                .append(&mut example.inputs.as_object().unwrap().clone());
            let output = request(config).await.unwrap();
            for (port, value) in object(example.outputs).iter() {
                assert_eq!(output.get(port), Some(value), "{}", example.title);
            }
        }
    }

    #[tokio::test]
    async fn user_and_password_of_the_url_are_sent_as_a_header() {
        let who = |headers: axum::http::HeaderMap| async move {
            headers["authorization"].to_str().unwrap().to_owned()
        };
        let server = TestServer::start(Router::new().route("/", any(who))).await;
        let url = server.url("/").replace("http://", "http://ada:p%40ss@");
        let output = request(json!({"url": url})).await.unwrap();
        assert_eq!(output.get("body"), Some(&Value::from("Basic YWRhOnBAc3M=")));
        let config = json!({"url": url, "headers": {"Authorization": "Bearer x"}});
        let output = request(config).await.unwrap();
        assert_eq!(output.get("body"), Some(&Value::from("Bearer x")));
    }

    #[tokio::test]
    async fn the_policy_is_asked_first() {
        let url = "http://127.0.0.1:1/";
        let denied = request_under(Policy::deny_all(), json!({"url": url})).await.unwrap_err();
        assert_eq!(denied.code(), "policy.host_denied");
        let allowed = Policy::deny_all().hosts(Access::Only(vec!["127.0.0.1:1".to_owned()]));
        let error = request_under(allowed, json!({"url": url})).await.unwrap_err();
        assert_eq!(error.code(), "http.connect");
        assert!(error.is_retryable());
        assert_eq!(error.message(), "GET http://127.0.0.1:1/ could not connect");
    }

    #[tokio::test]
    async fn s32_no_spelling_of_this_machine_or_its_networks_is_reached() {
        let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = trap.local_addr().unwrap().port();
        let policy = Policy::deny_all().public_hosts();
        let hosts = [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "127.0.0.2",
            "127.255.255.254",
            "0x7f000001",
            "0x7f.0.0.1",
            "0x7f.1",
            "0X7F000001",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "0177.1",
            "0177.0x0.0.1",
            "127.0.0.1.",
            "127.1.",
            "%31%32%37.0.0.1",
            "127%2e0%2e0%2e1",
            "①②⑦.⓪.⓪.①",
            "127。0。0。1",
            "0.0.0.0",
            "0",
            "0x0",
            "00000000",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "loc%61lhost",
            "ｌｏｃａｌｈｏｓｔ",
            "ada@127.0.0.1",
            "example.org@127.0.0.1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fc00::1]",
            "169.254.169.254",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
        ];
        assert!(hosts.len() >= 45);
        for host in hosts {
            let config = json!({"url": format!("http://{host}:{port}/"), "timeout_ms": 5000});
            let error = request_under(policy.clone(), config).await.unwrap_err();
            // What is no URL, or a name that the system does not know, is as good as refused.
            let is_refused = matches!(error.code(), "policy.host_denied" | "http.bad_url")
                || format!("{error:?}").contains("dns error");
            assert!(is_refused, "{host}: {error:?}");
        }
        let trap = trap.into_std().unwrap();
        let missed = trap.accept().unwrap_err();
        assert_eq!(missed.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn s32_a_redirect_to_this_machine_is_refused() {
        let trap = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = trap.local_addr().unwrap().port();
        let go = move || async move {
            (StatusCode::FOUND, [("location", format!("http://127.0.0.1:{port}/"))])
        };
        let server = TestServer::start(Router::new().route("/", get(go))).await;
        let url = server.url("/");
        let own = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let policy = Policy::deny_all().hosts(Access::Only(vec![own])).public_hosts();
        let error = request_under(policy, json!({"url": url})).await.unwrap_err();
        assert_eq!(error.code(), "policy.host_denied");
        let trap = trap.into_std().unwrap();
        assert_eq!(trap.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn s34_a_server_that_does_not_answer_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = json!({"url": format!("http://{address}/?token=s3cret"), "timeout_ms": 50});
        let error = check_error(config, "http.timeout").await;
        assert_eq!(error.message(), format!("GET http://{address}/ took longer than 50 ms"));
        assert!(error.is_retryable());
        // It takes connections, and then says nothing about TLS.
        let config = json!({"url": format!("https://{address}/"), "connect_timeout_ms": 50});
        let error = check_error(config, "http.timeout").await;
        assert!(error.message().ends_with("had no connection after 50 ms"), "{error}");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_before_the_answer_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/?token=s3cret", listener.local_addr().unwrap());
        let serve = async {
            while let Ok((stream, _)) = listener.accept().await {
                drop(stream)
            }
        };
        let error = tokio::select! {
            error = check_error(json!({ "url": url }), "http.connect") => error,
            () = serve => unreachable!("the server goes on"),
        };
        assert!(error.message().ends_with("lost its connection"), "{error}");
        assert!(error.is_retryable() && !error.to_string().contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn a_url_may_be_too_long_to_be_sent() {
        let url = format!("http://127.0.0.1:1/{}", "x".repeat(70_000));
        check_error(json!({ "url": url }), "http.bad_url").await;
    }

    #[tokio::test]
    async fn clients_are_made_when_they_are_needed() {
        let factory = RequestFactory::default();
        let node = factory.create(&NodeConfig::default()).unwrap();
        let ctx = NodeContext::builder().input("url", "http://127.0.0.1:1/");
        assert!(node.execute(ctx.build()).await.is_err());
        assert!(format!("{factory:?}").contains("[]"), "no client after a refusal: {factory:?}");
    }

    #[tokio::test]
    async fn bad_configs_are_named() {
        let url = "http://127.0.0.1:1/";
        check_error(json!({"url": url, "timeout": 1}), "config.invalid").await;
        check_error(json!({"url": url, "method": "BAD METHOD"}), "config.invalid").await;
        let config = Object::new();
        let ctx = NodeContext::builder().config(config).build();
        let node = RequestFactory::default().create(&NodeConfig::default()).unwrap();
        assert_eq!(node.execute(ctx).await.unwrap_err().code(), "input.missing");
    }
}
