//! Signals that are given in advance.

use flowcore::value::read_json;
use flowcore::{Object, Plan, SignalError, Value};

use super::running::Running;
use crate::error::CliError;

/// A signal of the command line: `NAME=JSON`, `NAME:KEY=JSON`, or `NAME=text`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignalArg {
    /// The name, or the name and the key.
    name: String,
    payload: Value,
}

/// Reads a signal of the command line.
pub(crate) fn parse_arg(text: &str) -> Result<SignalArg, String> {
    let (name, payload) = match text.split_once('=') {
        Some((name, payload)) if !name.is_empty() => (name, payload),
        _ => return Err("expected `name=JSON`, or `name:key=JSON`".to_owned()),
    };
    // As in `-i`, `:=` is JSON and nothing else.
    let (name, payload) = match name.strip_suffix(':').filter(|name| !name.is_empty()) {
        Some(name) => {
            let payload = read_json(payload).map_err(|error| format!("after `:=`, {error}"))?;
            (name, payload)
        }
        None => (name, read_json(payload).unwrap_or_else(|_| Value::from(payload))),
    };
    Ok(SignalArg { name: name.to_owned(), payload })
}

/// A signal that some node of the workflow waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GivenSignal {
    pub(crate) name: String,
    pub(crate) key: Option<String>,
    payload: Value,
}

/// The signals of the command line, if nodes of the workflow wait for them.
pub(crate) fn resolve(plan: &Plan, args: &[SignalArg]) -> Result<Vec<GivenSignal>, CliError> {
    args.iter().map(|arg| resolve_one(plan, arg)).collect()
}

fn resolve_one(plan: &Plan, arg: &SignalArg) -> Result<GivenSignal, CliError> {
    let is_whole_name = plan.signals().contains(&arg.name.as_str());
    let (name, key) = match arg.name.split_once(':').filter(|_| !is_whole_name) {
        Some((name, key)) => (name, Some(key.to_owned())),
        None => (arg.name.as_str(), None),
    };
    let payload = fit(plan, name, &arg.payload)?;
    Ok(GivenSignal { name: name.to_owned(), key, payload })
}

/// What comes with a signal, if a node of the workflow takes it.
pub(crate) fn fit(plan: &Plan, name: &str, payload: &Value) -> Result<Value, CliError> {
    let checked = plan.check_signal(name, payload).map(|()| payload.clone());
    // `--signal release=true` says all that an approval needs.
    let payload = checked.or_else(|error| {
        let answer = payload.as_bool().map(|approved| approval(approved, None));
        let taken = answer.filter(|answer| plan.check_signal(name, answer).is_ok());
        taken.ok_or(error)
    });
    payload.map_err(|error| unfit(plan, error))
}

fn unfit(plan: &Plan, error: SignalError) -> CliError {
    let names = plan.signals().into_iter().map(str::to_owned).collect();
    CliError::Signal { error, names }
}

impl GivenSignal {
    /// Sends it; it is kept until a node waits for it.
    pub(super) async fn send(&self, execution: &Running) {
        // It was checked before.
        execution.signal(&self.name, self.key.as_deref(), self.payload.clone()).await;
    }
}

/// The answer to an approval, by the person at this terminal.
pub(super) fn approval(approved: bool, reason: Option<&str>) -> Value {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::from);
    let entries = [
        ("approved", Value::from(approved)),
        ("by", text(user.as_deref())),
        ("reason", text(reason)),
    ];
    Value::Object(Object::from_entries(entries).expect("it holds only scalars"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, name: &str, payload: &str) {
        let arg = parse_arg(text).unwrap();
        assert_eq!((arg.name.as_str(), &*arg.payload.to_json_text()), (name, payload), "{text}");
    }

    #[test]
    fn signals_are_read() {
        check("paid={\"amount\": 3}", "paid", "{\"amount\":3}");
        check("paid=true", "paid", "true");
        check("paid=three pounds", "paid", "\"three pounds\"");
        check("paid=", "paid", "\"\"");
        check("paid:7=1", "paid:7", "1");
        check("paid:=[1]", "paid", "[1]");
        check("paid:a=b=c", "paid:a", "\"b=c\"");
        for bad in ["paid", "=1", "paid:=x"] {
            assert!(parse_arg(bad).is_err(), "{bad}");
        }
    }
}
