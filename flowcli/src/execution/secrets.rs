//! Secrets from a file and from the environment.

use std::collections::BTreeMap;

use flowcore::value::read_json;
use flowcore::{Secrets, Value};

use crate::error::CliError;
use crate::source::{display_name, read_text};

/// The secrets of a file, and those of `FLOW_SECRET_<NAME>` that it does not have.
pub(crate) fn load(file: Option<&str>) -> Result<Secrets, CliError> {
    let mut secrets = match file {
        Some(name) => parse(name, &read_text(name)?)?,
        None => BTreeMap::new(),
    };
    for (variable, value) in std::env::vars() {
        add_variable(&mut secrets, &variable, &value);
    }
    Ok(Secrets::new(secrets))
}

fn add_variable(secrets: &mut BTreeMap<String, Value>, variable: &str, value: &str) {
    for name in Secrets::named_by(variable).into_iter().flatten() {
        secrets.entry(name).or_insert_with(|| Value::from(value));
    }
}

/// A JSON object, or lines of `NAME=value` as shells have them; `#` begins a comment.
fn parse(file: &str, text: &str) -> Result<BTreeMap<String, Value>, CliError> {
    let bad = |line, problem: &str| CliError::Secrets {
        name: display_name(file).to_owned(),
        line,
        // Never the text itself: it is secret.
        problem: problem.to_owned(),
    };
    // Some editors write a mark there.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        let value = read_json(text).map_err(|error| {
            let line = text[..error.offset.min(text.len())].matches('\n').count() + 1;
            bad(line, &error.kind.to_string())
        })?;
        let object = value.as_object().cloned().unwrap_or_default();
        return Ok(object.iter().map(|(name, value)| (name.to_string(), value.clone())).collect());
    }
    let mut secrets = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .strip_prefix("export ")
            .unwrap_or(line)
            .split_once('=')
            .map(|(name, value)| (name.trim(), unquote(value.trim())))
            .filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace))
            .ok_or_else(|| bad(index + 1, "expected `NAME=value`"))?;
        secrets.insert(name.to_owned(), Value::from(value));
    }
    Ok(secrets)
}

/// A value may stand in quotes of either kind.
fn unquote(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match parse("file", text) {
            Ok(secrets) => secrets
                .iter()
                .fold(String::new(), |all, (name, value)| all + &format!("{name}={value};")),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn secrets_are_read() {
        check("A=1\n# no\n\n b = \"x = y\" \nC='\nD=", "A=\"1\";C=\"'\";D=\"\";b=\"x = y\";");
        check("{\"a\": \"x\", \"b\": [1]}", "a=\"x\";b=[1];");
        check("\u{feff}export A=1\r\nexport  B='2'\r\n", "A=\"1\";B=\"2\";");
        check("\u{feff}{\"a\": 1}", "a=1;");
        check("set A=1", "`file`, line 1: expected `NAME=value`");
        check("A=1\nsecret", "`file`, line 2: expected `NAME=value`");
        check("{\"a\":\n secret}", "`file`, line 2: expected a JSON value");
        let mut secrets = BTreeMap::from([("key".to_owned(), Value::from("file"))]);
        add_variable(&mut secrets, "FLOW_SECRET_KEY", "variable");
        add_variable(&mut secrets, "FLOW_SECRET_", "nameless");
        add_variable(&mut secrets, "PATH", "no secret");
        assert_eq!(secrets.len(), 2);
        assert_eq!((&secrets["key"], &secrets["KEY"]), (&"file".into(), &"variable".into()));
    }
}
