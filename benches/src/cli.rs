//! The command line: what `flowcli run` takes beyond starting the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::options::Options;
use crate::report::Report;
use crate::targets;

/// A workflow of one node.
const WORKFLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tiny.json");

/// How often each command runs in one round.
const REPEAT: usize = 10;

/// Times `flowcli run` of a tiny workflow beside `flowcli --version`, each a process, in turns.
pub fn run(options: &Options, report: &mut Report) {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let program = build("flowcli", &["--manifest-path", manifest]);
    let rounds = if options.quick { 1 } else { options.runs * REPEAT };
    let (mut versions, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (time, output) = measure(&program, &["--version"]);
        assert!(output.stdout.starts_with(b"flowcli "), "{output:?}");
        versions.push(time);
        let (time, output) = measure(&program, &["run", WORKFLOW]);
        let outputs: Json = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        assert_eq!(outputs, json!({ "greeting": "Hello Ada!" }));
        runs.push(time);
    }
    report.table(
        "cli: a workflow of one node, a process for each run",
        &["command", "median", "best", "beyond `--version`", "target", ""],
    );
    let version = line(report, "flowcli --version", &mut versions, None);
    line(report, "flowcli run", &mut runs, Some(version));
}

/// Reports a command; gives its median.
fn line(
    report: &mut Report,
    command: &str,
    times: &mut [Duration],
    version: Option<Duration>,
) -> Duration {
    times.sort_unstable();
    let (median, best) = (times[times.len() / 2], times[0]);
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let beyond = version.map(|version| millis(median) - millis(version));
    let verdict = beyond.map(|beyond| {
        let what = format!("cli: {beyond:.1} ms beyond `--version` of {}", targets::CLI_MILLIS);
        report.target(what, beyond <= targets::CLI_MILLIS)
    });
    let cells = [
        command.to_owned(),
        format!("{:.1} ms", millis(median)),
        format!("{:.1} ms", millis(best)),
        beyond.map_or_else(String::new, |beyond| format!("{beyond:.1} ms")),
        beyond.map_or_else(String::new, |_| format!("{} ms", targets::CLI_MILLIS)),
        verdict.unwrap_or_default(),
    ];
    let figures = json!({
        "workload": "cli", "command": command, "runs": times.len(), "millis": millis(median),
        "beyond_version_millis": beyond,
        "target_millis": beyond.map(|_| targets::CLI_MILLIS),
    });
    report.line(&cells, figures);
    median
}

fn measure(program: &Path, arguments: &[&str]) -> (Duration, Output) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let began = Instant::now();
    let output = command.output().expect("flowcli can be started");
    let time = began.elapsed();
    assert!(output.status.success(), "{output:?}");
    (time, output)
}

/// Builds a program, unless it is built; gives its path.
pub fn build(program: &str, arguments: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"])
        .args(["-p", program])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{program} can be built");
    let messages = String::from_utf8(output.stdout).expect("cargo writes text");
    let path = messages.lines().find_map(|line| {
        let message: Json = serde_json::from_str(line).ok()?;
        let path = message["executable"].as_str()?;
        (message["target"]["name"] == program).then(|| PathBuf::from(path))
    });
    path.expect("cargo says where the program is")
}
