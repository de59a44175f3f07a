//! An element of XML on its way to a value.

use std::collections::HashMap;
use std::sync::Arc;

use flowcore::{Array, Object, Value, ValueError};

/// How elements become values.
pub(super) struct Shape<'a> {
    /// Names that always are arrays.
    pub(super) arrays: &'a [String],
    /// Whether white space around text is taken off.
    pub(super) trim: bool,
}

/// An element that is being read.
pub(super) struct Element {
    name: Arc<str>,
    attributes: Object,
    /// The children by name, in the order in which the names came up.
    children: Vec<(Arc<str>, Vec<Value>)>,
    /// Where a name stands in `children`.
    places: HashMap<Arc<str>, usize>,
    text: String,
}

impl Element {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            attributes: Object::new(),
            children: Vec::new(),
            places: HashMap::new(),
            text: String::new(),
        }
    }

    /// Adds an attribute; false when there is one of that name already.
    pub(super) fn add_attribute(&mut self, name: &str, value: &str) -> bool {
        let key = format!("@{name}");
        let is_new = !self.attributes.contains_key(&key);
        self.attributes.insert(key, value).expect("a text has no depth");
        is_new
    }

    pub(super) fn add_child(&mut self, name: Arc<str>, value: Value) {
        let place = *self.places.entry(name.clone()).or_insert(self.children.len());
        match self.children.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => self.children.push((name, vec![value])),
        }
    }

    pub(super) fn add_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The name and the value of the element.
    ///
    /// # Errors
    /// [`ValueError::TooDeep`].
    pub(super) fn finish(self, shape: &Shape<'_>) -> Result<(Arc<str>, Value), ValueError> {
        let text = if shape.trim { self.text.trim() } else { &self.text };
        if self.attributes.is_empty() && self.children.is_empty() {
            return Ok((self.name, Value::from(text)));
        }
        let mut object = self.attributes;
        for (name, mut values) in self.children {
            let is_array = values.len() > 1 || shape.arrays.iter().any(|array| **array == *name);
            let value = match values.pop() {
                Some(only) if !is_array => only,
                last => Array::from_values(values.into_iter().chain(last)).map(Value::from)?,
            };
            object.insert(name, value)?;
        }
        if !text.trim().is_empty() {
            object.insert("#text", text)?;
        }
        Ok((self.name, Value::from(object)))
    }
}
