//! `webhook.respond`: what the request that started the execution is answered.

use flowcore::{
    Effect, Execution, InlineNode, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeInstance, NodeOutput, Object, Port, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// The headers that a workflow may set: none that changes what a browser or a proxy in between may do
/// with the server's other answers.
const HEADERS: [&str; 10] = [
    "cache-control",
    "content-disposition",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "link",
    "location",
    "retry-after",
];

/// The content types that a workflow may give. The server keeps scripts in all of them from running.
const CONTENT_TYPES: [&str; 15] = [
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/problem+json",
    "application/xml",
    "application/zip",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/calendar",
    "text/csv",
    "text/html",
    "text/plain",
    "text/xml",
];

const DESCRIPTION: &str = "\
For workflows with a `webhook` trigger that has `\"respond\": \"node\"`: the request waits for the \
first node of this type that completes, and is answered with its status, headers and body. The \
execution goes on after that. In an execution that nobody waits for, the node does nothing.

A text is sent as it is, with `text/plain` unless `content-type` says otherwise; bytes are sent as \
they are; everything else as JSON; null is no body.

Headers may be `cache-control`, `content-disposition`, `content-language`, `content-type`, `etag`, \
`expires`, `last-modified`, `link`, `location` and `retry-after`. The content type is one of JSON, \
XML, plain text, CSV, HTML, calendars, PDF, ZIP, usual images, and `application/octet-stream`. \
Browsers show pages from here in a sandbox: no script in them runs.

A response goes to whoever asked, so what came from a secret fails the node with \
`webhook.secret_response`.";

/// The config of `webhook.respond`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RespondConfig {
    /// The HTTP status, from 200 to 599.
    #[serde(default = "ok")]
    status: u16,
    /// The headers, by name.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    headers: Object,
}

fn ok() -> u16 {
    200
}

/// Makes `webhook.respond`.
pub(super) struct RespondFactory;

impl NodeFactory for RespondFactory {
    fn node_type(&self) -> &'static str {
        "webhook.respond"
    }

    fn instance(&self, _: &NodeConfig) -> Result<NodeInstance, NodeError> {
        Ok(NodeInstance::Inline(Box::new(Respond)))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("webhook.respond")
            .summary("Answer the request that started the execution")
            .description(DESCRIPTION)
            .config::<RespondConfig>()
            // Not `pure`: a response is never one of before.
            .effect(Effect::Read)
            .execution(Execution::Inline)
            .input(Port::new("body").description("The body"))
            .output(Port::new("status").typed::<u16>().description("The HTTP status"))
            .output(Port::new("headers").description("The headers, with names in lower case"))
            .output(Port::new("body").description("The body"))
            .example(
                "An order was taken",
                json!({ "status": 201, "headers": { "Location": "/orders/7" } }),
                json!({ "body": { "order": 7 } }),
                json!({
                    "status": 201,
                    "headers": { "location": "/orders/7", "content-type": "application/json" },
                    "body": { "order": 7 },
                }),
            )
            .example(
                "A text",
                json!({ "body": "thank you" }),
                json!({}),
                json!({
                    "status": 200,
                    "headers": { "content-type": "text/plain; charset=utf-8" },
                    "body": "thank you",
                }),
            )
    }
}

struct Respond;

impl InlineNode for Respond {
    fn call(&self, ctx: &NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config_object();
        let body = ctx.input("body").cloned().unwrap_or_default();
        if ctx.is_tainted() || body.is_tainted() || config.is_tainted() {
            let message = "the response holds what came from a secret";
            return Err(NodeError::new("webhook.secret_response", message)
                .with_hint("a response goes to whoever sent the request"));
        }
        let config = ctx.config::<RespondConfig>()?;
        check_status(config.status, &body)?;
        let headers = headers(&config.headers, &body)?;
        let status = i64::from(config.status);
        Ok(NodeOutput::of("status", status).with("headers", headers).with("body", body))
    }
}

fn check_status(status: u16, body: &Value) -> Result<(), NodeError> {
    let bad = |message: String| Err(NodeError::new("webhook.bad_status", message));
    match status {
        204 | 205 | 304 if !body.is_null() => {
            bad(format!("a response with the status {status} has no body"))
        }
        200..=599 => Ok(()),
        _ => bad(format!("the status is {status}; it is from 200 to 599")),
    }
}

fn headers(given: &Object, body: &Value) -> Result<Object, NodeError> {
    let mut headers = Object::new();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let name = name.to_ascii_lowercase();
        if !HEADERS.contains(&name.as_str()) {
            let message = format!("a response may not have the header `{name}`");
            return Err(NodeError::new("webhook.bad_header", message)
                .with_hint(format!("it may have {}", HEADERS.join(", "))));
        }
        let text = header_text(&name, value)?;
        set(&mut headers, &name, text)?;
    }
    let content_type = match body {
        Value::Null => None,
        Value::String(_) => Some("text/plain; charset=utf-8"),
        Value::Bytes(_) => Some("application/octet-stream"),
        _ => Some("application/json"),
    };
    if let Some(content_type) = content_type.filter(|_| !headers.contains_key("content-type")) {
        set(&mut headers, "content-type", content_type.to_owned())?;
    }
    Ok(headers)
}

fn set(headers: &mut Object, name: &str, text: String) -> Result<(), NodeError> {
    let too_deep = |error: flowcore::ValueError| NodeError::new(error.code(), error.to_string());
    headers.insert(name, text).map(|_| ()).map_err(too_deep)
}

fn header_text(name: &str, value: &Value) -> Result<String, NodeError> {
    let text = match value {
        Value::String(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        other => return Err(bad_header(name, &format!("is {}", other.kind()))),
    };
    if !text.chars().all(|c| (' '..='~').contains(&c)) {
        return Err(bad_header(name, "has characters that a header cannot have"));
    }
    if name == "content-type" {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !CONTENT_TYPES.contains(&essence.as_str()) {
            let hint = format!("it may be {}", CONTENT_TYPES.join(", "));
            return Err(bad_header(name, &format!("is `{essence}`")).with_hint(hint));
        }
    }
    Ok(text)
}

fn bad_header(name: &str, what: &str) -> NodeError {
    NodeError::new("webhook.bad_header", format!("the header `{name}` {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;

    fn respond(config: Json, body: Value) -> Result<Json, String> {
        let config = Value::from_json(config).unwrap();
        let ctx = NodeContext::builder().config(config.as_object().unwrap().clone());
        let output = Respond.call(&ctx.input("body", body).build());
        let output = output.map_err(|error| error.code().to_owned())?;
        let port = |name: &str| output.get(name).unwrap().to_json();
        Ok(json!([port("status"), port("headers"), port("body")]))
    }

    #[test]
    fn the_type_of_the_body_follows_from_the_value() {
        let bytes: Vec<u8> = vec![1];
        for (body, content_type) in [
            (Value::from("x"), json!({"content-type": "text/plain; charset=utf-8"})),
            (Value::from(3), json!({"content-type": "application/json"})),
            (Value::Bytes(bytes.into()), json!({"content-type": "application/octet-stream"})),
            (Value::Null, json!({})),
        ] {
            assert_eq!(respond(json!({}), body).unwrap()[1], content_type);
        }
        let html = json!({"headers": {"Content-Type": "text/html; charset=utf-8"}});
        assert_eq!(
            respond(html, Value::from("<p>")).unwrap(),
            json!([200, {"content-type": "text/html; charset=utf-8"}, "<p>"])
        );
    }

    #[test]
    fn s16_only_headers_and_types_that_are_listed_are_sent() {
        for headers in [
            json!({"Set-Cookie": "a=b"}),
            json!({"content-security-policy": "x"}),
            json!({"X-Accel-Redirect": "/etc/passwd"}),
            json!({"Access-Control-Allow-Origin": "*"}),
            json!({"content-length": 3}),
            json!({"content-type": "image/svg+xml"}),
            json!({"content-type": "text/javascript"}),
            json!({"content-type": ""}),
            json!({"location": "/a\r\nSet-Cookie: a=b"}),
            json!({"location": ["/a"]}),
        ] {
            let refused = respond(json!({"headers": headers}), Value::Null);
            assert_eq!(refused, Err("webhook.bad_header".to_owned()), "{headers}");
        }
        let good = json!({"status": 303, "headers": {"Location": "/a", "Retry-After": 30}});
        let headers = json!({"location": "/a", "retry-after": "30"});
        assert_eq!(respond(good, Value::Null).unwrap(), json!([303, headers, null]));
    }

    #[test]
    fn a_status_is_one_that_ends_a_request() {
        for status in [101, 199, 600] {
            let refused = respond(json!({"status": status}), Value::Null);
            assert_eq!(refused, Err("webhook.bad_status".to_owned()), "{status}");
        }
        assert!(respond(json!({"status": 204}), Value::Null).is_ok());
        let refused = respond(json!({"status": 204}), Value::from(1));
        assert_eq!(refused, Err("webhook.bad_status".to_owned()));
    }

    #[test]
    fn secrets_are_not_sent() {
        let secret = Value::from("s3cret").tainted();
        let refused = respond(json!({}), secret.clone());
        assert_eq!(refused, Err("webhook.secret_response".to_owned()));
        let headers = Object::from_entries([("location", secret)]).unwrap();
        let config = Object::from_entries([("headers", Value::Object(headers))]).unwrap();
        let error = Respond.call(&NodeContext::builder().config(config).build()).unwrap_err();
        assert_eq!(error.code(), "webhook.secret_response");
    }
}
