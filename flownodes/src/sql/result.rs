//! The rows of a statement, counted while they come in.

use std::sync::Arc;

use flowcore::{Array, NodeError, NodeOutput, Object, Value};

/// How much a statement may give.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Rows.
    pub(super) rows: usize,
    /// Bytes as compact JSON, roughly.
    pub(super) bytes: usize,
}

/// The rows so far.
pub(super) struct Rows {
    columns: Vec<Arc<str>>,
    rows: Vec<Value>,
    bytes: usize,
    /// What the names and the punctuation of a row take.
    overhead: usize,
    limits: Limits,
}

impl Rows {
    /// No row yet.
    ///
    /// # Errors
    /// `sql.duplicate_column`: an object has each key once.
    pub(super) fn new<'a>(
        columns: impl IntoIterator<Item = &'a str>,
        limits: Limits,
    ) -> Result<Self, NodeError> {
        let columns: Vec<Arc<str>> = columns.into_iter().map(Arc::from).collect();
        let twice = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name));
        if let Some((_, name)) = twice {
            let message = format!("the rows would have two columns `{name}`");
            return Err(NodeError::new("sql.duplicate_column", message)
                .with_hint("give one of them another name with `AS`"));
        }
        let overhead = columns.iter().map(|name| name.len() + 4).sum::<usize>() + 3;
        Ok(Self { columns, rows: Vec::new(), bytes: 0, overhead, limits })
    }

    /// Adds a row with a value for each column.
    ///
    /// # Errors
    /// `sql.too_many_rows`, `sql.too_large`, or what `value` fails with.
    pub(super) fn push(
        &mut self,
        mut value: impl FnMut(usize, &str) -> Result<Value, NodeError>,
    ) -> Result<(), NodeError> {
        if self.rows.len() == self.limits.rows {
            let message = format!("the statement gives more than {} rows", self.limits.rows);
            return Err(NodeError::new("sql.too_many_rows", message)
                .with_hint("add a `LIMIT`, or raise `max_rows`"));
        }
        self.bytes = self.bytes.saturating_add(self.overhead);
        let mut row = Vec::with_capacity(self.columns.len());
        for (index, name) in self.columns.iter().enumerate() {
            let value = value(index, name)?;
            self.bytes = self.bytes.saturating_add(value.approximate_size());
            if self.bytes > self.limits.bytes {
                let limit = self.limits.bytes;
                let message = format!("the rows have more than {limit} bytes");
                return Err(NodeError::new("sql.too_large", message)
                    .with_hint("take fewer columns or rows, or raise `max_bytes`"));
            }
            row.push((name.clone(), value));
        }
        self.rows.push(Value::from(Object::from_entries(row)?));
        Ok(())
    }

    /// The output of the node.
    pub(super) fn output(self, rows_affected: u64) -> Result<NodeOutput, NodeError> {
        let row_count = self.rows.len();
        let columns = self.columns.into_iter().map(Value::from);
        Ok(NodeOutput::of("rows", Array::from_values(self.rows)?)
            .with("row_count", row_count)
            .with("columns", Array::from_values(columns)?)
            .with("rows_affected", rows_affected))
    }
}

/// A float, as text where JSON has none such.
pub(super) fn float(value: f64) -> Value {
    match flowcore::Number::from_f64(value) {
        Ok(number) => Value::from(number),
        Err(_) if value.is_nan() => Value::from("NaN"),
        Err(_) if value > 0.0 => Value::from("Infinity"),
        Err(_) => Value::from("-Infinity"),
    }
}
