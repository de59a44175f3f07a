//! What a request brings, as expressions see it: plain data, whatever it looks like.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use flowcore::value::{JsonErrorKind, read_json};
use flowcore::{Array, Object, Value, ValueError};

use super::signature::{SIGNATURE, TIMESTAMP};
use crate::body;
use crate::problem::Problem;

/// Headers that say who asks, or prove it: no workflow, and no journal, is told them.
const PRIVATE: [HeaderName; 5] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, TIMESTAMP, SIGNATURE];

/// A request, but for its body.
pub(crate) struct Came<'a> {
    pub(crate) method: &'a Method,
    /// The path of the webhook: not the key after it.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) headers: &'a HeaderMap,
}

/// The body of a request: at most 1 MiB, in a bounded time, and not compressed.
pub(crate) async fn read_body(request: Request) -> Result<Bytes, Problem> {
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(body::compressed());
    }
    body::collect(request, body::MOST).await
}

impl Came<'_> {
    /// What expressions see as `request`.
    pub(crate) fn with_body(&self, body: &Bytes) -> Result<Object, Problem> {
        let body = self.parse(body)?;
        let members = || {
            Object::from_entries([
                ("method", Value::from(self.method.as_str())),
                ("path", Value::from(self.path)),
                ("query", Value::Object(pairs(self.query.as_bytes())?)),
                ("headers", Value::Object(self.public_headers()?)),
                ("body", body),
            ])
        };
        members().map_err(|error| too_deep(&error))
    }

    fn public_headers(&self) -> Result<Object, ValueError> {
        let mut all = Object::new();
        for name in self.headers.keys().filter(|name| !PRIVATE.contains(name)) {
            let values = self.headers.get_all(name).into_iter();
            let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
            all.insert(name.as_str(), values.join(", "))?;
        }
        Ok(all)
    }

    /// The body by its content type, and by nothing else.
    fn parse(&self, body: &Bytes) -> Result<Value, Problem> {
        if body.is_empty() {
            return Ok(Value::Null);
        }
        let content_type = self.headers.get(header::CONTENT_TYPE).map(|value| value.to_str());
        let content_type = content_type.and_then(Result::ok).unwrap_or_default();
        let mut parts = content_type.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_json = essence == "application/json" || essence.ends_with("+json");
        if is_json {
            return json(text(body)?);
        }
        if essence == "application/x-www-form-urlencoded" {
            return pairs(body).map(Value::Object).map_err(|error| too_deep(&error));
        }
        if !essence.starts_with("text/") {
            return Ok(Value::Bytes(body.as_ref().into()));
        }
        let parameters = parts.filter_map(|part| part.split_once('='));
        let mut parameters = parameters.map(|(name, value)| (name.trim(), value.trim()));
        let charset = parameters.find(|(name, _)| name.eq_ignore_ascii_case("charset"));
        match charset.map(|(_, charset)| charset.trim_matches('"')) {
            Some(other) if !["utf-8", "us-ascii"].contains(&&*other.to_ascii_lowercase()) => {
                let detail = format!("texts are read in UTF-8, not in `{other}`");
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(Problem::new(status, "request.content_type", detail))
            }
            _ => text(body).map(Value::from),
        }
    }
}

fn text(body: &Bytes) -> Result<&str, Problem> {
    std::str::from_utf8(body)
        .map_err(|_| Problem::bad_request("request.bad_text", "the body is not UTF-8"))
}

fn json(text: &str) -> Result<Value, Problem> {
    read_json(text).map_err(|error| {
        let code = match error.kind {
            JsonErrorKind::TooDeep => "request.too_deep",
            _ => "request.bad_json",
        };
        Problem::bad_request(code, format!("{error}, at byte {}", error.offset))
    })
}

fn too_deep(error: &ValueError) -> Problem {
    Problem::bad_request("request.too_deep", error.to_string())
}

/// Names and values, as in a query or a form: a name that stands several times has an array.
fn pairs(text: &[u8]) -> Result<Object, ValueError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<(String, Vec<Value>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(text) {
        let value = Value::from(value.into_owned());
        match places.get(name.as_ref()) {
            Some(place) => all[*place].1.push(value),
            None => {
                places.insert(name.clone().into_owned(), all.len());
                all.push((name.into_owned(), vec![value]));
            }
        }
    }
    let entries = all.into_iter().map(|(name, mut values)| {
        let value = match values.pop() {
            Some(only) if values.is_empty() => only,
            last => {
                values.extend(last);
                Value::Array(Array::from_values(values)?)
            }
        };
        Ok((name, value))
    });
    Object::from_entries(entries.collect::<Result<Vec<_>, ValueError>>()?)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use serde_json::{Value as Json, json};

    use super::*;

    fn came(content_type: &str, body: &[u8]) -> Result<Json, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        let query = "a=1&b=x%20y&a=2&c";
        let came = Came { method: &Method::POST, path: "p", query, headers: &headers };
        let body = Bytes::copy_from_slice(body);
        came.with_body(&body).map(|came| Value::Object(came).to_json()).map_err(|p| p.to_json())
    }

    #[track_caller]
    fn check(content_type: &str, body: &[u8], expected: Json) {
        assert_eq!(came(content_type, body).unwrap()["body"], expected, "{content_type}");
    }

    #[test]
    fn s41_a_body_is_read_by_its_content_type_alone() {
        let upload = br#"{"files": {"x": {"filepath": "/etc/passwd"}}}"#;
        let data = json!({"files": {"x": {"filepath": "/etc/passwd"}}});
        check("application/json", upload, data.clone());
        check("application/vnd.x+json; charset=utf-8", upload, data);
        check("text/plain", b"{\"a\": 1}", json!("{\"a\": 1}"));
        check("text/plain; charset=\"UTF-8\"", "ø".as_bytes(), json!("ø"));
        check("application/octet-stream", b"{}", json!({"$bytes": "e30="}));
        check("multipart/form-data; boundary=x", b"--x--", json!({"$bytes": "LS14LS0="}));
        check("", b"{}", json!({"$bytes": "e30="}));
        let form = "application/x-www-form-urlencoded";
        check(form, b"a=1&b=%C3%B8&a=+2", json!({"a": ["1", " 2"], "b": "ø"}));
        for content_type in ["application/json", "text/plain", form, ""] {
            check(content_type, b"", Json::Null);
        }
    }

    #[test]
    fn a_query_is_names_and_values() {
        let came = came("", b"").unwrap();
        assert_eq!(came["query"], json!({"a": ["1", "2"], "b": "x y", "c": ""}));
        assert_eq!((&came["method"], &came["path"]), (&json!("POST"), &json!("p")));
    }

    #[test]
    fn s19_bodies_that_make_no_sense_are_refused() {
        let deep = "[".repeat(100_000);
        for (content_type, body, code) in [
            ("application/json", deep.as_bytes(), "request.too_deep"),
            ("application/json", b"{", "request.bad_json"),
            ("application/json", b"\xff", "request.bad_text"),
            ("text/plain", b"\xff", "request.bad_text"),
            ("text/plain; charset=latin1", b"x", "request.content_type"),
        ] {
            let problem = came(content_type, body).unwrap_err();
            assert!(problem.contains(&format!("\"code\":\"{code}\"")), "{problem}");
        }
    }

    #[test]
    fn who_asks_is_not_told() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("webhook-signature", "v1,x"),
            ("webhook-timestamp", "1"),
            ("webhook-id", "m1"),
            ("x-tag", "a"),
            ("x-tag", "b"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let came = Came { method: &Method::GET, path: "p", query: "", headers: &headers };
        let came = Value::Object(came.with_body(&Bytes::new()).unwrap()).to_json();
        assert_eq!(came["headers"], json!({"webhook-id": "m1", "x-tag": "a, b"}));
    }
}
