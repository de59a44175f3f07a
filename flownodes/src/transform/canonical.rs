//! Canonical JSON (RFC 8785): one text for each value, whatever the order of keys.

use std::fmt::Write as _;

use flowcore::Value;
use serde_json::{Map, Number, Value as Json};

/// The canonical JSON of a value, with secrets revealed.
///
/// Keys are sorted by UTF-16 code units, and numbers are written as JavaScript writes them, so `1`
/// and `1.0` are the same text. Integers beyond 2^53, of which the RFC knows nothing, keep their
/// digits.
pub(super) fn canonical_json(value: &Value) -> String {
    let json = serde_json::to_value(value.reveal())
        .expect("a value has string keys and finite numbers only");
    let mut text = String::new();
    write(&mut text, &json);
    text
}

fn write(text: &mut String, json: &Json) {
    match json {
        Json::Null | Json::Bool(_) | Json::String(_) => text.push_str(&json.to_string()),
        Json::Number(number) => write_number(text, number),
        Json::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(text, item);
            }
            text.push(']');
        }
        Json::Object(entries) => write_object(text, entries),
    }
}

fn write_object(text: &mut String, entries: &Map<String, Json>) {
    let mut sorted: Vec<(&String, &Json)> = entries.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    text.push('{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, &Json::String(key.clone()));
        text.push(':');
        write(text, value);
    }
    text.push('}');
}

fn write_number(text: &mut String, number: &Number) {
    let written = match (number.is_f64(), number.as_f64()) {
        (true, Some(float)) => write_float(text, float),
        _ => write!(text, "{number}"),
    };
    written.expect("a string takes all text");
}

/// A float as ECMAScript's `Number::toString` writes it.
fn write_float(text: &mut String, float: f64) -> std::fmt::Result {
    if float == 0.0 {
        return text.write_str("0");
    }
    // Rust's shortest digits that read back are those of ECMAScript; only the layout differs.
    let scientific = format!("{:e}", float.abs());
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).expect("a float has at most 17 digits");
    let point = exponent.parse::<i32>().expect("`{:e}` writes a whole exponent") + 1;
    if float < 0.0 {
        text.push('-');
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    match point {
        _ if count <= point && point <= 21 => write!(text, "{digits}{}", zeros(point - count)),
        1..=21 => {
            let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
            write!(text, "{whole}.{fraction}")
        }
        -5..=0 => write!(text, "0.{}{digits}", zeros(-point)),
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            write!(text, "{first}{dot}{rest}e{:+}", point - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        assert_eq!(canonical_json(&read_json(json).unwrap()), expected);
    }

    #[test]
    fn the_examples_of_the_rfc() {
        check(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                "literals": [null, true, false]}"#,
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#,
        );
        // By UTF-16, an emoji comes before U+FB33; by code point, after it.
        check(
            r#"{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}"#,
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}",
        );
    }

    #[test]
    fn numbers_are_written_as_javascript_writes_them() {
        check(
            "[0.0, -0.0, 5e-324, 1.7976931348623157e308]",
            "[0,0,5e-324,1.7976931348623157e+308]",
        );
        check(
            "[1e21, 1e20, 999999999999999900000.0]",
            "[1e+21,100000000000000000000,999999999999999900000]",
        );
        check("[0.000001, 0.0000001, -1.5, 123.456, -1.0]", "[0.000001,1e-7,-1.5,123.456,-1]");
        check(
            "[9007199254740993, 18446744073709551615]",
            "[9007199254740993,18446744073709551615]",
        );
    }

    #[test]
    fn bytes_have_their_marker() {
        check(r#"{"b": {"$bytes": "AQL/"}, "a": []}"#, r#"{"a":[],"b":{"$bytes":"AQL/"}}"#);
    }
}
