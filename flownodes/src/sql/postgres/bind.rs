//! Values to PostgreSQL.
//!
//! They go as text, which the server reads as the type that it wants: so numbers keep every digit,
//! and a type that Flow does not know can be given as a string.

use bytes::BytesMut;
use flowcore::{NodeError, Value};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::super::params::unbindable;
use crate::content;

/// A value on its way to the server.
#[derive(Debug)]
pub(super) struct Bound {
    /// `None` is NULL.
    bytes: Option<Vec<u8>>,
    is_text: bool,
}

/// What is bound at a place, from 1, that has this type.
///
/// # Errors
/// `sql.params`.
pub(super) fn bind(number: usize, value: &Value, ty: &Type) -> Result<Bound, NodeError> {
    let value = value.untainted();
    if value.is_null() {
        return Ok(Bound { bytes: None, is_text: true });
    }
    let wrong = |expected: &str| unbindable(number, expected, value);
    let text = match (ty.kind(), value) {
        (Kind::Domain(inner), _) => return bind(number, value, inner),
        _ if *ty == Type::BYTEA => {
            let bytes = content::raw(value).ok_or_else(|| wrong("bytes"))?.to_vec();
            return Ok(Bound { bytes: Some(bytes), is_text: false });
        }
        _ if *ty == Type::JSON || *ty == Type::JSONB => {
            return Ok(Bound { bytes: Some(content::json(value)), is_text: true });
        }
        (Kind::Array(item), Value::Array(items)) => {
            array(items, item).ok_or_else(|| wrong(&format!("an array of `{}`", item.name())))?
        }
        _ => scalar(value).ok_or_else(|| wrong(&format!("a value for `{}`", ty.name())))?,
    };
    Ok(Bound { bytes: Some(text.into_bytes()), is_text: true })
}

fn scalar(value: &Value) -> Option<String> {
    match value.untainted() {
        Value::String(text) => Some(text.to_string()),
        value @ (Value::Bool(_) | Value::Number(_)) => Some(value.to_string()),
        _ => None,
    }
}

/// An array as PostgreSQL writes it: `{1,NULL,"a b"}`.
fn array(items: &[Value], ty: &Type) -> Option<String> {
    let items = items.iter().map(|item| match item.untainted() {
        Value::Null => Some("NULL".to_owned()),
        item if *ty == Type::JSON || *ty == Type::JSONB => {
            Some(quoted(&String::from_utf8(content::json(item)).ok()?))
        }
        Value::Array(inner) => array(inner, ty),
        Value::Bytes(bytes) if *ty == Type::BYTEA => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(quoted(&format!("\\x{hex}")))
        }
        item => scalar(item).map(|text| quoted(&text)),
    });
    let items = items.collect::<Option<Vec<_>>>()?;
    Some(format!("{{{}}}", items.join(",")))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl ToSql for Bound {
    fn to_sql(
        &self,
        _ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.bytes {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }

    fn encode_format(&self, _ty: &Type) -> Format {
        if self.is_text { Format::Text } else { Format::Binary }
    }

    to_sql_checked!();
}
