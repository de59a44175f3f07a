//! The filters that turn one kind of value into another.
//!
//! They are exact: what does not convert without loss or guessing is an error with a code of its
//! own, and messages never show the value, which may be a secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value as Jinja};

use super::bridge::{BridgeError, from_jinja, to_jinja};
use crate::value::{Number, Value, read_json};

/// Why a value did not convert; travels as the source of minijinja's error.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ConversionError {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: Option<&'static str>,
}

impl ConversionError {
    fn new(message: impl Into<String>) -> Self {
        Self { code: "expression.cannot_convert", message: message.into(), hint: None }
    }

    /// For an operator that orders, between values that have no order.
    pub(super) fn incomparable(operator: &str, left: &str, right: &str) -> Self {
        let is_text = [left, right].contains(&"a string") && left != right;
        Self {
            code: "expression.not_comparable",
            message: format!("`{operator}` does not compare {left} with {right}"),
            hint: Some(match is_text {
                true => {
                    "`| int` or `| float` makes a number of a text, `| string` a text of a value"
                }
                false => "where a value may be null, ask first: `x is not none and x > 1`",
            }),
        }
    }

    fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

impl From<BridgeError> for ConversionError {
    fn from(error: BridgeError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<ConversionError> for Error {
    fn from(error: ConversionError) -> Self {
        Self::new(ErrorKind::InvalidOperation, error.message.clone()).with_source(error)
    }
}

/// What a filter makes of a value.
pub(super) type Conversion = fn(&Value) -> Result<Value, ConversionError>;

/// The filters without arguments.
const PLAIN: [(&str, Conversion); 6] = [
    ("string", string),
    ("bytes", bytes),
    ("base64", base64),
    ("base64_decode", base64_decode),
    ("json", json),
    ("from_json", from_json),
];

/// The filters that take a `default` for what does not convert.
const WITH_DEFAULT: [(&str, Conversion); 2] = [("float", float), ("bool", boolean)];

/// What the filter of this name does when it is given no arguments.
pub(super) fn conversion(filter: &str) -> Option<Conversion> {
    let integer: (&str, Conversion) = ("int", |value| match value.as_str() {
        Some(text) => {
            let integer = int_of_text(text, 10)?;
            Number::from_i128(integer).map(Value::Number).ok_or_else(beyond_64_bits)
        }
        None => int(value),
    });
    let mut all = PLAIN.iter().chain(&WITH_DEFAULT).chain([&integer]);
    all.find(|(name, _)| *name == filter).map(|(_, convert)| *convert)
}

/// Adds the filters to an environment; those of minijinja with the same names guess, and are
/// replaced.
pub(super) fn register(environment: &mut Environment<'static>) {
    for (name, convert) in PLAIN {
        environment.add_filter(name, move |value: &Jinja| apply(value, convert));
    }
    for (name, convert) in WITH_DEFAULT {
        let filter = move |value: &Jinja, default: Option<Jinja>, named: Kwargs| {
            with_default(apply(value, convert), default, &named)
        };
        environment.add_filter(name, filter);
    }
    environment.add_filter("int", int_filter);
}

fn apply(value: &Jinja, convert: Conversion) -> Result<Jinja, Error> {
    if value.kind() == ValueKind::Undefined {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    let value = from_jinja(value).map_err(ConversionError::from)?;
    Ok(to_jinja(&convert(&value)?))
}

fn with_default(
    converted: Result<Jinja, Error>,
    default: Option<Jinja>,
    named: &Kwargs,
) -> Result<Jinja, Error> {
    let default = match default {
        Some(default) => Some(default),
        None => named.get("default")?,
    };
    named.assert_all_used()?;
    // What is undefined stays an error: `default` the filter is the way to allow it.
    match converted {
        Err(error) if error.kind() == ErrorKind::InvalidOperation => default.ok_or(error),
        converted => converted,
    }
}

fn int_filter(
    value: &Jinja,
    default: Option<Jinja>,
    base: Option<u32>,
    named: Kwargs,
) -> Result<Jinja, Error> {
    let base = match base {
        Some(base) => base,
        None => named.get::<Option<u32>>("base")?.unwrap_or(10),
    };
    if !(2..=36).contains(&base) {
        return Err(Error::new(ErrorKind::InvalidOperation, "`base` is a number from 2 to 36"));
    }
    let converted = match value.as_str() {
        Some(text) => int_of_text(text, base).map(Jinja::from).map_err(Error::from),
        None => apply(value, int),
    };
    with_default(converted, default, &named)
}

fn refused(value: &Value, wanted: &str) -> ConversionError {
    ConversionError::new(format!("{} is not {wanted}", value.kind()))
}

fn int(value: &Value) -> Result<Value, ConversionError> {
    match value {
        Value::Number(number) if number.is_integer() => Ok(value.clone()),
        Value::Number(number) => int_of_float(*number),
        Value::Bool(_) => Err(refused(value, "an integer").with_hint("write `1 if … else 0`")),
        _ => Err(refused(value, "an integer")),
    }
}

fn int_of_float(number: Number) -> Result<Value, ConversionError> {
    if number.as_f64().fract() != 0.0 {
        return Err(ConversionError::new("the number has a fraction and is not an integer")
            .with_hint("`| round | int` rounds it first"));
    }
    let integer = number.as_i64().map(Value::from);
    // Above `i64::MAX` a float is whole, and `u64` may still hold it.
    let integer = integer.or_else(|| unsigned(number.as_f64()).map(Value::from));
    integer.ok_or_else(beyond_64_bits)
}

fn unsigned(value: f64) -> Option<u64> {
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked here")]
    (0.0..LIMIT).contains(&value).then_some(value as u64)
}

fn beyond_64_bits() -> ConversionError {
    ConversionError::new("the number does not fit into 64 bits")
}

/// Digits with an optional sign, and white space around them.
fn int_of_text(text: &str, base: u32) -> Result<i128, ConversionError> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        let error = ConversionError::new("the text is not an integer");
        let is_number = base == 10 && float_of_text(text).is_ok();
        return Err(match is_number {
            true => error.with_hint("`| float` reads a number with a fraction or an exponent"),
            false => error,
        });
    }
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    let integer = i128::from_str_radix(text, base).ok();
    integer.filter(|integer| range.contains(integer)).ok_or_else(beyond_64_bits)
}

fn float(value: &Value) -> Result<Value, ConversionError> {
    let float = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => float_of_text(text.trim())?,
        _ => return Err(refused(value, "a number")),
    };
    Value::try_from(float).map_err(|_| ConversionError::new("the number is not finite"))
}

fn float_of_text(text: &str) -> Result<f64, ConversionError> {
    let error = || ConversionError::new("the text is not a number");
    // Rust reads `inf`, `nan` and `.`-less forms of them as well; no letter but `e` is ours.
    if !text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E')) {
        return Err(error());
    }
    let float: f64 = text.parse().map_err(|_| error())?;
    if float.is_infinite() {
        return Err(ConversionError::new("the number is beyond the range of a 64-bit float"));
    }
    Ok(float)
}

fn boolean(value: &Value) -> Result<Value, ConversionError> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) => match &**text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(ConversionError::new("the text is neither `true` nor `false`")
                .with_hint("compare it: `inputs.answer == \"yes\"`")),
        },
        Value::Number(_) => Err(refused(value, "a boolean").with_hint("compare it: `… != 0`")),
        _ => Err(refused(value, "a boolean")),
    }
}

/// As `{{ }}` writes a value into a text, but for bytes, which are text when they are UTF-8.
fn string(value: &Value) -> Result<Value, ConversionError> {
    match value {
        Value::String(_) => Ok(value.clone()),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).map(Value::from).map_err(|_| {
            ConversionError::new("the bytes are not text in UTF-8")
                .with_hint("`| base64` writes any bytes as text")
        }),
        _ => json(value),
    }
}

fn bytes(value: &Value) -> Result<Value, ConversionError> {
    match value {
        Value::Bytes(_) => Ok(value.clone()),
        Value::String(text) => Ok(Value::from(text.as_bytes())),
        _ => Err(refused(value, "text or bytes").with_hint("`| json` first makes it text")),
    }
}

fn base64(value: &Value) -> Result<Value, ConversionError> {
    let bytes = value.as_bytes().or_else(|| value.as_str().map(str::as_bytes));
    match bytes {
        Some(bytes) => Ok(Value::from(STANDARD.encode(bytes))),
        None => Err(refused(value, "text or bytes").with_hint("`| json` first makes it text")),
    }
}

fn base64_decode(value: &Value) -> Result<Value, ConversionError> {
    let Some(text) = value.as_str() else { return Err(refused(value, "text")) };
    let bytes =
        STANDARD.decode(text).map_err(|_| ConversionError::new("the text is not base64"))?;
    Ok(Value::from(bytes))
}

/// With secrets revealed: the taint of what was read is put on the whole result.
fn json(value: &Value) -> Result<Value, ConversionError> {
    let text = serde_json::to_string(&value.reveal());
    text.map(Value::from).map_err(|error| ConversionError::new(error.to_string()))
}

fn from_json(value: &Value) -> Result<Value, ConversionError> {
    let Some(text) = value.as_str() else { return Err(refused(value, "text")) };
    read_json(text).map_err(|error| {
        // Not the error's own text, which may show a part of the value.
        ConversionError::new(format!("the text is not JSON ({})", error.kind.code()))
    })
}

/// What to do about a value of one kind where another is wanted: the filter that converts it.
///
/// Both are as messages name them: `found` as [`Value::kind`], `wanted` as "an integer".
pub(crate) fn conversion_hint(found: &str, wanted: &str) -> Option<&'static str> {
    let is = |kinds: &[&str]| kinds.contains(&wanted);
    match found {
        "a string" if is(&["an integer"]) => Some("`| int` makes an integer of a text"),
        "a string" if is(&["a number"]) => Some("`| float` makes a number of a text"),
        "a string" if is(&["a boolean"]) => {
            Some("`| bool` makes a boolean of the texts `true` and `false`")
        }
        "a string" if is(&["bytes"]) => Some("`| bytes` makes bytes of a text"),
        "a string" if is(&["an array", "an object"]) => {
            Some("`| from_json` reads a text that is JSON")
        }
        "a number" if is(&["an integer"]) => {
            Some("`| int` makes an integer of a number without a fraction")
        }
        "a number" | "a boolean" if is(&["a string"]) => Some("`| string` makes a text of it"),
        "bytes" if is(&["a string"]) => {
            Some("`| string` makes a text of bytes in UTF-8, `| base64` of any bytes")
        }
        "an array" | "an object" if is(&["a string"]) => Some("`| json` makes a text of it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, ExpressionError, Roots};
    use super::*;

    fn evaluate(text: &str) -> Result<Value, ExpressionError> {
        let names = [
            ("text", Value::from("12")),
            ("raw", Value::from(vec![0_u8, 255])),
            ("nested", crate::value::read_json(r#"{"z": [1, 1.0, null], "a": "ä"}"#).unwrap()),
            ("secret", Value::from("41").tainted()),
            ("holder", {
                let entries = [("token", Value::from("s3cret").tainted())];
                Value::Object(crate::value::Object::from_entries(entries).unwrap())
            }),
        ];
        let roots = names.each_ref().map(|(name, _)| *name);
        let expression = Expression::compile(text, Roots::Names(&roots)).unwrap();
        let values: Vec<(&str, &Value)> =
            names.iter().map(|(name, value)| (*name, value)).collect();
        expression.evaluate_with(&values)
    }

    #[track_caller]
    fn check(text: &str, json: &str) {
        assert_eq!(evaluate(text).map(|value| value.to_json_text()), Ok(json.to_owned()), "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, why: &str) {
        let error = evaluate(text).unwrap_err();
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        let found = format!("{}{hint}", error.message);
        assert_eq!(error.code, "expression.cannot_convert", "{found}");
        assert_eq!(found, format!("`{text}` failed: {why}"));
    }

    #[test]
    fn integers() {
        check("text | int", "12");
        check("' -7\\n' | int + 1", "-6");
        check("'+7' | int", "7");
        check("2.0 | int", "2");
        check("'18446744073709551615' | int", "18446744073709551615");
        check("'-9223372036854775808' | int", "-9223372036854775808");
        check("1e19 | int", "10000000000000000000");
        check("'ff' | int(base=16)", "255");
        check("'n/a' | int(default=0)", "0");
        check_error(
            "2.5 | int",
            "the number has a fraction and is not an integer; `| round | int` rounds it first",
        );
        check_error(
            "'2.5' | int",
            "the text is not an integer; `| float` reads a number with a fraction or an exponent",
        );
        check_error("'18446744073709551616' | int", "the number does not fit into 64 bits");
        check_error("'-9223372036854775809' | int", "the number does not fit into 64 bits");
        check_error("1e20 | int", "the number does not fit into 64 bits");
        check_error("'' | int", "the text is not an integer");
        check_error("'1_000' | int", "the text is not an integer");
        check_error("'0x1f' | int", "the text is not an integer");
        check_error("none | int", "null is not an integer");
        check_error("true | int", "a boolean is not an integer; write `1 if … else 0`");
        check_error("[1] | int", "an array is not an integer");
    }

    #[test]
    fn floats() {
        check("'2.5' | float", "2.5");
        check("' 1e3 ' | float", "1000.0");
        check("3 | float", "3.0");
        check("'x' | float(default=0.5)", "0.5");
        for text in ["'inf' | float", "'NaN' | float", "'' | float", "'1,5' | float", "'e' | float"]
        {
            check_error(text, "the text is not a number");
        }
        check_error("'1e999' | float", "the number is beyond the range of a 64-bit float");
        check_error("none | float", "null is not a number");
        check_error("false | float", "a boolean is not a number");
    }

    #[test]
    fn booleans() {
        check("'true' | bool", "true");
        check("'false' | bool", "false");
        check("false | bool", "false");
        check("'yes' | bool(default=false)", "false");
        for text in ["'True' | bool", "'yes' | bool", "'' | bool", "' true' | bool"] {
            let why =
                "the text is neither `true` nor `false`; compare it: `inputs.answer == \"yes\"`";
            check_error(text, why);
        }
        check_error("1 | bool", "a number is not a boolean; compare it: `… != 0`");
        check_error("none | bool", "null is not a boolean");
        check_error("[] | bool", "an array is not a boolean");
    }

    #[test]
    fn texts_and_bytes() {
        check("12 | string", "\"12\"");
        check("2.0 | string", "\"2.0\"");
        check("none | string", "\"null\"");
        check("[1, 'a'] | string", r#""[1,\"a\"]""#);
        check("'ä' | bytes", r#"{"$bytes":"w6Q="}"#);
        check("'ä' | bytes | string", "\"ä\"");
        check("raw | base64", "\"AP8=\"");
        check("'ä' | base64", "\"w6Q=\"");
        check("'AP8=' | base64_decode", r#"{"$bytes":"AP8="}"#);
        check("'w6Q=' | base64_decode | string", "\"ä\"");
        check_error(
            "raw | string",
            "the bytes are not text in UTF-8; `| base64` writes any bytes as text",
        );
        check_error("1 | bytes", "a number is not text or bytes; `| json` first makes it text");
        check_error("[] | base64", "an array is not text or bytes; `| json` first makes it text");
        check_error("'AP8' | base64_decode", "the text is not base64");
        check_error("'_w==' | base64_decode", "the text is not base64");
        check_error("raw | base64_decode", "bytes is not text");
    }

    #[test]
    fn json_is_that_of_flow() {
        check("nested | json", r#""{\"z\":[1,1.0,null],\"a\":\"ä\"}""#);
        check("raw | json", r#""{\"$bytes\":\"AP8=\"}""#);
        check("'<' | json", r#""\"<\"""#);
        check("nested | json | from_json", r#"{"z":[1,1.0,null],"a":"ä"}"#);
        check("'[1, 2]' | from_json | sum", "3");
        check_error("'{' | from_json", "the text is not JSON (json.truncated)");
        check_error(
            "'9999999999999999999999' | from_json",
            "the text is not JSON (json.integer_too_large)",
        );
        check_error("1 | from_json", "a number is not text");
    }

    #[test]
    fn taint_is_passed_on_and_never_shown() {
        let converted = evaluate("secret | int + 1").unwrap();
        assert!(converted.is_tainted());
        assert_eq!(converted.as_i64(), Some(42));
        let text = evaluate("holder | json").unwrap();
        assert!(text.is_tainted());
        assert_eq!(text.as_str(), Some(r#"{"token":"s3cret"}"#));
        let too_large = evaluate("(secret | int) * 18446744073709551615 * 18446744073709551615");
        let error = evaluate("holder.token | int").unwrap_err();
        for error in [too_large.unwrap_err(), error] {
            assert!(!format!("{error:?}").contains("41"), "{error:?}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn what_is_undefined_stays_undefined() {
        for text in ["nested.nothing | int", "nested.nothing | int(0)", "nested.nothing | json"] {
            assert_eq!(evaluate(text).unwrap_err().code, "expression.undefined", "{text}");
        }
    }

    #[test]
    fn hints_name_the_filter() {
        let error = evaluate("1 + 'a'").unwrap_err();
        assert_eq!(error.code, "expression.failed");
        assert!(error.hint.unwrap().contains("`| int`"));
        assert_eq!(
            conversion_hint("a string", "an integer"),
            Some("`| int` makes an integer of a text")
        );
        assert_eq!(conversion_hint("null", "an integer"), None);
        assert_eq!(conversion_hint("a string", "a string"), None);
    }
}
