//! The functions that filters are made of: jaq's, without those that see the outside, and Flow's.

use std::sync::LazyLock;

use flowcore::value::read_json;
use jaq_core::box_iter::box_once;
use jaq_core::load::parse::Def;
use jaq_core::native::{Fun, bome, v};
use jaq_core::{Error, Exn, Native};
use jaq_json::Val;

use super::limits::{Limited, MAX_TEXT, Stop};
use super::rewrite::{GUARD, GUARD_CALL, MULTIPLY, guarded_definition};
use super::value::to_jq;

/// What would let a filter see or do more than its input says.
const REMOVED: [&str; 10] = [
    "debug",
    "debug_empty",
    "env",
    "halt",
    "halt_error",
    "localtime",
    "now",
    "stderr",
    "stderr_empty",
    "strflocaltime",
];

/// Whether jq has something of this name that Flow leaves out.
pub(super) fn is_left_out(name: &str) -> bool {
    REMOVED.contains(&name) || matches!(name, "$ENV" | "input" | "inputs" | "input_filename")
}

/// The definitions that every filter may use.
pub(super) static DEFINITIONS: LazyLock<Vec<Def<&'static str>>> = LazyLock::new(|| {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let kept = all.filter(|def| !REMOVED.contains(&def.name));
    kept.map(|def| guarded_definition(def, GUARD)).collect()
});

/// The functions that the definitions are made of.
pub(super) fn functions() -> impl Iterator<Item = Fun<Limited>> {
    let own: [Fun<Limited>; 4] = [
        (GUARD, v(0), guard::<false>()),
        (GUARD_CALL, v(0), guard::<true>()),
        (
            MULTIPLY,
            v(2),
            Native::new(|mut cv| {
                let (right, left) = (cv.0.pop_var(), cv.0.pop_var());
                box_once(multiply(left, right))
            }),
        ),
        ("fromjson", v(0), Native::new(|cv| bome(fromjson(&cv.1)))),
    ];
    let others = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let others = others.filter(|(name, ..)| !REMOVED.contains(name) && *name != "fromjson");
    own.into_iter().chain(others)
}

/// A filter that gives its input, unless the run has to stop.
fn guard<const IS_CALL: bool>() -> Native<Limited> {
    Native::<Limited>::new(|cv| {
        let checked = cv.0.data().check(&cv.1, IS_CALL);
        box_once(checked.map(|()| cv.1).map_err(Exn::from))
    })
    .with_paths(|cv| {
        let checked = cv.0.data().check(&cv.1.0, IS_CALL);
        box_once(checked.map(|()| cv.1).map_err(Exn::from))
    })
    .with_update(|cv, update| match cv.0.data().check(&cv.1, IS_CALL) {
        Ok(()) => update(cv.1),
        Err(stop) => box_once(Err(stop.into())),
    })
}

/// Multiplies, unless that repeats a text too often.
fn multiply<'a>(left: Val, right: Val) -> Result<Val, Exn<'a, Val>> {
    let length = match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(times))
        | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => {
            // What is no integer here, jaq refuses; huge integers it takes for the largest one.
            let negative = times.to_string().starts_with('-');
            let times = times.as_isize().unwrap_or(if negative { 0 } else { isize::MAX });
            text.len().saturating_mul(usize::try_from(times).unwrap_or_default())
        }
        _ => 0,
    };
    if length > MAX_TEXT {
        return Err(Stop::TooLarge.into());
    }
    Ok((left * right)?)
}

/// Reads JSON as `transform.json_parse` does; jaq's own reader recurses without a limit.
fn fromjson(value: &Val) -> Result<Val, Error<Val>> {
    let Val::TStr(text) = value else {
        return Err(Error::typ(value.clone(), "string"));
    };
    let text = std::str::from_utf8(text).map_err(Error::str)?;
    let value = read_json(text).map_err(|error| {
        Error::str(format_args!("cannot parse as JSON: {error} at byte {}", error.offset))
    })?;
    Ok(to_jq(&value))
}
