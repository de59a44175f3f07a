//! The TOML file: a flat list of options, each checked against those that there are.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use flowcore::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Options that say what to do this once, or where the file is.
const NOT_IN_THE_FILE: [&str; 4] = ["check-config", "config", "help", "version"];

/// An option that the file gives.
#[derive(Debug)]
pub(super) struct Entry {
    /// What clap calls it.
    pub(super) id: String,
    /// As it would be given on the command line; nothing for a flag that is off, or an empty list.
    pub(super) arguments: Vec<String>,
    pub(super) line: usize,
}

/// What is wrong with the file.
#[derive(Debug)]
pub(crate) struct FileError {
    path: PathBuf,
    /// Counted from 1.
    line: Option<usize>,
    message: String,
}

impl FileError {
    pub(super) fn at(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), message: message.into() }
    }

    fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self { path: path.to_owned(), line: None, message: format!("cannot be read: {error}") }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        match self.line {
            Some(line) => write!(f, ", line {line}: {}", self.message),
            None => write!(f, " {}", self.message),
        }
    }
}

/// What the file calls an option, if it may name it: its long name with `_`.
pub(super) fn key_of(option: &Arg) -> Option<String> {
    let long = option.get_long().filter(|long| !NOT_IN_THE_FILE.contains(long))?;
    Some(long.replace('-', "_"))
}

/// Whether it is on or off, and has no value.
pub(super) fn is_flag(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue)
}

/// Whether it may be given often.
pub(super) fn is_list(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Append)
}

/// Reads the file.
///
/// # Errors
/// It cannot be read, is no TOML, or says something that is no option of this command. Whether the
/// values make sense is not known yet.
pub(super) fn read(path: &Path, command: &Command) -> Result<Vec<Entry>, FileError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| FileError::unreadable(path, &error))?;
    parse(&text, command)
        .map_err(|(offset, message)| FileError::at(path, line_at(&text, offset), message))
}

/// The line of a byte, counted from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// What is wrong, and at which byte.
type Wrong = (usize, String);

fn parse(text: &str, command: &Command) -> Result<Vec<Entry>, Wrong> {
    let table = DeTable::parse(text).map_err(|error| {
        (error.span().map_or(0, |span| span.start), error.message().replace('\n', "; "))
    })?;
    let mut entries: Vec<Entry> = table
        .into_inner()
        .into_iter()
        .map(|(key, value)| {
            let at = key.span().start;
            let option = find(key.get_ref(), &value, command).map_err(|message| (at, message))?;
            let arguments = arguments(option, &value)?;
            Ok(Entry { id: option.get_id().to_string(), arguments, line: line_at(text, at) })
        })
        .collect::<Result<_, Wrong>>()?;
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn find<'c>(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    command: &'c Command,
) -> Result<&'c Arg, String> {
    let mut options = command.get_arguments();
    if let Some(option) = options.find(|option| key_of(option).as_deref() == Some(key)) {
        return Ok(option);
    }
    if matches!(value.get_ref(), DeValue::Table(_)) {
        return Err(format!("`{key}` is a table; options stand at the top, without tables"));
    }
    if NOT_IN_THE_FILE.contains(&&*key.replace('_', "-")) {
        return Err(format!("`{key}` is for the command line only"));
    }
    let keys: Vec<String> = command.get_arguments().filter_map(key_of).collect();
    let meant = nearest(key, keys.iter().map(String::as_str));
    let hint = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
    Err(format!("there is no option `{key}`{hint}"))
}

/// A value as arguments of the command line.
fn arguments(option: &Arg, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Wrong> {
    let long = option.get_long().unwrap_or_default();
    let key = key_of(option).unwrap_or_default();
    let wrong = |message: String| (value.span().start, message);
    let with_value = |text: String| format!("--{long}={text}");
    match value.get_ref() {
        DeValue::Boolean(is_on) if is_flag(option) => {
            Ok(is_on.then(|| format!("--{long}")).into_iter().collect())
        }
        _ if is_flag(option) => Err(wrong(format!("`{key}` is `true` or `false`"))),
        DeValue::Array(items) if is_list(option) => {
            let one = |item: &Spanned<DeValue<'_>>| {
                let at = item.span().start;
                let text = scalar(item.get_ref());
                let text = text.ok_or_else(|| (at, format!("`{key}` is a list of texts")))?;
                match option.get_value_delimiter() {
                    Some(separator) if text.contains(separator) => {
                        let what = format!("`{text}` has a `{separator}`, which separates values");
                        Err((at, what))
                    }
                    _ => Ok(with_value(text)),
                }
            };
            items.iter().map(one).collect()
        }
        value => match scalar(value) {
            Some(text) => Ok(vec![with_value(text)]),
            None if is_list(option) => Err(wrong(format!("`{key}` is a list of texts"))),
            None => Err(wrong(format!("`{key}` is a text or a number"))),
        },
    }
}

/// The text of a text or a number.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        // Others would be written in another base than they are read in.
        DeValue::Integer(number) if number.radix() == 10 => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flow.toml");
        std::fs::write(&path, text).unwrap();
        let found = match read(&path, &Args::command()) {
            Ok(entries) => {
                let lines = entries.iter().map(|one| format!("{} {:?}", one.line, one.arguments));
                lines.collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        let shown = path.display().to_string();
        assert_eq!(found.replace(&shown, "FILE"), expected, "{text}");
    }

    #[test]
    fn what_the_file_says_becomes_arguments() {
        check("", "");
        check(
            "# A comment.\nshutdown_timeout = 5\n\nallow_host = ['a', \"b\"]\nbehind_proxy = true\n",
            "2 [\"--shutdown-timeout=5\"]\n4 [\"--allow-host=a\", \"--allow-host=b\"]\n5 [\"--behind-proxy\"]",
        );
        check("behind_proxy = false\nallow_host = []", "1 []\n2 []");
        check("allow_host = 'a'", "1 [\"--allow-host=a\"]");
        check("store = '-x'", "1 [\"--store=-x\"]");
    }

    #[test]
    fn what_is_no_option_has_a_line_and_a_suggestion() {
        check(
            "bind = '[::1]:80'\n\nalow_host = ['a']",
            "FILE, line 3: there is no option `alow_host`; did you mean `allow_host`?",
        );
        check(
            "allow-host = ['a']",
            "FILE, line 1: there is no option `allow-host`; did you mean `allow_host`?",
        );
        check("x = 1", "FILE, line 1: there is no option `x`");
        check("config = 'x'", "FILE, line 1: `config` is for the command line only");
        check(
            "\n[server]\nbind = 'x'",
            "FILE, line 2: `server` is a table; options stand at the top, without tables",
        );
        check("behind_proxy = 'yes'", "FILE, line 1: `behind_proxy` is `true` or `false`");
        check("data_dir = ['a']", "FILE, line 1: `data_dir` is a text or a number");
        check("allow_host = [\n'a',\ntrue]", "FILE, line 3: `allow_host` is a list of texts");
        check("allow_host = ['a,b']", "FILE, line 1: `a,b` has a `,`, which separates values");
        check("shutdown_timeout = 0x10", "FILE, line 1: `shutdown_timeout` is a text or a number");
        check("store = 'a'\nstore = 'b'", "FILE, line 2: duplicate key");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("/nowhere/flow.toml"), &Args::command()).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/flow.toml cannot be read: "), "{error}");
    }
}
