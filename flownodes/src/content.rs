//! Values on their way to the outside and back: as bytes and as JSON, secrets included.

use std::sync::Arc;

use flowcore::Value;
use flowcore::value::{JsonError, read_json};

/// Up to this size, JSON is read where it is: parsing takes well under a millisecond, about what a
/// hand-over to the blocking pool costs.
const PARSE_INLINE_BYTES: usize = 64 * 1024;

/// The bytes of a string or of bytes; `None` for everything else.
pub(crate) fn raw(value: &Value) -> Option<&[u8]> {
    value.as_str().map(str::as_bytes).or_else(|| value.as_bytes())
}

/// Compact JSON, with secrets revealed.
pub(crate) fn json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(&value.reveal()).expect("a value has string keys and finite numbers only")
}

/// Indented JSON with a final newline, with secrets revealed.
pub(crate) fn pretty_json(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(&value.reveal())
        .expect("a value has string keys and finite numbers only");
    text.push(b'\n');
    text
}

/// Text when the bytes are UTF-8, else the bytes as they are.
pub(crate) fn text_or_bytes(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(error) => Value::from(error.into_bytes()),
    }
}

/// Reads a JSON document without holding up the thread for long.
pub(crate) async fn read_json_yielding(text: Arc<str>) -> Result<Value, JsonError> {
    if text.len() <= PARSE_INLINE_BYTES {
        return read_json(&text);
    }
    let reading = tokio::task::spawn_blocking(move || read_json(&text));
    reading.await.expect("reading JSON does not panic")
}

#[cfg(test)]
mod tests {
    use flowcore::Object;

    use super::*;

    #[test]
    fn secrets_go_out_as_they_are() {
        let secret = Value::from("s3cret").tainted();
        assert_eq!(raw(&secret), Some(&b"s3cret"[..]));
        let value = Value::from(Object::from_entries([("token", secret)]).unwrap());
        assert_eq!(raw(&value), None);
        assert_eq!(json(&value), br#"{"token":"s3cret"}"#);
        assert_eq!(pretty_json(&value), b"{\n  \"token\": \"s3cret\"\n}\n");
    }

    #[tokio::test]
    async fn long_documents_are_read_elsewhere() {
        let text = format!("[{}1]", "1,".repeat(PARSE_INLINE_BYTES));
        let value = read_json_yielding(text.into()).await.unwrap();
        assert_eq!(value.as_array().unwrap().len(), PARSE_INLINE_BYTES + 1);
        assert!(read_json_yielding("[".into()).await.is_err());
    }
}
