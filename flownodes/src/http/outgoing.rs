//! The request that the inputs of a node describe.

use std::borrow::Cow;

use bytes::Bytes;
use flowcore::value::MASK;
use flowcore::{NodeContext, NodeError, Object, Policy, Reach, Value};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use reqwest::{Client, Method, RequestBuilder, Url};

use crate::content;
use crate::error::without_secret;
use crate::scalar::scalar_text;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    /// Those that came from a secret are marked as sensitive.
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
    /// Whether the URL came from a secret; then errors do not show it.
    secret: bool,
}

impl Outgoing {
    /// The request that the input ports describe.
    pub(super) fn new(ctx: &NodeContext, method: &str) -> Result<Self, NodeError> {
        let secret = ctx.required_input("url")?.is_tainted();
        let url = parse_url(ctx.string_input("url")?)?;
        let mut outgoing = Self {
            method: parse_method(method)?,
            url,
            headers: HeaderMap::new(),
            body: None,
            secret,
        };
        outgoing.set_query(object(ctx, "query")?)?;
        outgoing.set_headers(object(ctx, "headers")?)?;
        outgoing.set_body(ctx.input("body"));
        outgoing.set_idempotency_key(ctx);
        outgoing.set_trace(ctx);
        Ok(outgoing)
    }

    /// How errors name the request: without user, password, query and fragment.
    pub(super) fn shown(&self) -> String {
        if self.secret {
            return format!("{} {MASK}", self.method);
        }
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Fail for URLs that have no place for them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        format!("{} {url}", self.method)
    }

    /// Asks whether the request may be sent, and how far.
    pub(super) fn reach(&self, policy: &Policy) -> Result<Reach, NodeError> {
        let host = self.url.host_str().unwrap_or_default();
        let reach = policy.reach(host, self.url.port_or_known_default());
        reach.map_err(|refusal| self.hide(refusal))
    }

    /// A refusal as it may be shown.
    pub(super) fn hide(&self, refusal: NodeError) -> NodeError {
        without_secret(refusal, self.secret)
    }

    /// The request as this client sends it.
    pub(super) fn with(&self, client: &Client) -> RequestBuilder {
        // Turns user and password of the URL into `authorization`.
        let builder = client.request(self.method.clone(), self.url.clone());
        let builder = builder.headers(self.headers.clone());
        match &self.body {
            Some(body) => builder.body(body.clone()),
            None => builder,
        }
    }

    fn set_query(&mut self, query: Option<&Object>) -> Result<(), NodeError> {
        let mut pairs = Vec::new();
        for (name, value) in query.into_iter().flat_map(Object::iter) {
            let texts = texts(value).ok_or_else(|| not_scalar("query", name, value))?;
            pairs.extend(texts.into_iter().map(|text| (name, text)));
        }
        // An empty list would still add a `?`.
        if !pairs.is_empty() {
            self.url.query_pairs_mut().extend_pairs(pairs);
        }
        Ok(())
    }

    fn set_headers(&mut self, headers: Option<&Object>) -> Result<(), NodeError> {
        for (name, value) in headers.into_iter().flat_map(Object::iter) {
            let texts = texts(value).ok_or_else(|| not_scalar("headers", name, value))?;
            let header = header_name(name)?;
            for text in texts {
                let text = HeaderValue::from_bytes(text.as_bytes());
                let mut text = text.map_err(|_| bad_value(name))?;
                text.set_sensitive(value.is_tainted());
                self.headers.append(header.clone(), text);
            }
        }
        Ok(())
    }

    fn set_body(&mut self, body: Option<&Value>) {
        let Some(body) = body.filter(|body| !body.is_null()) else { return };
        let content_type = match (body.as_str(), body.as_bytes()) {
            (Some(_), _) => "text/plain; charset=utf-8",
            (_, Some(_)) => "application/octet-stream",
            (None, None) => "application/json",
        };
        self.set_default(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let bytes = content::raw(body).map(Bytes::copy_from_slice);
        self.body = Some(bytes.unwrap_or_else(|| Bytes::from(content::json(body))));
    }

    fn set_idempotency_key(&mut self, ctx: &NodeContext) {
        if [Method::POST, Method::PATCH].contains(&self.method)
            && let Ok(key) = HeaderValue::try_from(ctx.idempotency_key())
        {
            self.set_default(IDEMPOTENCY_KEY, key);
        }
    }

    /// Both or none: the state belongs to its parent.
    fn set_trace(&mut self, ctx: &NodeContext) {
        if self.headers.contains_key(TRACEPARENT) || self.headers.contains_key(TRACESTATE) {
            return;
        }
        let Some(context) = ctx.trace_context() else { return };
        if let Ok(parent) = HeaderValue::try_from(context.to_string()) {
            self.headers.insert(TRACEPARENT, parent);
        }
        if let Some(Ok(state)) = context.tracestate().map(HeaderValue::try_from) {
            self.headers.insert(TRACESTATE, state);
        }
    }

    fn set_default(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.entry(name).or_insert(value);
    }
}

fn parse_method(text: &str) -> Result<Method, NodeError> {
    match Method::from_bytes(text.to_ascii_uppercase().as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => Err(NodeError::config(format!("`method` cannot be `{text}`"))),
    }
}

fn parse_url(text: &str) -> Result<Url, NodeError> {
    const HINT: &str = "a URL starts with `http://` or `https://`";
    let url = Url::parse(text).map_err(|error| {
        // The text is not shown: it cannot be told where in it a secret may be.
        NodeError::new("http.bad_url", "`url` is not a URL").with_source(&error).with_hint(HINT)
    })?;
    if matches!(url.scheme(), "http" | "https") {
        return Ok(url);
    }
    let message = "`url` is neither an `http` nor an `https` URL";
    Err(NodeError::new("http.bad_url", message).with_hint(HINT))
}

fn object<'a>(ctx: &'a NodeContext, port: &str) -> Result<Option<&'a Object>, NodeError> {
    match ctx.input(port).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.as_object() {
            Some(object) => Ok(Some(object)),
            None => Err(NodeError::invalid_input(port, "an object", value.kind())),
        },
    }
}

/// The texts of a scalar or of an array of scalars; none for null.
fn texts(value: &Value) -> Option<Vec<Cow<'_, str>>> {
    match value.as_array() {
        Some(array) => array.iter().map(scalar_text).collect(),
        None if value.is_null() => Some(Vec::new()),
        None => scalar_text(value).map(|text| vec![text]),
    }
}

fn not_scalar(port: &str, name: &str, value: &Value) -> NodeError {
    let expected = format!("text, a number, a boolean or a list of them at `{name}`");
    NodeError::invalid_input(port, &expected, value.kind())
}

fn header_name(name: &str) -> Result<HeaderName, NodeError> {
    let message = match HeaderName::from_bytes(name.as_bytes()) {
        // Two opinions about where a body ends are a way to smuggle a second request.
        Ok(header) if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&header) => {
            format!("header `{name}` follows from the body and cannot be set")
        }
        Ok(header) => return Ok(header),
        Err(_) => format!("`{name}` cannot be the name of a header"),
    };
    Err(NodeError::new("http.bad_header", message))
}

fn bad_value(name: &str) -> NodeError {
    let message =
        format!("header `{name}` has a value with a line end or another control character");
    NodeError::new("http.bad_header", message)
        .with_hint("a value that was read from a file often ends with a newline: use `| trim`")
}

#[cfg(test)]
mod tests {
    use flowcore::{ContextBuilder, TraceContext};
    use serde_json::json;

    use super::*;
    use crate::testing::object;

    /// An outgoing request with these values on the ports.
    fn outgoing(method: &str, ports: serde_json::Value) -> Result<Outgoing, NodeError> {
        let ports = object(ports);
        let mut builder = NodeContext::builder();
        for port in ["url", "query", "headers", "body"] {
            let value = ports.get(port).cloned().or((port == "url").then(|| "http://h/".into()));
            builder = value.into_iter().fold(builder, |builder, value| builder.input(port, value));
        }
        Outgoing::new(&builder.build(), method)
    }

    #[track_caller]
    fn check_error(method: &str, ports: serde_json::Value, code: &str) {
        let error = outgoing(method, ports).unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(!error.is_retryable());
    }

    #[track_caller]
    fn check_body(body: Value, content_type: &str, expected: &[u8]) {
        let builder = NodeContext::builder().input("url", "http://h/").input("body", body);
        let outgoing = Outgoing::new(&builder.build(), "PUT").unwrap();
        assert_eq!(outgoing.headers[CONTENT_TYPE], content_type);
        assert_eq!(outgoing.body.unwrap(), expected);
    }

    #[test]
    fn a_query_is_added_to_the_url() {
        let query = json!({"a": "x y&", "b": [1, true], "c": null, "d": []});
        let outgoing = outgoing("get", json!({"url": "http://h/p?z=1#f", "query": query})).unwrap();
        assert_eq!(outgoing.url.as_str(), "http://h/p?z=1&a=x+y%26&b=1&b=true#f");
        assert_eq!(outgoing.method, Method::GET);
        assert!(outgoing.headers.is_empty());
    }

    #[test]
    fn headers_are_repeated_by_lists() {
        let headers = json!({"X-One": "a", "x-two": ["b", 2], "x-three": null, "x-four": "é"});
        let outgoing = outgoing("GET", json!({"headers": headers})).unwrap();
        let values = |name: &str| -> Vec<_> {
            outgoing.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
        };
        assert_eq!(values("x-one"), [b"a"]);
        assert_eq!(values("x-two"), [b"b", b"2"]);
        assert!(values("x-three").is_empty());
        assert_eq!(values("x-four"), ["é".as_bytes()]);
    }

    #[test]
    fn a_body_is_sent_as_what_it_is() {
        check_body(Value::from("æ"), "text/plain; charset=utf-8", "æ".as_bytes());
        check_body(Value::from(vec![0_u8, 255]), "application/octet-stream", &[0, 255]);
        let secret = Value::from(object(json!({"a": 1}))).tainted();
        check_body(secret, "application/json", br#"{"a":1}"#);
        check_body(Value::from(false), "application/json", b"false");
        let ports = json!({"body": {}, "headers": {"Content-Type": "application/ld+json"}});
        let custom = outgoing("PUT", ports).unwrap();
        assert_eq!(custom.headers[CONTENT_TYPE], "application/ld+json");
        let none = outgoing("PUT", json!({"body": null})).unwrap();
        assert!(none.body.is_none() && none.headers.is_empty());
    }

    #[test]
    fn what_changes_something_carries_the_idempotency_key() {
        let key = NodeContext::builder().build().idempotency_key();
        for (method, headers, expected) in [
            ("POST", json!({}), Some(key.as_str())),
            ("patch", json!({}), Some(key.as_str())),
            ("PUT", json!({}), None),
            ("POST", json!({"Idempotency-Key": "mine"}), Some("mine")),
        ] {
            let outgoing = outgoing(method, json!({"headers": headers})).unwrap();
            let found = outgoing.headers.get(IDEMPOTENCY_KEY);
            assert_eq!(found.map(|key| key.to_str().unwrap()), expected, "{method}");
        }
    }

    #[test]
    fn the_trace_is_passed_on_unless_the_workflow_sets_its_own() {
        const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let sent = |headers: serde_json::Value, caller: Option<&str>| {
            let builder = NodeContext::builder().input("url", "http://h/");
            let builder = builder.input("headers", object(headers));
            let caller = caller.map(|state| TraceContext::read(CALLER, Some(state)).unwrap());
            let ctx = caller.into_iter().fold(builder, ContextBuilder::caller).build();
            let headers = Outgoing::new(&ctx, "GET").unwrap().headers;
            let header = |name| headers.get(name).map(|text| text.to_str().unwrap().to_owned());
            (header(TRACEPARENT), header(TRACESTATE))
        };
        assert_eq!(sent(json!({}), None), (None, None));
        let (parent, state) = sent(json!({}), Some("a=b"));
        let parent: TraceContext = parent.unwrap().parse().unwrap();
        assert_eq!(parent.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(parent.span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(state.as_deref(), Some("a=b"));
        let own = (Some("mine".to_owned()), None);
        assert_eq!(sent(json!({"traceparent": "mine"}), Some("a=b")), own);
        assert_eq!(sent(json!({"tracestate": "c=d"}), Some("a=b")).0, None);
    }

    #[test]
    fn s35_what_cannot_be_sent_is_refused() {
        for url in ["", "/path", "example.org/x", "ftp://h/", "http://", "http://a b/"] {
            check_error("GET", json!({"url": url}), "http.bad_url");
        }
        for headers in [
            json!({"a b": "c"}),
            json!({"": "c"}),
            json!({"a": "x\r\ny: z"}),
            json!({"Content-Length": 3}),
            json!({"transfer-encoding": "chunked"}),
        ] {
            check_error("GET", json!({"headers": headers}), "http.bad_header");
        }
        check_error("G ET", json!({}), "config.invalid");
        check_error("connect", json!({}), "config.invalid");
        check_error("GET", json!({"query": {"a": {}}}), "input.invalid");
        check_error("GET", json!({"headers": {"a": [[]]}}), "input.invalid");
        check_error("GET", json!({"headers": "a: b"}), "input.invalid");
        check_error("GET", json!({"url": 1}), "input.invalid");
        assert_eq!(
            Outgoing::new(&NodeContext::builder().build(), "GET").unwrap_err().code(),
            "input.missing"
        );
    }

    #[test]
    fn errors_do_not_name_secrets() {
        let ports = json!({"url": "https://ada:s3cret@h:1/p?token=s3cret#s3cret"});
        let plain = outgoing("GET", ports).unwrap();
        assert_eq!(plain.shown(), "GET https://h:1/p");
        let url = Value::from("https://s3cret/s3cret").tainted();
        let ctx = NodeContext::builder().input("url", url).build();
        let secret = Outgoing::new(&ctx, "GET").unwrap();
        assert_eq!(secret.shown(), "GET •••");
        let denied = secret.reach(&Policy::deny_all()).unwrap_err();
        assert_eq!(denied.code(), "policy.host_denied");
        assert!(!format!("{denied:?}").contains("s3cret"));
    }
}
