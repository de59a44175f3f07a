//! What an error must not say: what its node was given and came from a secret.
//!
//! Nodes get secrets as plain texts and name in errors what they could not use, so the texts are taken
//! out where the error leaves the node, whatever node it is.

use super::{NodeContext, NodeError};
use crate::machine::Prepared;
use crate::value::{MASK, Object, Value};

/// Texts shorter than this stand in errors by chance, and say little.
const SHORTEST: usize = 4;

/// The texts that an attempt was given and that came from secrets.
#[derive(Default)]
pub struct Hidden(Vec<String>);

impl NodeContext {
    /// What its errors must not say. It goes through all that the attempt was given, if something of
    /// that is tainted.
    pub fn hidden(&self) -> Hidden {
        if !self.is_tainted() {
            return Hidden::default();
        }
        Hidden::of(self.inputs().map(|(_, value)| value), self.config_object())
    }
}

impl Hidden {
    pub(crate) fn of_prepared(prepared: &Prepared) -> Self {
        if !prepared.is_tainted {
            return Self::default();
        }
        let no_config = Object::new();
        Self::of(prepared.inputs().iter().flatten(), prepared.config().unwrap_or(&no_config))
    }

    fn of<'a>(inputs: impl IntoIterator<Item = &'a Value>, config: &Object) -> Self {
        let mut texts = Vec::new();
        inputs.into_iter().for_each(|value| find(value, false, &mut texts));
        config.values().for_each(|value| find(value, false, &mut texts));
        // As messages quote them.
        let quoted = texts.iter().flat_map(|text| {
            let json = Value::from(text.as_str()).to_string();
            [json, format!("{text:?}")].map(|quoted| quoted[1..quoted.len() - 1].to_owned())
        });
        let quoted: Vec<String> = quoted.collect();
        texts.extend(quoted);
        // Of one within another the longer one goes first.
        texts.sort_unstable_by(|a, b| (b.len(), a).cmp(&(a.len(), b)));
        texts.dedup();
        Self(texts)
    }

    /// The text, with `•••` in place of what came from a secret.
    pub fn hide(&self, text: String) -> String {
        self.0.iter().fold(text, |text, secret| {
            if text == *secret {
                MASK.to_owned()
            } else if secret.len() >= SHORTEST && text.contains(secret.as_str()) {
                text.replace(secret.as_str(), MASK)
            } else {
                text
            }
        })
    }

    /// The error, with `•••` in place of what came from a secret.
    pub fn hide_in(&self, error: NodeError) -> NodeError {
        if self.0.is_empty() { error } else { error.map_texts(|text| self.hide(text)) }
    }
}

/// Finds the texts in what is tainted, keys of objects included.
fn find(value: &Value, is_tainted: bool, texts: &mut Vec<String>) {
    let is_tainted = is_tainted || matches!(value, Value::Tainted(_));
    if !is_tainted && !value.is_tainted() {
        return;
    }
    match value.untainted() {
        Value::String(text) if !text.is_empty() => texts.push(text.to_string()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(array) => array.iter().for_each(|item| find(item, is_tainted, texts)),
        Value::Object(object) => {
            for (key, value) in object.iter() {
                if is_tainted && !key.is_empty() {
                    texts.push(key.to_string());
                }
                find(value, is_tainted, texts);
            }
        }
        Value::Bytes(bytes) => {
            if let Ok(text) = std::str::from_utf8(bytes)
                && !text.is_empty()
            {
                texts.push(text.to_owned());
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Tainted(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::read_json;

    fn hidden(tainted: &str, plain: &str) -> Hidden {
        let mut config = Object::new();
        config.insert("tainted", read_json(tainted).unwrap().tainted()).unwrap();
        config.insert("plain", read_json(plain).unwrap()).unwrap();
        Hidden::of([], &config)
    }

    #[track_caller]
    fn check(hidden: &Hidden, text: &str, expected: &str) {
        let error = NodeError::config(text).with_hint(text.to_owned());
        let error = hidden.hide_in(error);
        assert_eq!((error.message(), error.hint()), (expected, Some(expected)));
        assert_eq!(error.code(), "config.invalid");
    }

    #[test]
    fn what_came_from_a_secret_is_taken_out_of_errors() {
        let some = hidden(r#"["s3cret", {"k3y": 123456}, "s3cret-and-more"]"#, r#""plain""#);
        check(&some, "no file `s3cret` in `plain`", "no file `•••` in `plain`");
        check(&some, "`s3cret-and-more`, 123456", "`•••`, •••");
        check(&some, "nothing", "nothing");
        // What is short may stand there by chance.
        check(&some, "the k3y", "the k3y");
        check(&some, "k3y", "•••");
    }

    #[test]
    fn what_a_message_quotes_is_found() {
        let some = hidden(r#""a\"b\\c\nd""#, "1");
        for quoted in ["a\"b\\c\nd".to_owned(), format!("{:?}", "a\"b\\c\nd")] {
            let text = hidden_in(&some, &format!("it was {quoted} here"));
            assert!(text == "it was ••• here" || text == "it was \"•••\" here", "{text}");
        }
    }

    fn hidden_in(hidden: &Hidden, text: &str) -> String {
        hidden.hide_in(NodeError::config(text)).message().to_owned()
    }
}
