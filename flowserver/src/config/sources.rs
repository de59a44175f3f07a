//! The options as they count, and where each comes from.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::file::{self, Entry, FileError, is_flag, is_list, key_of};
use crate::args::Args;

/// What stands in the place of what nobody should see.
const HIDDEN: &str = "•••";

/// The options as they count.
pub(crate) struct Config {
    pub(crate) args: Args,
    /// Those that are not as they would be without anybody's doing.
    settings: Vec<Setting>,
}

struct Setting {
    key: String,
    value: String,
    source: String,
}

/// Why there are no options.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The arguments or the variables are wrong, or help was asked for.
    Usage(clap::Error),
    /// The file is.
    File(FileError),
}

impl From<clap::Error> for ConfigError {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl Config {
    /// Reads arguments, the first of which is the name of the program, the variables of this process,
    /// and the file that they name, if they do.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let mut arguments: Vec<OsString> = arguments.into_iter().collect();
        let command = Args::command();
        let mut matches = command.clone().try_get_matches_from(&arguments)?;
        let mut args = Args::from_arg_matches(&matches)?;
        let mut from_file = Vec::new();
        let path = args.config.clone();
        if let Some(path) = &path {
            let entries = file::read(path, &command).map_err(ConfigError::File)?;
            let counts = |entry: &Entry| !is_given(&matches, &entry.id);
            from_file = entries.into_iter().filter(counts).collect();
            // Before all others, which may be those of a subcommand.
            let first = 1.min(arguments.len());
            let texts = from_file.iter().flat_map(|entry| &entry.arguments);
            arguments.splice(first..first, texts.map(OsString::from));
            // All else has been parsed before, so what is wrong now is in the file.
            matches = command
                .clone()
                .try_get_matches_from(&arguments)
                .map_err(|error| ConfigError::File(in_file(path, &command, &from_file, &error)))?;
            args = Args::from_arg_matches(&matches)?;
        }
        let source = |option: &Arg| {
            let id = option.get_id().as_str();
            let of_file = || from_file.iter().find(|entry| entry.id == id).zip(path.as_ref());
            match matches.value_source(id)? {
                ValueSource::EnvVariable => Some(option.get_env()?.to_string_lossy().into_owned()),
                ValueSource::CommandLine => Some(match of_file() {
                    Some((entry, path)) => format!("{}, line {}", path.display(), entry.line),
                    None => format!("--{}", option.get_long()?),
                }),
                _ => None,
            }
        };
        let settings = command.get_arguments().filter_map(|option| {
            let (key, source) = (key_of(option)?, source(option)?);
            Some(Setting { key, value: shown(option, &matches)?, source })
        });
        let settings = settings.collect();
        Ok(Self { args, settings })
    }
}

/// The options that are not at their defaults, as lines of TOML, each with where it comes from. What
/// may hold a secret is not shown.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.iter().try_for_each(|Setting { key, value, source }| {
            writeln!(f, "{key} = {value}  # {source}")
        })
    }
}

/// Whether an argument or a variable says something about it.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    let source = matches.value_source(id);
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// What clap says of a value, at the place that it comes from.
fn in_file(path: &Path, command: &Command, entries: &[Entry], error: &clap::Error) -> FileError {
    let named = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(name)) => name.split([' ', '=']).next().unwrap_or_default(),
        _ => "",
    };
    let option = command
        .get_arguments()
        .find(|option| option.get_long().is_some_and(|long| named == format!("--{long}")));
    let line = option
        .and_then(|option| entries.iter().find(|entry| entry.id == option.get_id().as_str()))
        .map_or(1, |entry| entry.line);
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    FileError::at(path, line, first.strip_prefix("error: ").unwrap_or(first))
}

/// A value as the file would give it; `None` when it is the default.
fn shown(option: &Arg, matches: &ArgMatches) -> Option<String> {
    let id = option.get_id().as_str();
    if is_flag(option) {
        return matches.get_flag(id).then(|| "true".to_owned());
    }
    let values: Vec<_> = matches.get_raw(id)?.collect();
    let defaults = option.get_default_values();
    if values.len() == defaults.len()
        && values.iter().zip(defaults).all(|(a, b)| *a == b.as_os_str())
    {
        return None;
    }
    let hides = option.is_hide_env_values_set();
    let mut texts = values.iter().map(|value| literal(&value.to_string_lossy(), hides));
    if is_list(option) {
        return Some(format!("[{}]", texts.collect::<Vec<_>>().join(", ")));
    }
    texts.next()
}

fn literal(text: &str, hides: bool) -> String {
    let text = match public_url(text) {
        Some(url) => url,
        None if hides => HIDDEN.to_owned(),
        None => text.to_owned(),
    };
    if text.parse::<i64>().is_ok() { text } else { format!("{text:?}") }
}

/// A URL without its password and whatever stands behind `?`; `None` for what is no URL.
fn public_url(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (main, query) = match rest.split_once('?') {
        // Nobody can tell what of it belongs to a password that is not escaped.
        Some((_, query)) if query.contains('@') => return Some(format!("{scheme}://{HIDDEN}")),
        Some((main, _)) => (main, format!("?{HIDDEN}")),
        None => (rest, String::new()),
    };
    let main = match main.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
            None => main.to_owned(),
        },
        None => main.to_owned(),
    };
    Some(format!("{scheme}://{main}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, arguments: &[&str]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flow.toml");
        std::fs::write(&path, file).unwrap();
        let named = ["flowserver".into(), "--config".into(), path.into_os_string()];
        Config::read(named.into_iter().chain(arguments.iter().map(OsString::from)))
    }

    #[test]
    fn arguments_win_over_the_file_and_the_file_over_defaults() {
        let file = "bind = '[::1]:1'\nshutdown_timeout = 7\nallow_host = ['a', 'b']\n";
        let config = read(file, &["--bind", "[::1]:2", "--allow-host", "c"]).unwrap();
        assert_eq!(config.args.bind, "[::1]:2".parse().unwrap());
        assert_eq!(config.args.shutdown_timeout, 7);
        assert_eq!(config.args.allow_hosts, ["c"]);
        assert_eq!(config.args.data_dir, Path::new("flow-data"));
    }

    #[test]
    fn it_is_said_where_each_value_comes_from() {
        let file = "bind = '127.0.0.1:8080'\nshutdown_timeout = 7\nallow_target = ['db:5432']\n\
                    behind_proxy = true\nlisted_targets_only = false\n";
        let text = read(file, &["--store", "sqlite://x.db"]).unwrap().to_string();
        let lines: Vec<_> = text.lines().collect();
        let [store, behind, target, timeout] = lines[..] else { panic!("{text}") };
        assert_eq!(store, "store = \"sqlite://x.db\"  # --store");
        assert!(behind.starts_with("behind_proxy = true  # ") && behind.ends_with(", line 4"));
        assert!(target.starts_with("allow_target = [\"db:5432\"]  # "), "{target}");
        assert!(timeout.starts_with("shutdown_timeout = 7  # ") && timeout.ends_with(", line 2"));
    }

    #[test]
    fn a_value_that_makes_no_sense_has_the_line_of_the_file() {
        let Err(ConfigError::File(error)) = read("store = 'x'\nbind = 'nowhere'", &[]) else {
            panic!("it makes no sense")
        };
        let text = error.to_string();
        assert!(text.contains("flow.toml, line 2: invalid value 'nowhere' for '--bind"), "{text}");
    }

    #[test]
    fn what_is_wrong_on_the_command_line_is_not_the_fault_of_the_file() {
        assert!(matches!(read("", &["--bind", "x"]), Err(ConfigError::Usage(_))));
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("postgres://flow:pw@db/flow", "postgres://flow:•••@db/flow"),
            ("postgres://flow@db:5432/flow?sslmode=require", "postgres://flow@db:5432/flow?•••"),
            ("postgres://flow:p/w@db/flow", "postgres://flow:•••@db/flow"),
            ("postgres://flow:p?w@db/flow", "postgres://•••"),
            ("postgres://db/flow?password=a@b", "postgres://•••"),
            ("sqlite://flow.db", "sqlite://flow.db"),
        ] {
            assert_eq!(literal(url, true), format!("{shown:?}"), "{url}");
            assert_eq!(literal(url, false), format!("{shown:?}"), "{url}");
        }
        assert_eq!(literal("host=db password=x", true), format!("{HIDDEN:?}"));
        let config = read("store = 'postgres://flow:canary@db/flow'", &[]).unwrap();
        assert!(!config.to_string().contains("canary"));
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("[env: FLOW_STORE]"), "{help}");
    }
}
