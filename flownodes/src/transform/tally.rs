//! What an aggregate makes of the values of a group, one value at a time.

use std::collections::BTreeSet;

use flowcore::{Array, NodeError, Number, Value};
use schemars::JsonSchema;
use serde::Deserialize;

use super::order::{self, Ordered};

/// What is made of the values of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Operation {
    /// How many there are.
    Count,
    /// The numbers added up.
    Sum,
    /// The mean of the numbers, as a float.
    Avg,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The first value.
    First,
    /// The last value.
    Last,
    /// All values, in order.
    List,
    /// The different values, in the order in which they first appear.
    Distinct,
    /// The number in the middle; of an even count, the mean of the two in the middle.
    Median,
    /// The item with the smallest value; the first of several.
    MinBy,
    /// The item with the largest value; the first of several.
    MaxBy,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::List => "list",
            Self::Distinct => "distinct",
            Self::Median => "median",
            Self::MinBy => "min_by",
            Self::MaxBy => "max_by",
        }
    }
}

/// The values of one group so far, as far as the operation has to remember them.
pub(super) struct Tally<'a> {
    operation: Operation,
    count: usize,
    sum: Sum,
    /// The value that is kept, and the item it came with.
    kept: Option<(Value, &'a Value)>,
    values: Vec<Value>,
    seen: BTreeSet<Ordered>,
}

impl<'a> Tally<'a> {
    /// A tally of nothing.
    pub(super) fn new(operation: Operation) -> Self {
        Self {
            operation,
            count: 0,
            sum: Sum::default(),
            kept: None,
            values: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// Takes the value of one item; null is left out.
    ///
    /// # Errors
    /// `aggregate.not_number` when the operation needs a number.
    pub(super) fn add(&mut self, item: &'a Value, value: Value) -> Result<(), NodeError> {
        if value.is_null() {
            return Ok(());
        }
        self.count += 1;
        match self.operation {
            Operation::Count => {}
            Operation::Sum | Operation::Avg => self.sum.add(self.number(&value)?),
            Operation::Median => self.values.push(Value::Number(self.number(&value)?)),
            Operation::List => self.values.push(value),
            Operation::Distinct => {
                if self.seen.insert(Ordered(value.clone())) {
                    self.values.push(value);
                }
            }
            Operation::First => self.keep_if(item, value, |_, _| false),
            Operation::Last => self.keep_if(item, value, |_, _| true),
            Operation::Min | Operation::MinBy => {
                self.keep_if(item, value, |new, old| order::compare(new, old).is_lt());
            }
            Operation::Max | Operation::MaxBy => {
                self.keep_if(item, value, |new, old| order::compare(new, old).is_gt());
            }
        }
        Ok(())
    }

    /// What the operation makes of all values.
    ///
    /// # Errors
    /// `aggregate.overflow`, `value.too_deep`.
    pub(super) fn finish(self) -> Result<Value, NodeError> {
        match self.operation {
            Operation::Count => Ok(Value::from(self.count)),
            Operation::Sum => self.sum.total(),
            Operation::Avg => self.sum.mean(self.count),
            Operation::Median => median(self.values),
            Operation::List | Operation::Distinct => Ok(Array::from_values(self.values)?.into()),
            Operation::First | Operation::Last | Operation::Min | Operation::Max => {
                Ok(self.kept.map(|(value, _)| value).unwrap_or_default())
            }
            Operation::MinBy | Operation::MaxBy => {
                Ok(self.kept.map(|(_, item)| item.clone()).unwrap_or_default())
            }
        }
    }

    fn keep_if(&mut self, item: &'a Value, value: Value, better: fn(&Value, &Value) -> bool) {
        if self.kept.as_ref().is_none_or(|(kept, _)| better(&value, kept)) {
            self.kept = Some((value, item));
        }
    }

    fn number(&self, value: &Value) -> Result<Number, NodeError> {
        value.as_number().ok_or_else(|| {
            let (name, kind) = (self.operation.name(), value.kind());
            NodeError::new(
                "aggregate.not_number",
                format!("`{name}` takes numbers, and not {kind}"),
            )
            .with_hint("convert the value: `item.price | float`")
        })
    }
}

/// A sum: exact for integers, compensated (Neumaier) for floats, so that a thousand times 0.1 is
/// 100.
#[derive(Default)]
struct Sum {
    /// 2^64 values of 64 bits fit.
    integers: i128,
    floats: f64,
    compensation: f64,
    has_floats: bool,
}

impl Sum {
    fn add(&mut self, number: Number) {
        let integer = number.is_integer().then(|| exact(number));
        match integer {
            Some(integer) => self.integers += integer,
            None => {
                self.has_floats = true;
                self.add_float(number.as_f64());
            }
        }
    }

    fn add_float(&mut self, value: f64) {
        let sum = self.floats + value;
        let (large, small) = if self.floats.abs() >= value.abs() {
            (self.floats, value)
        } else {
            (value, self.floats)
        };
        self.compensation += (large - sum) + small;
        self.floats = sum;
    }

    fn into_float(mut self) -> f64 {
        self.add_float(self.integers as f64);
        // Infinite sums have a compensation that is not a number.
        if self.floats.is_finite() { self.floats + self.compensation } else { self.floats }
    }

    fn total(self) -> Result<Value, NodeError> {
        if self.has_floats {
            return finite(self.into_float(), "sum");
        }
        let signed = i64::try_from(self.integers).map(Value::from);
        let total = signed.or_else(|_| u64::try_from(self.integers).map(Value::from));
        total.map_err(|_| overflow("sum"))
    }

    fn mean(self, count: usize) -> Result<Value, NodeError> {
        if count == 0 {
            return Ok(Value::Null);
        }
        let total = if self.has_floats { self.into_float() } else { self.integers as f64 };
        finite(total / count as f64, "mean")
    }
}

/// The exact value of an integer.
fn exact(number: Number) -> i128 {
    let unsigned = || i128::from(number.as_u64().unwrap_or_default());
    number.as_i64().map_or_else(unsigned, i128::from)
}

fn median(mut values: Vec<Value>) -> Result<Value, NodeError> {
    values.sort_by(order::compare);
    let middle = values.len() / 2;
    match (values.len() % 2, middle.checked_sub(1).and_then(|below| values.get(below))) {
        (0, None) => Ok(Value::Null),
        (0, Some(below)) => {
            let mut sum = Sum::default();
            [below, &values[middle]].iter().filter_map(|v| v.as_number()).for_each(|n| sum.add(n));
            sum.mean(2)
        }
        _ => Ok(values.swap_remove(middle)),
    }
}

fn finite(value: f64, what: &str) -> Result<Value, NodeError> {
    Value::try_from(value).map_err(|_| overflow(what))
}

fn overflow(what: &str) -> NodeError {
    NodeError::new("aggregate.overflow", format!("the {what} does not fit into 64 bits"))
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    fn of(operation: Operation, values: &str) -> Result<String, NodeError> {
        let values = read_json(values).unwrap();
        let mut tally = Tally::new(operation);
        for value in values.as_array().unwrap() {
            tally.add(value, value.get("v").unwrap_or(value).clone())?;
        }
        Ok(tally.finish()?.to_json_text())
    }

    #[track_caller]
    fn check(operation: Operation, values: &str, expected: &str) {
        assert_eq!(of(operation, values).unwrap(), expected, "{operation:?} {values}");
    }

    #[test]
    fn nothing_has_an_aggregate_too() {
        use Operation::{
            Avg, Count, Distinct, First, Last, List, Max, MaxBy, Median, Min, MinBy, Sum,
        };
        for values in ["[]", "[null, null]"] {
            let expected =
                [(&[Count, Sum][..], "0"), (&[List, Distinct], "[]"), (&[Avg, Min, Max], "null")];
            for (operations, expected) in expected {
                operations.iter().for_each(|operation| check(*operation, values, expected));
            }
            for operation in [First, Last, Median, MinBy, MaxBy] {
                check(operation, values, "null");
            }
        }
    }

    #[test]
    fn numbers_are_added_exactly() {
        check(Operation::Sum, "[9007199254740993, 1, null]", "9007199254740994");
        check(Operation::Sum, "[18446744073709551615, 1, -1]", "18446744073709551615");
        check(Operation::Sum, "[-9223372036854775808]", "-9223372036854775808");
        check(Operation::Sum, "[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]", "1.0");
        check(Operation::Sum, "[1, 0.5]", "1.5");
        check(Operation::Sum, "[1e300, 1, -1e300]", "1.0");
        check(Operation::Avg, "[1, 2]", "1.5");
        check(Operation::Avg, "[2, null]", "2.0");
        check(
            Operation::Avg,
            "[18446744073709551615, 18446744073709551615]",
            "1.8446744073709552e+19",
        );
        let sum = of(Operation::Sum, "[18446744073709551615, 1]");
        assert_eq!(sum.unwrap_err().code(), "aggregate.overflow");
        assert_eq!(of(Operation::Avg, "[1e308, 1e308]").unwrap_err().code(), "aggregate.overflow");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        check(Operation::Median, "[3, 1, 2]", "2");
        check(Operation::Median, "[4, 1, 2, 3]", "2.5");
        check(Operation::Median, "[1, null]", "1");
        check(Operation::Median, "[2, 1]", "1.5");
        assert_eq!(of(Operation::Median, "[\"a\"]").unwrap_err().code(), "aggregate.not_number");
    }

    #[test]
    fn values_are_compared_and_kept() {
        check(Operation::Min, r#"["b", 2, 3, null]"#, "2");
        check(Operation::Max, r#"["b", 2, "a", null]"#, r#""b""#);
        check(Operation::First, "[null, 2, 3]", "2");
        check(Operation::Last, "[2, 3, null]", "3");
        check(Operation::List, "[2, null, 2]", "[2,2]");
        check(Operation::Distinct, "[2, 1, 2.0, null, 1]", "[2,1]");
        let rows = r#"[{"v": 1, "n": "a"}, {"v": 3, "n": "b"}, {"v": 3, "n": "c"}, {"v": null}]"#;
        check(Operation::MaxBy, rows, r#"{"v":3,"n":"b"}"#);
        check(Operation::MinBy, rows, r#"{"v":1,"n":"a"}"#);
        check(Operation::Count, rows, "3");
    }
}
