//! `deploy/flowserver.toml`: every option of the file, with its help and its default.

use std::path::Path;

use clap::{Arg, CommandFactory};

use super::file::{self, is_flag, is_list, key_of};
use super::{Config, ConfigError};
use crate::args::Args;

const HEAD: &str = "\
# The options of flowserver. Each line that is commented out shows the default, or, where there is
# none, what stands in its place.
#
#   flowserver --config flowserver.toml --check-config
#
# says what is set and where it comes from: arguments go before variables, variables before this file.
# Relative paths start in the folder that the server is started in.
";

/// How wide comments are.
const WIDTH: usize = 98;

fn sample() -> String {
    let command = Args::command();
    let options = command.get_arguments().filter(|option| !option.is_hide_set());
    options.filter_map(entry).fold(HEAD.to_owned(), |text, entry| text + "\n" + &entry)
}

fn entry(option: &Arg) -> Option<String> {
    let key = key_of(option)?;
    let help = option.get_long_help().or(option.get_help())?.to_string();
    let env = option.get_env().map(|env| format!(" (`{}`)", env.to_string_lossy()));
    let comment = wrapped(&format!("{help}{}", env.unwrap_or_default()));
    Some(format!("{comment}#{key} = {}\n", example(option)))
}

/// The default, or the name of the value.
fn example(option: &Arg) -> String {
    if is_flag(option) {
        return "false".to_owned();
    }
    let names = option.get_value_names().unwrap_or_default();
    let default = option.get_default_values().first().map(|value| value.to_string_lossy());
    let text = default.or(names.first().map(|name| name.as_str().into())).unwrap_or_default();
    match text.parse::<i64>() {
        Ok(_) => text.into_owned(),
        Err(_) if is_list(option) => format!("[{text:?}]"),
        Err(_) => format!("{text:?}"),
    }
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        let last = lines.last_mut().unwrap();
        if last.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("# {word}"));
        } else {
            last.push(' ');
            last.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_sample_has_every_option_and_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/flowserver.toml");
    let expected = sample();
    if std::env::var_os("FLOW_UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "deploy/flowserver.toml is not what the options say; \
         run `FLOW_UPDATE=1 cargo test -p flowserver --lib config`"
    );
    // What `--help` shows, and the file may say.
    let help = Args::command().render_long_help().to_string();
    let shown = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let names = shown.map(|line| line.split([' ', '=']).next().unwrap().replace('-', "_"));
    let missing: Vec<String> = names
        .filter(|name| !["config", "check_config", "help", "version"].contains(&&**name))
        .filter(|name| !found.contains(&format!("\n#{name} = ")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_sample_loads_as_it_is_and_with_every_option() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flowserver.toml");
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Config::read(["flowserver".into(), "--config".into(), path.clone().into_os_string()])
    };
    let config = load(&sample()).ok().unwrap();
    assert_eq!(config.to_string(), "");
    let all: String = sample()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(option) if !option.starts_with(' ') => format!("{option}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&path, &all).unwrap();
    let entries = file::read(&path, &Args::command()).unwrap();
    assert_eq!(entries.len(), Args::command().get_arguments().filter_map(key_of).count());
    // The defaults are those of the options; the names of values are no values.
    let defaults: String =
        all.lines().filter(|line| !is_placeholder(line)).map(|line| format!("{line}\n")).collect();
    match load(&defaults) {
        Ok(config) => assert_eq!(config.to_string(), ""),
        Err(ConfigError::File(error)) => panic!("{error}"),
        Err(ConfigError::Usage(error)) => panic!("{error}"),
    }
}

/// Whether a line shows the name of a value.
fn is_placeholder(line: &str) -> bool {
    let value = line.split_once(" = ").map_or("", |(_, value)| value);
    let name = value.trim_matches(['[', ']', '"']);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}
