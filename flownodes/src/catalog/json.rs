//! JSON as people write it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// The longest line.
const WIDTH: usize = 90;

/// The keys of a node that come first, in this order; all others are in alphabetical order, whatever
/// order `serde_json` was built to keep.
const FIRST: [&str; 2] = ["id", "node_type"];

/// JSON text in which whatever fits stands on one line.
pub(super) fn layout(json: &Json) -> String {
    lines(json, 0)
}

fn lines(json: &Json, indent: usize) -> String {
    let line = one_line(json);
    if indent + line.len() <= WIDTH {
        return line;
    }
    let (inner, outer) = (" ".repeat(indent + 2), " ".repeat(indent));
    let block = |open: char, items: Vec<String>, close: char| {
        format!("{open}\n{inner}{}\n{outer}{close}", items.join(&format!(",\n{inner}")))
    };
    match json {
        Json::Array(items) => {
            block('[', items.iter().map(|item| lines(item, indent + 2)).collect(), ']')
        }
        Json::Object(entries) => {
            let members = sorted(entries).into_iter();
            let member = |(key, value)| format!("{}: {}", quoted(key), lines(value, indent + 2));
            block('{', members.map(member).collect(), '}')
        }
        _ => line,
    }
}

fn one_line(json: &Json) -> String {
    match json {
        Json::Array(items) => {
            format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", "))
        }
        Json::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Json::Object(entries) => {
            let members = sorted(entries).into_iter();
            let members =
                members.map(|(key, value)| format!("{}: {}", quoted(key), one_line(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn quoted(key: &str) -> String {
    Json::from(key).to_string()
}

fn sorted(entries: &serde_json::Map<String, Json>) -> Vec<(&str, &Json)> {
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let is_node = entries.contains_key("node_type");
    let ranked: BTreeMap<_, _> = entries
        .iter()
        .map(|(key, value)| ((if is_node { rank(key) } else { 0 }, key.as_str()), value))
        .collect();
    ranked.into_iter().map(|((_, key), value)| (key, value)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_fits_stands_on_one_line() {
        assert_eq!(layout(&json!({ "b": [1, "x"], "a": {} })), r#"{ "a": {}, "b": [1, "x"] }"#);
        assert_eq!(layout(&json!({ "id": 1, "a": 2 })), r#"{ "a": 2, "id": 1 }"#);
        let long = "x".repeat(60);
        let node = json!({ "node_type": "t", "config": { "a": long, "b": [] }, "id": "i" });
        let expected = format!(
            "{{\n  \"id\": \"i\",\n  \"node_type\": \"t\",\n  \"config\": {{ \"a\": \"{long}\", \"b\": [] }}\n}}"
        );
        assert_eq!(layout(&node), expected);
        assert_eq!(serde_json::from_str::<Json>(&layout(&node)).unwrap(), node);
    }
}
