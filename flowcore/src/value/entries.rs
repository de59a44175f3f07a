//! What an object holds.

use std::collections::HashMap;
use std::sync::Arc;

use super::Value;

/// So many keys are looked through faster than one of them is hashed; most objects have fewer.
const FEW: usize = 16;

/// Keys and values, in the order in which the keys were added.
#[derive(Default)]
pub(crate) struct Entries {
    list: Vec<(Arc<str>, Value)>,
    /// Where each key stands in the list, once there are more than a few.
    #[expect(clippy::box_collection, reason = "most objects have none, and are smaller for it")]
    places: Option<Box<HashMap<Arc<str>, usize>>>,
}

impl Entries {
    /// Those of an object that takes no memory.
    pub(super) const NONE: &'static Self = &Self { list: Vec::new(), places: None };

    /// No entries yet, with room for so many.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { list: Vec::with_capacity(capacity), places: None }
    }

    fn place(&self, key: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self.list.iter().position(|(known, _)| **known == *key),
        }
    }

    /// The value at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.place(key).map(|place| &self.list[place].1)
    }

    /// Sets a key; a key that is there keeps its place.
    pub(super) fn insert(&mut self, key: Arc<str>, value: Value) {
        if let Some(place) = self.place(&key) {
            self.list[place].1 = value;
            return;
        }
        if let Some(places) = &mut self.places {
            places.insert(key.clone(), self.list.len());
        }
        self.list.push((key, value));
        if self.places.is_none() && self.list.len() > FEW {
            let keys = self.list.iter().map(|(key, _)| key.clone());
            self.places = Some(Box::new(keys.zip(0..).collect()));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Keys and values, in order.
    pub(crate) fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> + DoubleEndedIterator {
        self.list.iter().map(|(key, value)| (key, value))
    }
}

/// A copy is made to change it, and mostly to add one more.
impl Clone for Entries {
    fn clone(&self) -> Self {
        let mut list = Vec::with_capacity(self.list.len() + 1);
        list.extend_from_slice(&self.list);
        Self { list, places: self.places.clone() }
    }
}

/// In any order.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().all(|(key, value)| other.get(key).is_some_and(|other| value == other))
    }
}

/// A key that comes again replaces the value and keeps its place.
impl From<Vec<(Arc<str>, Value)>> for Entries {
    fn from(list: Vec<(Arc<str>, Value)>) -> Self {
        let is_new = |place: usize| list[..place].iter().all(|(key, _)| *key != list[place].0);
        if list.len() <= FEW && (1..list.len()).all(is_new) {
            return Self { list, places: None };
        }
        list.into_iter().collect()
    }
}

impl FromIterator<(Arc<str>, Value)> for Entries {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut collected = Self::with_capacity(entries.size_hint().0);
        entries.for_each(|(key, value)| collected.insert(key, value));
        collected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_behave_alike() {
        let key = |number: usize| -> Arc<str> { format!("k{number}").into() };
        for count in [0, 1, FEW - 1, FEW, FEW + 1, FEW + 2, 3 * FEW] {
            let pairs =
                |from: i64| (0..count).map(move |number| (key(number), from + number as i64));
            let of =
                |from| -> Entries { pairs(from).map(|(key, n)| (key, Value::from(n))).collect() };
            let mut entries = of(0);
            let list: Vec<_> = pairs(0).map(|(key, n)| (key, Value::from(n))).collect();
            let twice = [list.clone(), list.clone()].concat();
            assert!(Entries::from(list) == entries && Entries::from(twice) == entries);
            let copy = entries.clone();
            // Each key again: replaced, in its place.
            pairs(100).for_each(|(key, number)| entries.insert(key, Value::from(number)));
            assert!(entries == of(100) && copy == of(0));
            assert_eq!(entries == copy, count == 0);
            let keys: Vec<_> = entries.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(keys, (0..count).map(key).collect::<Vec<_>>());
            for number in 0..count {
                assert_eq!(entries.get(&key(number)), Some(&Value::from(100 + number as i64)));
            }
            assert_eq!(entries.get("other"), None);
            let backwards: Entries =
                entries.iter().rev().map(|(key, value)| (key.clone(), value.clone())).collect();
            assert!(backwards == entries);
            assert_eq!(entries.places.is_some(), count > FEW);
        }
    }
}
