//! What is to be run: the config of `shell.exec` as a command.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::process::Stdio;

use flowcore::value::MASK;
use flowcore::{NodeContext, NodeError, Value};
use tokio::process::Command;

use super::exec::ExecConfig;
use crate::error::without_secret;

/// What runs scripts, and what the policy is asked about then.
const SHELL: &str = "/bin/sh";

/// The idempotency key, for programs that can use it.
const KEY_VARIABLE: &str = "FLOW_IDEMPOTENCY_KEY";

/// Variables that hand secrets to Flow itself. Programs do not inherit them: a secret reaches a
/// program when the workflow says so.
const SECRET_PREFIX: &[u8] = b"FLOW_SECRET_";

/// A command that the policy allows.
pub(super) struct Program {
    pub(super) command: Command,
    /// How errors name it.
    pub(super) shown: String,
    workdir: PathBuf,
    shown_workdir: String,
}

impl Program {
    /// The command that a config describes; standard input is closed unless `has_stdin`.
    pub(super) fn new(
        ctx: &NodeContext,
        config: &ExecConfig,
        has_stdin: bool,
    ) -> Result<Self, NodeError> {
        let asked = if config.shell { SHELL } else { &config.command };
        let secret = !config.shell && is_secret(ctx, "command");
        ctx.policy().check_program(asked).map_err(|error| without_secret(error, secret))?;
        let workdir = workdir(ctx, config)?;
        let shown_workdir = match is_secret(ctx, "workdir") {
            true => MASK.to_owned(),
            false => workdir.display().to_string(),
        };
        let mut command = command(config, &workdir);
        set_variables(&mut command, ctx, config)?;
        command
            .current_dir(&workdir)
            .stdin(if has_stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Self { command, shown: shown(ctx, config), workdir, shown_workdir })
    }

    /// Why the program could not be started.
    pub(super) fn not_started(&self, error: &io::Error) -> NodeError {
        let lost = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        let (code, message) = if lost && !self.workdir.is_dir() {
            ("shell.bad_workdir", format!("there is no directory `{}`", self.shown_workdir))
        } else if lost {
            ("shell.not_found", format!("{} was not found", self.shown))
        } else {
            ("shell.spawn", format!("{} cannot be started", self.shown))
        };
        let error = NodeError::new(code, message).with_source(error);
        match code {
            "shell.not_found" => error.with_hint(
                "`command` is one program, `args` its arguments; a command line needs `shell`",
            ),
            "shell.bad_workdir" => {
                error.with_hint("a relative `workdir` starts at the workflow's folder")
            }
            _ => error,
        }
    }
}

fn command(config: &ExecConfig, workdir: &std::path::Path) -> Command {
    let mut command = if config.shell {
        let mut command = Command::new(SHELL);
        // The word after the script is `$0`.
        command.args(["-c", &config.command, "sh"]);
        command
    } else if config.command.contains('/') {
        // Whether such a path starts at the old directory or the new one differs by platform, so it
        // starts at the root. Where that cannot be found, a relative one is as good as any.
        let program = workdir.join(&config.command);
        Command::new(std::path::absolute(&program).unwrap_or(program))
    } else {
        Command::new(&config.command)
    };
    command.args(config.args.iter().map(|argument| &argument.0));
    command
}

fn workdir(ctx: &NodeContext, config: &ExecConfig) -> Result<PathBuf, NodeError> {
    match &config.workdir {
        None => Ok(ctx.policy().base_directory().to_owned()),
        Some(path) => ctx
            .policy()
            .read_path(path)
            .map_err(|error| without_secret(error, is_secret(ctx, "workdir"))),
    }
}

fn set_variables(
    command: &mut Command,
    ctx: &NodeContext,
    config: &ExecConfig,
) -> Result<(), NodeError> {
    if let Some(name) = config.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0']))
    {
        let message = format!("`env` has a variable `{name}`, which cannot be a name");
        return Err(NodeError::config(message));
    }
    command.env_clear();
    if !config.clear_env {
        command.envs(inherited(std::env::vars_os()));
    }
    command.env(KEY_VARIABLE, ctx.idempotency_key());
    command.envs(config.env.iter().map(|(name, value)| (name, &value.0)));
    Ok(())
}

fn inherited(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| !name.as_encoded_bytes().starts_with(SECRET_PREFIX))
}

fn shown(ctx: &NodeContext, config: &ExecConfig) -> String {
    if config.shell {
        "the script".to_owned()
    } else if is_secret(ctx, "command") {
        "the program".to_owned()
    } else {
        format!("`{}`", config.command)
    }
}

fn is_secret(ctx: &NodeContext, key: &str) -> bool {
    ctx.config_object().get(key).is_some_and(Value::is_tainted)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flowcore::{NodeFactory as _, Policy};
    use serde_json::json;

    use super::super::exec::ExecFactory;
    use super::*;
    use crate::testing::context;

    /// A library may leave relative paths to the current directory, and the program runs in another.
    #[test]
    fn a_path_to_a_program_does_not_depend_on_where_it_runs() {
        let here = std::env::current_dir().unwrap();
        for (workdir, expected) in [(json!(null), "print"), (json!("in"), "in/print")] {
            let config = json!({"command": "./print", "workdir": workdir});
            let ctx = context(&ExecFactory.descriptor(), Path::new("/"), config);
            let ctx = ctx.policy(Policy::allow_all(".")).build();
            let config = ctx.config::<ExecConfig>().unwrap();
            let program = Program::new(&ctx, &config, false).unwrap();
            assert_eq!(Path::new(program.command.as_std().get_program()), here.join(expected));
        }
    }

    #[test]
    fn secrets_are_not_inherited() {
        let variables = ["PATH", "FLOW_SECRET_TOKEN", "FLOW_SECRETS", "MY_FLOW_SECRET_X"];
        let variables = variables.map(|name| (OsString::from(name), OsString::from("x")));
        let left: Vec<_> = inherited(variables.into_iter()).map(|(name, _)| name).collect();
        assert_eq!(left, ["PATH", "FLOW_SECRETS", "MY_FLOW_SECRET_X"]);
    }
}
