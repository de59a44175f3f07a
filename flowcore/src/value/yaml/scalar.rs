//! What a plain scalar means: the core schema of YAML 1.2, in which `no` and `on` are texts.

use super::super::{Number, Value};

/// Why a plain scalar has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadScalar {
    IntegerTooLarge,
    NotFinite,
}

/// The value of a plain scalar.
pub(super) fn resolve(text: &str) -> Result<Value, BadScalar> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Err(BadScalar::NotFinite),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Ok(Value::from(text));
    }
    number(text).unwrap_or_else(|| Ok(Value::from(text)))
}

/// `None` when the text is no number.
fn number(text: &str) -> Option<Result<Value, BadScalar>> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let all_digits = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
            let value = u64::from_str_radix(digits, radix).map(Value::from);
            return all_digits.then(|| value.map_err(|_| BadScalar::IntegerTooLarge));
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Err(BadScalar::NotFinite));
    }
    if unsigned.is_empty() || !is_number(unsigned) {
        return None;
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(integer(text));
    }
    let float = text.parse().map_err(|_| BadScalar::NotFinite);
    Some(float.and_then(|f| Number::from_f64(f).map_err(|_| BadScalar::NotFinite)).map(Value::from))
}

fn integer(text: &str) -> Result<Value, BadScalar> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let signed = text.parse::<i64>().map(Value::from);
    signed.or_else(|_| text.parse::<u64>().map(Value::from)).map_err(|_| BadScalar::IntegerTooLarge)
}

/// Whether a text is `digits[.digits][e[sign]digits]`, with digits on one side of the point.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}
