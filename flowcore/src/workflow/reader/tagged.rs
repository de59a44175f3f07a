//! The forerunner's spelling of values, `{"type": "String", "value": "GET"}`: recognised and
//! refused with the natural spelling beside it.

use super::super::Diagnostic;
use super::super::path::Path;
use super::fields::Problems;
use crate::value::{Array, Object, Value};

const CODE: &str = "workflow.tagged_value";
const HINT: &str = "this is flowengine's format, which Flow recognises and does not run";

/// The longest natural spelling that a message shows.
const MAX_SHOWN: usize = 80;

const TAGS: [&str; 8] = ["String", "Number", "Bool", "Json", "Array", "Object", "Bytes", "Null"];

/// The object with tagged values at any depth replaced by natural ones, so that later checks see
/// what was meant; each is reported.
pub(super) fn natural(object: &Object, path: &Path<'_>, problems: &mut Problems) -> Object {
    natural_members(object, path, problems).unwrap_or_else(|| object.clone())
}

/// `None` when nothing changes.
fn natural_value(value: &Value, path: &Path<'_>, problems: &mut Problems) -> Option<Value> {
    if let Some(meant) = untagged(value) {
        report(value, &meant, path, problems);
        return Some(meant);
    }
    match value {
        Value::Array(array) => natural_items(array, path, problems).map(Value::Array),
        Value::Object(object) => natural_members(object, path, problems).map(Value::Object),
        _ => None,
    }
}

fn natural_members(object: &Object, path: &Path<'_>, problems: &mut Problems) -> Option<Object> {
    let mut changed: Option<Object> = None;
    for (key, value) in object.iter() {
        if let Some(meant) = natural_value(value, &path.key(key), problems) {
            let object = changed.get_or_insert_with(|| object.clone());
            object.insert(key.clone(), meant).expect("a natural value is less deep");
        }
    }
    changed
}

fn natural_items(array: &Array, path: &Path<'_>, problems: &mut Problems) -> Option<Array> {
    let mut items = array.to_vec();
    let mut changed = false;
    for (index, item) in items.iter_mut().enumerate() {
        if let Some(meant) = natural_value(item, &path.index(index), problems) {
            *item = meant;
            changed = true;
        }
    }
    changed.then(|| Array::from_values(items).expect("natural values are less deep"))
}

fn report(value: &Value, meant: &Value, path: &Path<'_>, problems: &mut Problems) {
    problems.report(|| {
        let tag = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let message = format!("values are written without a tag, this one has `{tag}`");
        let text = meant.to_json_text();
        let shown = if text.len() <= MAX_SHOWN { format!("`{text}`") } else { "the value".into() };
        Diagnostic::error(CODE, path.pointer(), message).expected(shown).hint(HINT)
    });
}

/// What a tagged value stands for; `None` when it is not tagged.
fn untagged(value: &Value) -> Option<Value> {
    let object = value.as_object().filter(|object| object.len() <= 2)?;
    let tag = object.get("type")?.as_str().filter(|tag| TAGS.contains(tag))?;
    let inner = match object.get("value") {
        Some(inner) => inner,
        None if tag == "Null" && object.len() == 1 => return Some(Value::Null),
        None => return None,
    };
    let deep = |inner: &Value| untagged(inner).unwrap_or_else(|| inner.clone());
    Some(match (tag, inner) {
        ("Null", _) => Value::Null,
        ("Bytes", Value::Array(numbers)) => bytes(numbers).unwrap_or_else(|| inner.clone()),
        ("Array", Value::Array(items)) => Array::from_values(items.iter().map(deep)).ok()?.into(),
        ("Object", Value::Object(members)) => {
            let members = members.iter().map(|(key, value)| (key.clone(), deep(value)));
            Object::from_entries(members).ok()?.into()
        }
        _ => inner.clone(),
    })
}

fn bytes(numbers: &Array) -> Option<Value> {
    let byte = |number: &Value| number.as_u64().and_then(|number| u8::try_from(number).ok());
    numbers.iter().map(byte).collect::<Option<Vec<u8>>>().map(Value::from)
}

/// Reports a trigger whose type is an object of its own, and says how it is written here.
pub(super) fn report_trigger_type(trigger: &Value, path: &Path<'_>, problems: &mut Problems) {
    let kind = trigger.get("trigger_type");
    let tag = kind.and_then(|kind| kind.get("type")).and_then(Value::as_str).unwrap_or("Manual");
    let field = |key: &str| kind.and_then(|kind| kind.get(key)).map(Value::to_json_text);
    let (word, key, value) = match tag {
        "Cron" => ("cron", "expression", field("expression")),
        "Webhook" => ("webhook", "path", field("path")),
        "Event" => ("event", "name", field("event_type")),
        _ => ("manual", "", None),
    };
    let value = value.map(|value| format!(", \"{key}\": {value}")).unwrap_or_default();
    problems.report(|| {
        let message = "the type of a trigger stands in the trigger itself, as `type`";
        Diagnostic::error(CODE, path.key("trigger_type").pointer(), message)
            .at_key()
            .expected(format!("`\"type\": \"{word}\"{value}`"))
            .hint(HINT)
    });
}
