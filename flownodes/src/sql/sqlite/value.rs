//! Values to SQLite and back.

use flowcore::{NodeError, Value};
use rusqlite::types::{Value as Sql, ValueRef};

use super::super::params::unbindable;
use super::super::result::float;
use crate::content;

/// What is bound at a place, from 1.
///
/// # Errors
/// `sql.params`.
pub(super) fn to_sql(number: usize, value: &Value) -> Result<Sql, NodeError> {
    Ok(match value.untainted() {
        Value::Null => Sql::Null,
        Value::Bool(value) => Sql::Integer((*value).into()),
        Value::Number(found) => match found.as_i64() {
            Some(integer) if found.is_integer() => Sql::Integer(integer),
            _ if found.is_integer() => {
                return Err(unbindable(number, "a signed integer of 64 bits", value));
            }
            _ => Sql::Real(found.as_f64()),
        },
        Value::String(text) => Sql::Text(text.to_string()),
        Value::Bytes(bytes) => Sql::Blob(bytes.to_vec()),
        _ => {
            let text = String::from_utf8(content::json(value)).expect("JSON is UTF-8");
            Sql::Text(text)
        }
    })
}

/// The value of a column.
///
/// # Errors
/// `sql.bad_value` for text that is not UTF-8.
pub(super) fn from_sql(column: &str, value: ValueRef<'_>) -> Result<Value, NodeError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::from(integer),
        ValueRef::Real(value) => float(value),
        ValueRef::Blob(bytes) => Value::from(bytes.to_vec()),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::from(text),
            Err(_) => {
                let message = format!("column `{column}` has text that is not UTF-8");
                return Err(NodeError::new("sql.bad_value", message)
                    .with_hint("read it as bytes: `CAST(… AS BLOB)`"));
            }
        },
    })
}
