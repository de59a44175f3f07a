//! `shell.exec`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use flowcore::{
    Effect, Execution, Node, NodeConfig, NodeContext, NodeDescriptor, NodeError, NodeFactory,
    NodeOutput, Port, Value, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::capture::Capture;
use super::outcome::{self, Ended};
use super::process::Group;
use super::program::Program;
use super::supervise::{Stopped, run};
use crate::content;
use crate::scalar::Scalar;

/// The config of `shell.exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecConfig {
    /// The program to start, by name or path; with `shell`, a script.
    pub(super) command: String,
    /// The arguments of the program; with `shell`, `$1`, `$2` and so on in the script.
    #[serde(default)]
    pub(super) args: Vec<Scalar>,
    /// Whether `command` is a script for `/bin/sh`.
    #[serde(default)]
    pub(super) shell: bool,
    /// Environment variables, added to those that Flow runs with.
    #[serde(default)]
    pub(super) env: BTreeMap<String, Scalar>,
    /// Whether only the variables in `env` are set.
    #[serde(default)]
    pub(super) clear_env: bool,
    /// The directory in which the program runs; by default the workflow's folder.
    #[serde(default)]
    pub(super) workdir: Option<String>,
    /// Whether the node fails when the program does not exit with code 0.
    #[serde(default = "default_fail_on_error")]
    fail_on_error: bool,
    /// The most bytes that the program may write to standard output, and to standard error.
    #[serde(default = "default_max_output_bytes")]
    max_output_bytes: usize,
    /// How long a cancelled program may take to end by itself, in milliseconds.
    #[serde(default = "default_kill_grace_ms")]
    kill_grace_ms: u64,
}

fn default_fail_on_error() -> bool {
    true
}

fn default_max_output_bytes() -> usize {
    16 * 1024 * 1024
}

fn default_kill_grace_ms() -> u64 {
    2000
}

/// Makes `shell.exec` nodes.
pub(super) struct ExecFactory;

impl NodeFactory for ExecFactory {
    fn node_type(&self) -> &str {
        "shell.exec"
    }

    fn create(&self, _config: &NodeConfig) -> Result<Box<dyn Node>, NodeError> {
        Ok(Box::new(ExecNode))
    }

    fn descriptor(&self) -> NodeDescriptor {
        NodeDescriptor::new("shell.exec")
            .summary("Run a program")
            .description(DESCRIPTION)
            .shell_text("command", "shell")
            .input(Port::new("stdin").description(
                "What the program reads: a string or bytes as they are, any other value as JSON.",
            ))
            .output(Port::new("output").description(
                "Standard output as a value if it is JSON, else its text without the final \
                 newline.",
            ))
            .output(Port::new("stdout").description("Standard output: a string, or bytes."))
            .output(Port::new("stderr").description("Standard error: a string, or bytes."))
            .output(
                Port::new("exit_code")
                    .description("The exit code; 128 and the signal's number after a signal.")
                    .typed::<i64>(),
            )
            .output(Port::new("success").description("Whether the exit code is 0.").typed::<bool>())
            .config::<ExecConfig>()
            .effect(Effect::Idempotent)
            .execution(Execution::Task)
            .stateless()
            .example(
                "Run a program with arguments",
                json!({ "command": "echo", "args": ["hello", 3] }),
                json!({}),
                json!({ "output": "hello 3", "stdout": "hello 3\n", "exit_code": 0 }),
            )
            .example(
                "Run a script on a value; the result is JSON",
                json!({
                    "command": "tr a-z A-Z; echo note >&2",
                    "shell": true,
                    "stdin": { "greeting": "hello" },
                }),
                json!({}),
                json!({ "output": { "GREETING": "HELLO" }, "stderr": "note\n", "success": true }),
            )
            .example(
                "Look at the exit code instead of failing",
                json!({ "command": "exit $1", "shell": true, "args": [3], "fail_on_error": false }),
                json!({}),
                json!({ "exit_code": 3, "success": false, "output": "" }),
            )
    }
}

const DESCRIPTION: &str = "\
Starts a program, gives it `stdin`, and waits for its end. Lines are shown while it runs.

Without `shell`, `command` is one program and `args` are its arguments, each one word whatever it \
holds. With `shell`, `command` is a script for `/bin/sh -c`. A value that an expression puts into \
a script needs `| shell_quote`: `grep {{ inputs.word | shell_quote }}`; or give it in `args`, and \
the script has it as `\"$1\"`. A literal `{{`, as in `docker ps --format`, is written `{{{{`.

The program runs in a process group of its own. When it exits, what it left running in the \
background is killed. When the node is cancelled or times out, the group gets SIGTERM, and SIGKILL \
after `kill_grace_ms`. A process that leaves the group (`setsid`) is not reached.

`FLOW_IDEMPOTENCY_KEY` is set to a key that is the same for every attempt of the node. Variables \
that begin with `FLOW_SECRET_` are not inherited. The policy is asked about `command` as it is \
written, or about `/bin/sh`.";

struct ExecNode;

#[async_trait]
impl Node for ExecNode {
    fn node_type(&self) -> &str {
        "shell.exec"
    }

    async fn execute(&self, ctx: NodeContext) -> Result<NodeOutput, NodeError> {
        let config = ctx.config::<ExecConfig>()?;
        let stdin = ctx.input("stdin").filter(|value| !value.is_null()).map(bytes_of);
        let mut program = Program::new(&ctx, &config, stdin.is_some())?;
        let started = Group::spawn(&mut program.command);
        let mut group = started.map_err(|error| program.not_started(&error))?;
        let mut stdout = Capture::stdout(&ctx, config.max_output_bytes);
        let mut stderr = Capture::stderr(&ctx, config.max_output_bytes);
        let grace = Duration::from_millis(config.kill_grace_ms);
        let result = run(&ctx, grace, &mut group, stdin, &mut stdout, &mut stderr).await;
        drop(group);
        let (stdout, stderr) = (stdout.finish(), stderr.finish());
        match result {
            Ok(status) => {
                let ended = Ended { status, stdout, stderr, shown: program.shown };
                outcome::output(ended, config.fail_on_error).await
            }
            Err(Stopped::Cancelled(reason)) => Err(outcome::cancelled(&program.shown, reason)),
            Err(Stopped::TooLarge) => {
                Err(outcome::too_large(&program.shown, config.max_output_bytes))
            }
            Err(Stopped::Failed(error)) => Err(program.not_started(&error)),
        }
    }
}

fn bytes_of(value: &Value) -> Cow<'_, [u8]> {
    content::raw(value).map_or_else(|| Cow::Owned(content::json(value)), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flowcore::{Access, NodeEvent, Policy};

    use super::*;
    use crate::testing::{Recorder, context, node, object};

    async fn run_in(directory: &Path, config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        let ctx = context(&ExecFactory.descriptor(), directory, config).build();
        node(&ExecFactory).execute(ctx).await
    }

    async fn exec(config: serde_json::Value) -> Result<NodeOutput, NodeError> {
        run_in(Path::new("/"), config).await
    }

    async fn script(text: &str) -> NodeOutput {
        exec(json!({"command": text, "shell": true})).await.unwrap()
    }

    async fn check_error(config: serde_json::Value, code: &str) -> NodeError {
        let error = exec(config).await.unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        error
    }

    #[tokio::test]
    async fn the_examples_hold() {
        for example in ExecFactory.descriptor().examples {
            let output = exec(example.config).await.unwrap();
            for (port, value) in object(example.outputs).iter() {
                assert_eq!(output.get(port), Some(value), "{}", example.title);
            }
        }
    }

    #[tokio::test]
    async fn text_reaches_the_program_as_it_is() {
        let output =
            script("name=flow; echo \"len=${#name}\"; echo 'a b' | awk '{printf \"%s\", $2}'");
        assert_eq!(output.await.get("stdout"), Some(&Value::from("len=4\nb")));
        let tricky = "a 'b' \"c\" $HOME `d` \\ *\n";
        let config = json!({"command": "printf", "args": ["%s|", tricky, ""]});
        let output = exec(config).await.unwrap();
        assert_eq!(output.get("stdout"), Some(&Value::from(format!("{tricky}||"))));
        let output = exec(json!({"command": "cat", "stdin": tricky})).await.unwrap();
        assert_eq!(output.get("stdout"), Some(&Value::from(tricky)));
        assert_eq!(output.get("output"), Some(&Value::from(&tricky[..tricky.len() - 1])));
    }

    #[tokio::test]
    async fn any_value_is_an_input() {
        for (stdin, expected) in [
            (Value::from(vec![0_u8, 0xff]), Value::from(vec![0_u8, 0xff])),
            (Value::from("s3cret").tainted(), Value::from("s3cret")),
            (
                Value::try_from(vec![Value::from("s3cret").tainted()]).unwrap(),
                Value::from("[\"s3cret\"]"),
            ),
            (Value::from(1), Value::from("1")),
            (Value::Null, Value::from("")),
        ] {
            let ctx = context(&ExecFactory.descriptor(), Path::new("/"), json!({"command": "cat"}));
            let output = node(&ExecFactory).execute(ctx.input("stdin", stdin).build()).await;
            assert_eq!(output.unwrap().get("stdout"), Some(&expected));
        }
    }

    #[tokio::test]
    async fn the_environment_is_inherited_or_not() {
        let config = |clear: bool| {
            json!({
                "command": "echo \"$A/$B/${HOME:-none}/$FLOW_IDEMPOTENCY_KEY\"",
                "shell": true,
                "env": {"A": 1, "B": "x"},
                "clear_env": clear,
            })
        };
        let key = NodeContext::builder().build().idempotency_key();
        let home = std::env::var("HOME").unwrap_or_else(|_| "none".to_owned());
        for (clear, home) in [(true, "none"), (false, home.as_str())] {
            let output = exec(config(clear)).await.unwrap();
            assert_eq!(output.get("output"), Some(&Value::from(format!("1/x/{home}/{key}"))));
        }
        let config = json!({"command": "true", "env": {"A=B": "x"}});
        check_error(config, "config.invalid").await;
    }

    #[tokio::test]
    async fn a_program_runs_where_the_workflow_is_or_where_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        let link = inside.join("print");
        std::os::unix::fs::symlink("/bin/pwd", link).unwrap();
        for (config, expected) in [
            (json!({"command": "pwd"}), directory.path()),
            (json!({"command": "pwd", "workdir": "in"}), &inside),
            (json!({"command": "./print", "workdir": "in"}), &inside),
        ] {
            let output = run_in(directory.path(), config).await.unwrap();
            let found = Path::new(output.get("output").unwrap().as_str().unwrap()).to_owned();
            assert_eq!(found.canonicalize().unwrap(), expected.canonicalize().unwrap());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_started_says_why() {
        let error = check_error(json!({"command": "no-such-program"}), "shell.not_found").await;
        assert!(!error.is_retryable() && error.hint().is_some());
        check_error(json!({"command": "/etc/hostname/x"}), "shell.not_found").await;
        check_error(json!({"command": "/etc/passwd"}), "shell.spawn").await;
        let config = json!({"command": "pwd", "workdir": "/etc/no-such-directory"});
        check_error(config, "shell.bad_workdir").await;
        let config = json!({"command": "pwd", "workdir": "/etc/passwd"});
        check_error(config, "shell.bad_workdir").await;
        check_error(json!({"args": []}), "config.invalid").await;
        check_error(json!({"command": "pwd", "args": [[]]}), "config.invalid").await;
    }

    #[tokio::test]
    async fn a_failure_shows_what_the_program_said() {
        let config = json!({"command": "echo out; echo oops >&2; exit 3", "shell": true});
        let error = check_error(config, "shell.exit").await;
        assert_eq!(error.to_string(), "the script exited with code 3: oops");
        assert!(error.is_retryable());
        let error = check_error(json!({"command": "false"}), "shell.exit").await;
        assert_eq!(error.to_string(), "`false` exited with code 1");
    }

    #[tokio::test]
    async fn a_signal_is_a_failure_of_its_own() {
        let config =
            |fail: bool| json!({"command": "kill -9 $$", "shell": true, "fail_on_error": fail});
        let error = check_error(config(true), "shell.signal").await;
        assert_eq!(error.to_string(), "the script was ended by signal: 9 (SIGKILL)");
        let output = exec(config(false)).await.unwrap();
        assert_eq!(output.get("exit_code"), Some(&Value::from(137)));
        assert_eq!(output.get("success"), Some(&Value::from(false)));
    }

    #[tokio::test]
    async fn lines_are_told_while_it_runs() {
        let recorder = Recorder::shared();
        let config = json!({"command": "echo one; printf two; echo three >&2", "shell": true});
        let ctx = context(&ExecFactory.descriptor(), Path::new("/"), config);
        node(&ExecFactory).execute(ctx.sink(recorder.clone()).build()).await.unwrap();
        let events = recorder.events();
        assert_eq!(events.len(), 3, "{events:?}");
        for event in [
            NodeEvent::StdoutLine { line: "one".into() },
            NodeEvent::StdoutLine { line: "two".into() },
            NodeEvent::StderrLine { line: "three".into() },
        ] {
            assert!(events.contains(&event), "{events:?}");
        }
    }

    #[tokio::test]
    async fn the_policy_is_asked_about_programs_and_directories() {
        let run = async |config: serde_json::Value, policy: Policy| {
            let ctx = context(&ExecFactory.descriptor(), Path::new("/"), config);
            let result = node(&ExecFactory).execute(ctx.policy(policy).build()).await;
            result.map(|_| ()).map_err(|error| error.code().to_owned())
        };
        let only = |program: &str| {
            Policy::deny_all().directory("/").programs(Access::Only(vec![program.to_owned()]))
        };
        let denied = Err("policy.program_denied".to_owned());
        let script = json!({"command": "true", "shell": true});
        assert_eq!(run(json!({"command": "true"}), Policy::deny_all()).await, denied);
        assert_eq!(run(json!({"command": "true"}), only("true")).await, Ok(()));
        assert_eq!(run(script.clone(), only("true")).await, denied);
        assert_eq!(run(script, only("/bin/sh")).await, Ok(()));
        let elsewhere = json!({"command": "true", "workdir": "/etc"});
        assert_eq!(run(elsewhere, only("true")).await, Err("policy.path_denied".to_owned()));
    }

    #[tokio::test]
    async fn errors_do_not_name_secrets() {
        for (key, policy) in [
            ("command", Policy::deny_all()),
            ("command", Policy::allow_all("/")),
            ("workdir", Policy::allow_all("/").read(Access::None)),
            ("workdir", Policy::allow_all("/")),
        ] {
            let mut config = object(json!({"command": "true"}));
            config.insert(key, Value::from("s3cret").tainted()).unwrap();
            let ctx = NodeContext::builder().config(config).policy(policy).build();
            let error = node(&ExecFactory).execute(ctx).await.unwrap_err();
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
