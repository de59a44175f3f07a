//! Values from PostgreSQL, which come in its binary form.

use flowcore::value::read_json;
use flowcore::{Array, NodeError, Value};
use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use tokio_postgres::types::{FromSql, Kind, Type};

use super::super::result::float;
use super::numeric;

/// PostgreSQL counts from 2000-01-01.
const EPOCH: Date = Date::constant(2000, 1, 1);
const EPOCH_UNIX_SECONDS: i64 = 946_684_800;

/// The bytes of a column.
pub(super) struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        _ty: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_ty: &Type) -> bool {
        true
    }
}

/// Reads numbers off the front of bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }
}

/// Checks that values of a type can be read.
///
/// # Errors
/// `sql.unsupported_type`.
pub(super) fn check(column: &str, ty: &Type) -> Result<(), NodeError> {
    if is_known(ty) {
        return Ok(());
    }
    let message =
        format!("column `{column}` has the type `{}`, which has no form in JSON", ty.name());
    Err(NodeError::new("sql.unsupported_type", message)
        .with_hint(format!("cast it, for example to text: `{column}::text`")))
}

fn is_known(ty: &Type) -> bool {
    match ty.kind() {
        Kind::Array(item) | Kind::Domain(item) => is_known(item),
        Kind::Enum(_) => true,
        _ => {
            [
                Type::BOOL,
                Type::INT2,
                Type::INT4,
                Type::INT8,
                Type::OID,
                Type::FLOAT4,
                Type::FLOAT8,
                Type::NUMERIC,
                Type::TEXT,
                Type::VARCHAR,
                Type::BPCHAR,
                Type::NAME,
                Type::UNKNOWN,
                Type::BYTEA,
                Type::JSON,
                Type::JSONB,
                Type::UUID,
                Type::TIMESTAMPTZ,
                Type::TIMESTAMP,
                Type::DATE,
                Type::TIME,
                Type::VOID,
            ]
            .contains(ty)
                || ty.name() == "citext"
        }
    }
}

/// The value of a column.
///
/// # Errors
/// `sql.bad_value` for a value that its type has, and Flow has not.
pub(super) fn decode(column: &str, ty: &Type, raw: Option<Raw<'_>>) -> Result<Value, NodeError> {
    let Some(Raw(bytes)) = raw else { return Ok(Value::Null) };
    value(ty, bytes).ok_or_else(|| {
        let message = format!("column `{column}` has a `{}` that Flow cannot hold", ty.name());
        NodeError::new("sql.bad_value", message)
            .with_hint(format!("read it as text: `{column}::text`"))
    })
}

fn value(ty: &Type, bytes: &[u8]) -> Option<Value> {
    match ty.kind() {
        Kind::Array(item) => return array(item, bytes),
        Kind::Domain(inner) => return value(inner, bytes),
        _ => {}
    }
    let mut reader = Reader(bytes);
    Some(match *ty {
        Type::BOOL => Value::from(bytes != [0]),
        Type::INT2 => Value::from(i64::from(i16::from_be_bytes(reader.take()?))),
        Type::INT4 => Value::from(i64::from(i32::from_be_bytes(reader.take()?))),
        Type::INT8 => Value::from(i64::from_be_bytes(reader.take()?)),
        Type::OID => Value::from(i64::from(u32::from_be_bytes(reader.take()?))),
        // The shortest text that means the same float, not the float that it is nearest to.
        Type::FLOAT4 => {
            let number = f32::from_be_bytes(reader.take()?);
            float(number.to_string().parse().unwrap_or_else(|_| f64::from(number)))
        }
        Type::FLOAT8 => float(f64::from_be_bytes(reader.take()?)),
        Type::NUMERIC => Value::from(numeric::text(bytes)?),
        Type::BYTEA => Value::from(bytes.to_vec()),
        Type::JSON => read_json(std::str::from_utf8(bytes).ok()?).ok()?,
        // The first byte is the version of the form.
        Type::JSONB => read_json(std::str::from_utf8(bytes.strip_prefix(&[1])?).ok()?).ok()?,
        Type::UUID => uuid(bytes)?,
        Type::TIMESTAMPTZ => timestamp_with_zone(i64::from_be_bytes(reader.take()?))?,
        Type::TIMESTAMP => timestamp(i64::from_be_bytes(reader.take()?))?,
        Type::DATE => date(i32::from_be_bytes(reader.take()?))?,
        Type::TIME => time(i64::from_be_bytes(reader.take()?))?,
        Type::VOID => Value::Null,
        _ => Value::from(std::str::from_utf8(bytes).ok()?),
    })
}

fn uuid(bytes: &[u8]) -> Option<Value> {
    let bytes: &[u8; 16] = bytes.try_into().ok()?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Some(Value::from(parts.join("-")))
}

fn infinite(is_lowest: bool, is_highest: bool) -> Option<Value> {
    match (is_lowest, is_highest) {
        (true, _) => Some(Value::from("-infinity")),
        (_, true) => Some(Value::from("infinity")),
        _ => None,
    }
}

fn timestamp_with_zone(micros: i64) -> Option<Value> {
    if let Some(value) = infinite(micros == i64::MIN, micros == i64::MAX) {
        return Some(value);
    }
    let seconds = micros.div_euclid(1_000_000).checked_add(EPOCH_UNIX_SECONDS)?;
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).ok()?;
    let moment = Timestamp::new(seconds, nanos).ok()?;
    // RFC 3339 has no other years.
    let written = moment.to_string();
    written.starts_with(|c: char| c.is_ascii_digit()).then(|| Value::from(written))
}

fn timestamp(micros: i64) -> Option<Value> {
    if let Some(value) = infinite(micros == i64::MIN, micros == i64::MAX) {
        return Some(value);
    }
    let since = SignedDuration::from_micros(micros);
    let moment = EPOCH.at(0, 0, 0, 0).checked_add(since).ok()?;
    (moment.year() >= 0).then(|| Value::from(moment.to_string()))
}

fn date(days: i32) -> Option<Value> {
    if let Some(value) = infinite(days == i32::MIN, days == i32::MAX) {
        return Some(value);
    }
    // Far beyond the years that there are.
    let span = 0.days().try_days(days).ok()?;
    let day = EPOCH.checked_add(span).ok()?;
    (day.year() >= 0).then(|| Value::from(day.to_string()))
}

fn time(micros: i64) -> Option<Value> {
    if micros == 86_400_000_000 {
        return Some(Value::from("24:00:00"));
    }
    let time = Time::midnight().checked_add(SignedDuration::from_micros(micros)).ok()?;
    Some(Value::from(time.to_string()))
}

fn array(item: &Type, bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader(bytes);
    let dimensions = usize::try_from(i32::from_be_bytes(reader.take()?)).ok()?;
    // Whether there are nulls, and the type of the items, which is known.
    let _: [u8; 8] = reader.take()?;
    let mut lengths = Vec::with_capacity(dimensions.min(6));
    for _ in 0..dimensions {
        lengths.push(usize::try_from(i32::from_be_bytes(reader.take()?)).ok()?);
        let _lower_bound: [u8; 4] = reader.take()?;
    }
    if lengths.is_empty() {
        return Some(Value::from(Array::new()));
    }
    items(item, &lengths, &mut reader)
}

fn items(item: &Type, lengths: &[usize], reader: &mut Reader<'_>) -> Option<Value> {
    let Some((length, inner)) = lengths.split_first() else {
        let length = i32::from_be_bytes(reader.take()?);
        return match usize::try_from(length) {
            Ok(length) => value(item, reader.slice(length)?),
            Err(_) => Some(Value::Null),
        };
    };
    let values = (0..*length).map(|_| items(item, inner, reader)).collect::<Option<Vec<_>>>()?;
    Array::from_values(values).ok().map(Value::from)
}
