//! Where two values differ.

use super::{Value, escape_pointer};

/// A place where two values differ.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ValueDifference<'a> {
    /// Where: a JSON pointer.
    pub path: &'a str,
    /// What the first value has there; `None` for nothing.
    pub old: Option<&'a Value>,
    /// What the second value has there; `None` for nothing.
    pub new: Option<&'a Value>,
    /// Whether the place is a key of an object, and not an index of an array or the whole value.
    pub is_key: bool,
}

/// Finds every place where two values differ: first those of the first value in their order, then
/// what only the second one has. Pointers begin with `path`.
///
/// Objects are compared key by key and arrays index by index. What came from a secret is compared as
/// a whole, so that nothing of it is seen.
pub fn differences(
    old: &Value,
    new: &Value,
    path: &str,
    found: &mut dyn FnMut(ValueDifference<'_>),
) {
    compare(ValueDifference { path, old: Some(old), new: Some(new), is_key: false }, found);
}

fn compare(pair: ValueDifference<'_>, found: &mut dyn FnMut(ValueDifference<'_>)) {
    let path = pair.path;
    match (pair.old, pair.new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(key));
            for key in old.keys().chain(added) {
                let path = &format!("{path}/{}", escape_pointer(key));
                let (old, new) = (old.get(key), new.get(key));
                compare(ValueDifference { path, old, new, is_key: true }, found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                let path = &format!("{path}/{index}");
                let (old, new) = (old.get(index), new.get(index));
                compare(ValueDifference { path, old, new, is_key: false }, found);
            }
        }
        (old, new) if old == new => {}
        (_, _) => found(pair),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Object, read_json};
    use super::*;

    fn list(old: &Value, new: &Value) -> Vec<String> {
        let mut found = Vec::new();
        differences(old, new, "/output", &mut |one| {
            let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            found.push(format!("{} {} -> {}", one.path, show(one.old), show(one.new)));
        });
        found
    }

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        assert_eq!(list(&read_json(old).unwrap(), &read_json(new).unwrap()), expected);
    }

    #[test]
    fn differences_are_found_where_they_are() {
        check(r#"{"a": 1, "b": 2}"#, r#"{"b": 2, "a": 1}"#, &[]);
        check(
            r#"{"a": 1, "gone": null, "in": {"x/y": [1, 2, 3], "same": [1]}}"#,
            r#"{"a": 2, "in": {"x/y": [1, 5], "same": [1]}, "new": null}"#,
            &[
                "/output/a 1 -> 2",
                "/output/gone null -> nothing",
                "/output/in/x~1y/1 2 -> 5",
                "/output/in/x~1y/2 3 -> nothing",
                "/output/new nothing -> null",
            ],
        );
        check(r#"{"a": {"b": 1}}"#, r#"{"a": [1]}"#, &[r#"/output/a {"b":1} -> [1]"#]);
        check("1", "\"1\"", &["/output 1 -> \"1\""]);
    }

    #[test]
    fn nothing_is_seen_of_a_secret() {
        let secret = |text: &str| {
            let inside = Object::from_entries([("pin", Value::from(text))]).unwrap();
            Value::from(Object::from_entries([("card", Value::from(inside).tainted())]).unwrap())
        };
        assert_eq!(list(&secret("1234"), &secret("1234")), [""; 0]);
        assert_eq!(list(&secret("1234"), &secret("9999")), [r#"/output/card "•••" -> "•••""#]);
        let plain = read_json(r#"{"card": {"pin": "1234", "name": "ada"}}"#).unwrap();
        let expected = [r#"/output/card {"pin":"1234","name":"ada"} -> "•••""#];
        assert_eq!(list(&plain, &secret("1234")), expected);
        assert_eq!(
            list(&plain.clone().tainted(), &secret("9999")),
            [r#"/output "•••" -> {"card":"•••"}"#]
        );
    }
}
