//! One order for all values, so that sorting and grouping never depend on chance.

use std::cmp::Ordering;
use std::sync::Arc;

use flowcore::{Object, Value};

/// Compares any two values: null, booleans, numbers, strings, bytes, arrays, objects. Numbers by
/// value (`1` equals `1.0`), strings by code point, arrays item by item, objects by their sorted
/// keys and then by the values. A total order.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.untainted(), b.untainted()) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => a.compare(*b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let items = a.iter().zip(b).map(|(a, b)| compare(a, b));
            first_difference(items).then(a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => compare_objects(a, b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn compare_objects(a: &Object, b: &Object) -> Ordering {
    let (a, b) = (sorted(a), sorted(b));
    let keys = a.iter().map(|(key, _)| key).cmp(b.iter().map(|(key, _)| key));
    keys.then_with(|| first_difference(a.iter().zip(&b).map(|((_, a), (_, b))| compare(a, b))))
}

fn sorted(object: &Object) -> Vec<(&Arc<str>, &Value)> {
    let mut entries: Vec<_> = object.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Bytes(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
        Value::Tainted(tainted) => rank(tainted.reveal()),
    }
}

/// A value that sorts by [`compare`], for maps and sets.
#[derive(Debug, Clone)]
pub(super) struct Ordered(pub(super) Value);

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

#[cfg(test)]
pub(super) mod tests {
    use flowcore::value::read_json;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_all_types_have_an_order() {
        let text = r#"[null, false, true, -1, 0.5, 1, 2, "", "B", "a", "é", {"$bytes": ""},
            {"$bytes": "AQ=="}, [], [null], [1, 2], [2], {}, {"a": 1, "b": 2}, {"b": 1, "a": 3},
            {"b": 1}]"#;
        let values = read_json(text).unwrap();
        let values = values.as_array().unwrap();
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
        assert_eq!(compare(&Value::from(1), &read_json("1.0").unwrap()), Ordering::Equal);
        assert_eq!(compare(&Value::from("b").tainted(), &Value::from("a")), Ordering::Greater);
    }

    /// Small values of every type, with many that are equal.
    pub(in super::super) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..3_i64).prop_map(Value::from),
            (-6..6_i32).prop_map(|half| Value::try_from(f64::from(half) / 2.0).unwrap()),
            "[ab]{0,2}".prop_map(Value::from),
            proptest::collection::vec(0..2_u8, 0..2).prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3)
                    .prop_map(|items| Value::try_from(items).unwrap()),
                proptest::collection::vec(("[ab]", inner), 0..3)
                    .prop_map(|entries| Object::from_entries(entries).unwrap().into()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_order_is_total(a in any_value(), b in any_value(), c in any_value()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }
    }
}
