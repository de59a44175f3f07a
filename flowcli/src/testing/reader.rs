//! Reads a test file: every problem of its keys and types at once.

use std::sync::Arc;
use std::time::Duration;

use flowcore::reading::{Area, Fields, Path, Problems, read_file};
use flowcore::{Diagnostic, Diagnostics, NodeError, NodeOutput, Object, Source, Timestamp, Value};
use flowruntime::testing::StandIn;

use super::codes;
use super::file::{Case, Expect, ExpectedError, Named, Pin, STATUSES, Signal, Status, TestFile};
use crate::duration;

const TEST: Area = Area {
    unknown_key: "test.unknown_key",
    missing_key: "test.missing_key",
    wrong_type: "test.wrong_type",
    bad_value: "test.bad_value",
    out_of_range: "test.out_of_range",
};

/// The version of the format that this reader reads.
const FORMAT_VERSION: u64 = 1;

pub(super) const FILE_KEYS: [&str; 11] = [
    "$schema",
    "format_version",
    "workflow",
    "description",
    "now",
    "inputs",
    "secrets",
    "pins",
    "allow",
    "unpinned",
    "cases",
];
pub(super) const CASE_KEYS: [&str; 10] = [
    "name",
    "description",
    "now",
    "inputs",
    "secrets",
    "signals",
    "pins",
    "allow",
    "unpinned",
    "expect",
];
pub(super) const SIGNAL_KEYS: [&str; 4] = ["name", "key", "payload", "at"];
pub(super) const PIN_KEYS: [&str; 3] = ["outputs", "error", "after"];
pub(super) const PIN_ERROR_KEYS: [&str; 3] = ["code", "message", "retryable"];
pub(super) const EXPECT_KEYS: [&str; 11] = [
    "status",
    "outputs",
    "outputs_include",
    "error",
    "ran",
    "not_ran",
    "skipped",
    "failed",
    "attempts",
    "given",
    "duration",
];
pub(super) const EXPECTED_ERROR_KEYS: [&str; 3] = ["code", "node", "message"];
/// Whether nodes that touch the world may run although they are not pinned.
pub(super) const UNPINNED: [(&str, bool); 2] = [("refuse", false), ("run", true)];

const DURATION: &str = "a duration such as `30s`, `1h30m` or `3d`";

/// When executions start, unless a case says otherwise: the same moment every time.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The file as far as it could be read, and every problem with its place.
pub(super) fn read(source: &Source) -> (Option<TestFile>, Diagnostics) {
    read_file(source, |tree, problems| {
        let name = "the test file";
        let fields = Fields::of(tree, &Path::Root, &TEST, &name, problems);
        fields.map(|fields| read_all(fields.only(&FILE_KEYS))).unwrap_or_default()
    })
}

fn read_all(mut fields: Fields<'_, '_>) -> TestFile {
    if fields.u64("format_version").is_some_and(|version| version != FORMAT_VERSION) {
        fields.report("format_version", TEST.bad_value, &"is unknown to this Flow", "1");
    }
    fields.string("$schema");
    fields.string("description");
    fields.require("cases", "an array of cases");
    let workflow = fields.string("workflow").map(str::to_owned);
    let shared = read_shared(&mut fields, None);
    let items = fields.items("cases");
    if fields.value("cases").is_some_and(|cases| cases.as_array().is_some_and(|a| a.is_empty())) {
        fields.report("cases", TEST.bad_value, &"is empty", "at least one case");
    }
    let path = fields.path.key("cases");
    let mut cases: Vec<Case> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let Some(case) = read_case(item, &path, &shared, fields.problems) else { continue };
        if !case.name.is_empty() && cases.iter().any(|other| other.name == case.name) {
            fields.problems.report(|| {
                let message = format!("another case is called `{}`, too", case.name);
                Diagnostic::error(codes::SAME_NAME, path.key("name").pointer(), message)
            });
        }
        cases.push(case);
    }
    TestFile { workflow, cases }
}

/// The keys that the file and its cases have both; a case goes before the file.
fn read_shared(fields: &mut Fields<'_, '_>, file: Option<&Case>) -> Case {
    let mut shared = file.cloned().unwrap_or_else(|| Case {
        name: String::new(),
        pointer: String::new(),
        now: NOW,
        inputs: Object::new(),
        own_inputs: Vec::new(),
        secrets: Vec::new(),
        signals: Vec::new(),
        pins: Vec::new(),
        allow: Vec::new(),
        runs_unpinned: false,
        expect: Expect::default(),
    });
    shared.pointer = fields.path.pointer();
    if let Some(now) = moment(fields, "now") {
        shared.now = now;
    }
    shared.own_inputs.clear();
    for (name, value) in fields.object("inputs").into_iter().flat_map(Object::iter) {
        let known = shared.inputs.insert(name.clone(), value.clone());
        known.expect("it was as deep in the file");
        shared.own_inputs.push(name.to_string());
    }
    for (name, value) in fields.object("secrets").into_iter().flat_map(Object::iter) {
        shared.secrets.retain(|(other, _)| **other != **name);
        shared.secrets.push((name.to_string(), value.clone()));
    }
    if let Some(pins) = fields.object("pins") {
        let path = fields.path.key("pins");
        for (address, value) in pins.iter() {
            let pin = read_pin(address, value, &path.key(address), fields.problems);
            shared.pins.retain(|other| other.address.name != **address);
            shared.pins.push(pin);
        }
    }
    shared.allow.extend(names(fields, "allow", "the type or the address of a node"));
    if let Some(runs) = fields.choice("unpinned", &UNPINNED) {
        shared.runs_unpinned = runs;
    }
    shared
}

fn read_case(
    value: &Value,
    path: &Path<'_>,
    shared: &Case,
    problems: &mut Problems,
) -> Option<Case> {
    let mut fields = Fields::of(value, path, &TEST, &"a case", problems)?.only(&CASE_KEYS);
    fields.require("name", "what the case shows, in words");
    fields.string("description");
    let name = fields.string("name").unwrap_or_default().to_owned();
    let mut case = read_shared(&mut fields, Some(shared));
    case.name = name;
    let signals = fields.items("signals");
    let at = path.key("signals");
    let now = case.now;
    let read = |(index, signal): (usize, &Value)| {
        read_signal(signal, &at.index(index), now, fields.problems)
    };
    case.signals = signals.iter().enumerate().filter_map(read).collect();
    if let Some(expect) = fields.value("expect") {
        let at = path.key("expect");
        case.expect = read_expect(expect, &at, fields.problems).unwrap_or_default();
    }
    Some(case)
}

fn read_signal(
    value: &Value,
    path: &Path<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Option<Signal> {
    let mut fields = Fields::of(value, path, &TEST, &"a signal", problems)?.only(&SIGNAL_KEYS);
    fields.require("name", "the name of the signal or the approval");
    let name = fields.string("name")?.to_owned();
    let key = fields.string("key").map(str::to_owned);
    let payload = fields.value("payload").cloned().unwrap_or_default();
    let at = match fields.string("at") {
        None => Duration::ZERO,
        Some(text) => match (duration::parse(text), text.parse::<Timestamp>()) {
            (Ok(wait), _) => wait,
            (Err(_), Ok(moment)) => moment.since(now),
            (Err(_), Err(_)) => {
                let expected = "how long after the start, such as `3d`, or a moment in RFC 3339";
                fields.report("at", TEST.bad_value, &"is no time", expected);
                Duration::ZERO
            }
        },
    };
    Some(Signal { name, key, payload, at, pointer: path.pointer() })
}

fn read_pin(address: &Arc<str>, value: &Value, path: &Path<'_>, problems: &mut Problems) -> Pin {
    let mut attempts = Vec::new();
    let mut read = |value: &Value, path: &Path<'_>| {
        let stand_in = read_stand_in(value, path, problems);
        attempts.extend(stand_in.map(|stand_in| (stand_in, path.pointer())));
    };
    match value.as_array() {
        Some(items) => {
            items.iter().enumerate().for_each(|(index, item)| read(item, &path.index(index)));
        }
        None => read(value, path),
    }
    if value.as_array().is_some_and(|items| items.is_empty()) {
        problems.report(|| {
            let message = format!("the pin of `{address}` has no attempt");
            Diagnostic::error(TEST.bad_value, path.pointer(), message)
                .expected("at least one attempt")
        });
    }
    Pin { address: Named { name: address.to_string(), pointer: path.pointer() }, attempts }
}

fn read_stand_in(value: &Value, path: &Path<'_>, problems: &mut Problems) -> Option<StandIn> {
    let mut fields = Fields::of(value, path, &TEST, &"a pin", problems)?.only(&PIN_KEYS);
    let outputs = fields.object("outputs");
    let error = fields.value("error");
    if outputs.is_some() && error.is_some() {
        fields.report("error", TEST.bad_value, &"stands beside `outputs`", "one of the two");
    }
    if fields.value("outputs").is_none() && error.is_none() {
        fields.require("outputs", "the outputs by port, or `error` instead");
    }
    let after = time(&mut fields, "after");
    let stand_in = match (outputs, error) {
        (Some(outputs), _) => {
            let mut given = NodeOutput::new();
            outputs.iter().for_each(|(port, value)| given.set(port.clone(), value.clone()));
            StandIn::gives(given)
        }
        (None, Some(error)) => {
            StandIn::fails(read_pin_error(error, &path.key("error"), fields.problems)?)
        }
        (None, None) => return None,
    };
    Some(stand_in.after(after.unwrap_or_default()))
}

fn read_pin_error(value: &Value, path: &Path<'_>, problems: &mut Problems) -> Option<NodeError> {
    let name = "`error` of a pin";
    let mut fields = Fields::of(value, path, &TEST, &name, problems)?.only(&PIN_ERROR_KEYS);
    fields.require("code", "a code such as `http.status`");
    let code = fields.string("code").unwrap_or_default().to_owned();
    let message = fields.string("message").unwrap_or("it is pinned to fail").to_owned();
    let retryable = fields.bool("retryable").unwrap_or_default();
    Some(NodeError::new(code, message).with_retryable(retryable))
}

fn read_expect(value: &Value, path: &Path<'_>, problems: &mut Problems) -> Option<Expect> {
    let mut fields = Fields::of(value, path, &TEST, &"`expect`", problems)?.only(&EXPECT_KEYS);
    const NODE: &str = "the address of a node";
    let status = fields.choice("status", STATUSES);
    let error = fields.value("error").is_some();
    let mut expect = Expect {
        status: status.unwrap_or(if error { Status::Failed } else { Status::Succeeded }),
        outputs: fields.value("outputs").cloned(),
        outputs_include: fields.value("outputs_include").cloned(),
        ran: names(&mut fields, "ran", NODE),
        not_ran: names(&mut fields, "not_ran", NODE),
        skipped: names(&mut fields, "skipped", NODE),
        failed: names(&mut fields, "failed", NODE),
        duration: time(&mut fields, "duration"),
        ..Expect::default()
    };
    let named = |name: &Arc<str>, path: &Path<'_>| Named {
        name: name.to_string(),
        pointer: path.key(name).pointer(),
    };
    if let Some(attempts) = fields.object("attempts") {
        let at = path.key("attempts");
        let mut counts = Fields::of(
            fields.value("attempts").unwrap_or(&Value::Null),
            &at,
            &TEST,
            &"`attempts`",
            fields.problems,
        )?;
        for name in attempts.keys() {
            let count = counts.u32(name);
            expect.attempts.extend(count.map(|count| (named(name, &at), count)));
        }
    }
    if let Some(given) = fields.object("given") {
        let at = path.key("given");
        expect.given =
            given.iter().map(|(name, value)| (named(name, &at), value.clone())).collect();
    }
    if let Some(error) = fields.value("error") {
        let at = path.key("error");
        expect.error = read_expected_error(error, &at, fields.problems).unwrap_or_default();
    }
    Some(expect)
}

fn read_expected_error(
    value: &Value,
    path: &Path<'_>,
    problems: &mut Problems,
) -> Option<ExpectedError> {
    let name = "`error` of `expect`";
    let mut fields = Fields::of(value, path, &TEST, &name, problems)?.only(&EXPECTED_ERROR_KEYS);
    let pointer = path.key("node").pointer();
    Some(ExpectedError {
        code: fields.string("code").map(str::to_owned),
        node: fields.string("node").map(|name| Named { name: name.to_owned(), pointer }),
        message: fields.string("message").map(str::to_owned),
    })
}

/// The strings of an array.
fn names(fields: &mut Fields<'_, '_>, key: &'static str, expected: &str) -> Vec<Named> {
    let path = fields.path.key(key);
    let mut found = Vec::new();
    for (index, item) in fields.items(key).iter().enumerate() {
        let pointer = path.index(index).pointer();
        match item.as_str() {
            Some(name) => found.push(Named { name: name.to_owned(), pointer }),
            None => fields.problems.report(|| {
                let message = format!("an entry of `{key}` is {}", item.kind());
                Diagnostic::error(TEST.wrong_type, pointer, message).expected(expected)
            }),
        }
    }
    found
}

fn time(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Duration> {
    let text = fields.string(key)?;
    // The command line takes no time at all for a slip; here it is one.
    if ["0", "0s", "0ms"].contains(&text) {
        return Some(Duration::ZERO);
    }
    let time = duration::parse(text).ok();
    if time.is_none() {
        fields.report(key, TEST.bad_value, &format_args!("is `{text}`"), DURATION);
    }
    time
}

fn moment(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<Timestamp> {
    let text = fields.string(key)?;
    let moment = text.parse().ok();
    if moment.is_none() {
        let expected = "a moment in RFC 3339, such as `2026-01-01T09:00:00Z`";
        fields.report(key, TEST.bad_value, &format_args!("is `{text}`"), expected);
    }
    moment
}
