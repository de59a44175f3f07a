//! Alternatives, and which of them was meant.

use serde_json::{Map, Value as Json};

use super::checker::Checker;
use super::fault::{Fault, SchemaErrorKind, show};
use crate::value::Value;
use crate::workflow::path::Path;

impl Checker<'_> {
    /// At least one of several schemas.
    pub(super) fn any_of(&mut self, branches: &Json, value: &Value, path: &Path<'_>) {
        let branches = branches.as_array().map_or(&[][..], Vec::as_slice);
        if branches.is_empty() || branches.iter().any(|one| self.satisfies(one, value, path)) {
            return;
        }
        if self.fail() {
            return;
        }
        let faults = branches.iter().map(|branch| self.faults_by(branch, value, path)).collect();
        for fault in most_specific(faults, &path.pointer()) {
            self.report(|_| fault);
        }
    }

    /// None of the values that satisfy a schema.
    pub(super) fn not(&mut self, schema: &Json, value: &Value, path: &Path<'_>) {
        if self.satisfies(schema, value, path) {
            self.report(|_| {
                let found = format!("may not be {}", show(value));
                Fault::new(SchemaErrorKind::NotAllowed, path.pointer(), found)
            });
        }
    }

    /// `if`, with `then` and `else` beside it.
    pub(super) fn condition(
        &mut self,
        condition: &Json,
        keywords: &Map<String, Json>,
        value: &Value,
        path: &Path<'_>,
    ) {
        let branch = if self.satisfies(condition, value, path) { "then" } else { "else" };
        if let Some(schema) = keywords.get(branch) {
            self.schema(schema, value, path);
        }
    }
}

/// What to say when no alternative fits: the faults of the one that was meant, or, when that cannot
/// be known, one fault with what each alternative expects.
fn most_specific(branches: Vec<Vec<Fault>>, pointer: &str) -> Vec<Fault> {
    let is_whole = |fault: &Fault| {
        let kinds = [SchemaErrorKind::WrongType, SchemaErrorKind::NotAllowed];
        fault.pointer == pointer && kinds.contains(&fault.kind)
    };
    let (wholly, partly): (Vec<_>, Vec<_>) =
        branches.into_iter().partition(|faults| faults.iter().any(is_whole));
    if partly.is_empty() {
        return merged(wholly.into_iter().flatten().filter(is_whole)).into_iter().collect();
    }
    if let [only] = partly.as_slice() {
        return only.clone();
    }
    let tags = |faults: &Vec<Fault>| faults.iter().filter(|fault| is_tag(fault)).count();
    let best = partly.iter().min_by_key(|faults| (tags(faults), faults.len()));
    let mut best = best.cloned().unwrap_or_default();
    if best.iter().any(is_tag) {
        best.retain(is_tag);
    }
    best.into_iter().map(|fault| with_alternatives(fault, &partly)).collect()
}

/// An alternative in which a value is none of those allowed is an alternative for another tag, and
/// was not meant when there is a better one.
fn is_tag(fault: &Fault) -> bool {
    fault.kind == SchemaErrorKind::NotAllowed
}

/// A tag that is missing or unknown in every alternative could have been that of any.
fn with_alternatives(fault: Fault, branches: &[Vec<Fault>]) -> Fault {
    let same: Vec<_> = branches.iter().filter_map(|faults| same(faults, &fault)).collect();
    let could_be_any = is_tag(&fault) || fault.kind == SchemaErrorKind::MissingKey;
    if could_be_any && same.len() == branches.len() {
        return merged(same.into_iter().cloned()).unwrap_or(fault);
    }
    fault
}

/// The fault that says the same of the same place.
fn same<'f>(faults: &'f [Fault], fault: &Fault) -> Option<&'f Fault> {
    let key = |fault: &Fault| (fault.kind, fault.pointer.clone(), fault.found.clone());
    faults.iter().find(|other| key(other) == key(fault))
}

/// One fault out of several at one place; a value of the right type that is not allowed says more
/// than one of a wrong type.
fn merged(faults: impl Iterator<Item = Fault>) -> Option<Fault> {
    let mut faults: Vec<Fault> = faults.collect();
    faults.sort_by_key(|fault| fault.kind != SchemaErrorKind::NotAllowed);
    let mut faults = faults.into_iter();
    let mut first = faults.next()?;
    faults.for_each(|other| first.merge(&other));
    first.expected.retain(|expected| expected != "null");
    Some(first)
}
