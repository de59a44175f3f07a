//! Where an answer sends a request, and what of the request goes there.

use flowcore::NodeError;
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, COOKIE,
    HOST, HeaderMap, LOCATION, PROXY_AUTHORIZATION,
};
use reqwest::{Method, StatusCode, Url};

use super::outgoing::{Outgoing, TRACEPARENT, TRACESTATE};

/// The request that an answer asks for; `None` when the answer is not a redirect.
pub(super) fn next(
    sent: &Outgoing,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Outgoing>, NodeError> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else { return Ok(None) };
    let url = target(sent, location.as_bytes()).ok_or_else(|| {
        let message = format!("{} redirects to what is not an http or https URL", sent.shown());
        NodeError::new("http.redirect", message)
    })?;
    let mut next = sent.clone();
    if drops_body(status, &sent.method) {
        drop_body(&mut next);
    }
    if url.origin() == sent.url.origin() {
        next.url = with_credentials(url, &sent.url);
    } else {
        next.url = url;
        drop_credentials(&mut next.headers);
    }
    Ok(Some(next))
}

/// There were more redirects than the config allows.
pub(super) fn too_many(sent: &Outgoing, limit: u32) -> NodeError {
    let message = format!("{} is one redirect more than the {limit} allowed", sent.shown());
    NodeError::new("http.redirect", message)
        .with_hint("raise `max_redirects`, or set it to 0 to get the redirect itself")
}

fn target(sent: &Outgoing, location: &[u8]) -> Option<Url> {
    let url = sent.url.join(std::str::from_utf8(location).ok()?).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

/// As browsers do it.
fn drops_body(status: StatusCode, method: &Method) -> bool {
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => *method == Method::POST,
        StatusCode::SEE_OTHER => ![Method::GET, Method::HEAD].contains(method),
        _ => false,
    }
}

fn drop_body(request: &mut Outgoing) {
    request.method = Method::GET;
    request.body = None;
    for header in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION] {
        request.headers.remove(header);
    }
}

fn with_credentials(mut url: Url, sent: &Url) -> Url {
    if url.username().is_empty() && url.password().is_none() {
        // Fail for URLs that have no place for them.
        let _ = url.set_username(sent.username());
        let _ = url.set_password(sent.password());
    }
    url
}

/// What proves who is asking goes to nobody else, and so do headers that came from a secret. And who
/// is asking is nobody else's business.
fn drop_credentials(headers: &mut HeaderMap) {
    for header in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST, TRACEPARENT, TRACESTATE] {
        headers.remove(header);
    }
    let secret = |name| headers.get_all(name).iter().any(|value| value.is_sensitive());
    let secrets: Vec<_> = headers.keys().filter(|name| secret(*name)).cloned().collect();
    for header in secrets {
        headers.remove(header);
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::{Query, RawQuery};
    use axum::http::{HeaderMap, Method, StatusCode};
    use axum::routing::any;
    use flowcore::{Access, Policy, Value};
    use serde_json::json;

    use super::super::test_server::{TestServer, anywhere, request, request_under};
    use crate::testing::node;

    #[derive(serde::Deserialize)]
    struct Redirect {
        status: u16,
        to: String,
    }

    async fn echo(
        method: Method,
        headers: HeaderMap,
        RawQuery(query): RawQuery,
        body: String,
    ) -> axum::Json<serde_json::Value> {
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        let told =
            ["authorization", "cookie", "x-secret", "x-plain", "content-type", "traceparent"]
                .map(header);
        let method = method.as_str();
        axum::Json(json!({ "method": method, "body": body, "query": query, "headers": told }))
    }

    /// `/echo` tells what it got; `/go?status=…&to=…` redirects; `/loop` for ever; `/silent` to
    /// nowhere.
    async fn server() -> TestServer {
        let go = |Query(redirect): Query<Redirect>| async move {
            (StatusCode::from_u16(redirect.status).unwrap(), [("location", redirect.to)])
        };
        let again = || async { (StatusCode::FOUND, [("location", "/loop")]) };
        let silent = || async { StatusCode::FOUND };
        let router = Router::new().route("/echo", any(echo)).route("/go", any(go));
        TestServer::start(router.route("/loop", any(again)).route("/silent", any(silent))).await
    }

    fn go(server: &TestServer, status: u16, to: &str) -> String {
        let query = reqwest::Url::parse_with_params("x:", [("to", to)]).unwrap();
        server.url(&format!("/go?status={status}&{}", query.query().unwrap()))
    }

    #[tokio::test]
    async fn methods_and_bodies_follow_the_status() {
        let server = server().await;
        for (status, method, expected, body) in [
            (301, "POST", "GET", ""),
            (302, "POST", "GET", ""),
            (302, "PUT", "PUT", "x"),
            (303, "PUT", "GET", ""),
            (303, "GET", "GET", "x"),
            (307, "POST", "POST", "x"),
            (308, "PATCH", "PATCH", "x"),
        ] {
            let url = go(&server, status, "echo?a=1");
            let config = json!({"url": url, "method": method, "body": "x", "query": {"b": 2}});
            let output = request(config).await.unwrap();
            let told = output.get("json").unwrap();
            assert_eq!(told.get("method"), Some(&Value::from(expected)), "{status} {method}");
            assert_eq!(told.get("body"), Some(&Value::from(body)), "{status} {method}");
            assert_eq!(told.get("query"), Some(&Value::from("a=1")));
            let content_type = told.pointer("/headers/4").unwrap();
            assert_eq!(content_type.is_null(), body.is_empty(), "{status} {method}");
        }
    }

    #[tokio::test]
    async fn s35_credentials_stay_with_their_origin() {
        let (here, there) = (server().await, server().await);
        let told = async |to: String| {
            let url = go(&here, 307, &to);
            let headers = json!({"authorization": "Bearer x", "cookie": "a=b", "x-plain": "p"});
            let mut headers = crate::testing::object(headers);
            headers.insert("x-secret", Value::from("s3cret").tainted()).unwrap();
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let ctx = anywhere(json!({"url": url})).input("headers", headers);
            let ctx = ctx.caller(parent.parse().unwrap());
            let factory = super::super::request::RequestFactory::default();
            let output = node(&factory).execute(ctx.build()).await.unwrap();
            let mut told = output.get("json").unwrap().get("headers").unwrap().to_json();
            let trace = &mut told[5];
            *trace = json!(trace.as_str().map(|text| text[3..35].to_owned()));
            told.to_string()
        };
        let own = r#"["Bearer x","a=b","s3cret","p",null,"0af7651916cd43dd8448eb211c80319c"]"#;
        assert_eq!(told("/echo".to_owned()).await, own);
        assert_eq!(told(here.url("/echo")).await, own);
        assert_eq!(told(there.url("/echo")).await, r#"[null,null,null,"p",null,null]"#);
    }

    #[tokio::test]
    async fn user_and_password_stay_with_their_origin() {
        let (here, there) = (server().await, server().await);
        let authorization = async |to: String| {
            let url = go(&here, 302, &to).replace("http://", "http://ada:pass@");
            let output = request(json!({"url": url})).await.unwrap();
            output.get("json").unwrap().pointer("/headers/0").unwrap().is_null()
        };
        assert!(!authorization(here.url("/echo")).await);
        assert!(authorization(there.url("/echo")).await);
    }

    #[tokio::test]
    async fn the_policy_is_asked_about_each_host() {
        let (here, there) = (server().await, server().await);
        let host = |server: &TestServer| server.url("").replace("http://", "");
        let policy = Policy::deny_all().hosts(Access::Only(vec![host(&here)]));
        let inside = json!({"url": go(&here, 302, "/echo")});
        assert!(request_under(policy.clone(), inside).await.is_ok());
        let outside = json!({"url": go(&here, 302, &there.url("/echo"))});
        let error = request_under(policy, outside).await.unwrap_err();
        assert_eq!(error.code(), "policy.host_denied");
    }

    #[tokio::test]
    async fn redirects_are_counted_and_may_be_off() {
        let server = server().await;
        let error = request(json!({"url": server.url("/loop")})).await.unwrap_err();
        assert_eq!(error.code(), "http.redirect");
        let once = json!({"url": go(&server, 302, "/echo"), "max_redirects": 1});
        assert!(request(once).await.is_ok());
        let twice = go(&server, 302, &go(&server, 302, "/echo"));
        let error = request(json!({"url": twice, "max_redirects": 1})).await.unwrap_err();
        assert_eq!(error.code(), "http.redirect");
        let off = json!({"url": go(&server, 302, "/echo"), "max_redirects": 0});
        let output = request(off).await.unwrap();
        assert_eq!(output.get("status"), Some(&Value::from(302)));
        assert_eq!(output.get("headers").unwrap().get("location"), Some(&Value::from("/echo")));
        assert_eq!(output.get("success"), Some(&Value::from(true)));
        let silent = request(json!({"url": server.url("/silent")})).await.unwrap();
        assert_eq!(silent.get("status"), Some(&Value::from(302)));
    }

    #[tokio::test]
    async fn a_redirect_to_nowhere_is_an_error() {
        let server = server().await;
        for to in ["ftp://h/", "file:///etc/passwd", "http://"] {
            let error = request(json!({"url": go(&server, 302, to)})).await.unwrap_err();
            assert_eq!((error.code(), error.is_retryable()), ("http.redirect", false), "{to}");
            assert_eq!(
                error.message(),
                format!("GET {} redirects to what is not an http or https URL", server.url("/go"))
            );
        }
    }
}
