//! What the end of a program means for the node.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;

use flowcore::{CancelReason, NodeError, NodeOutput, Value};

use crate::content::{read_json_yielding, text_or_bytes};
use crate::error::with_cause;

/// How much of standard error a failure shows.
const SHOWN_LINES: usize = 10;
const SHOWN_BYTES: usize = 2048;

/// A program that has ended.
pub(super) struct Ended {
    /// How.
    pub(super) status: ExitStatus,
    /// All that it wrote to standard output.
    pub(super) stdout: Vec<u8>,
    /// All that it wrote to standard error.
    pub(super) stderr: Vec<u8>,
    /// How errors name it.
    pub(super) shown: String,
}

/// The outputs, or the failure if the program failed and that counts.
pub(super) async fn output(ended: Ended, fail_on_error: bool) -> Result<NodeOutput, NodeError> {
    let Ended { status, stdout, stderr, shown } = ended;
    if fail_on_error && !status.success() {
        return Err(failed(status, &stderr, &shown));
    }
    let stdout = text_or_bytes(stdout);
    let output = NodeOutput::of("output", parsed(&stdout).await)
        .with("stdout", stdout)
        .with("stderr", text_or_bytes(stderr))
        .with("exit_code", exit_code(status))
        .with("success", status.success());
    Ok(output)
}

/// The attempt was told to stop.
pub(super) fn cancelled(shown: &str, reason: CancelReason) -> NodeError {
    NodeError::new("node.cancelled", format!("{shown} was stopped: {reason}"))
}

/// The program wrote too much and was killed.
pub(super) fn too_large(shown: &str, limit: usize) -> NodeError {
    let message = format!("{shown} wrote more than {limit} bytes and was killed");
    NodeError::new("shell.output_too_large", message)
        .with_hint("let it write to a file, or raise `max_output_bytes`")
}

/// As shells have it: 128 and the number of the signal.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn failed(status: ExitStatus, stderr: &[u8], shown: &str) -> NodeError {
    let error = match status.code() {
        Some(code) => {
            NodeError::retryable("shell.exit", format!("{shown} exited with code {code}"))
                .with_hint("with `fail_on_error` off, the node succeeds and gives the `exit_code`")
        }
        // `signal: 9 (SIGKILL)`
        None => NodeError::retryable("shell.signal", format!("{shown} was ended by {status}")),
    };
    with_cause(error, &last_lines(stderr))
}

/// The end of what was written, in whole lines where it is long.
fn last_lines(bytes: &[u8]) -> String {
    let cut = bytes.len().saturating_sub(SHOWN_BYTES);
    let text = String::from_utf8_lossy(&bytes[cut..]);
    let text = text.trim_end();
    let whole = match text.find('\n') {
        Some(end) if cut > 0 => &text[end + 1..],
        _ => text,
    };
    let lines: Vec<&str> = whole.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// Standard output as a value if it is JSON, else without its final newline.
async fn parsed(stdout: &Value) -> Value {
    let Value::String(text) = stdout else { return stdout.clone() };
    match read_json_yielding(text.clone()).await {
        Ok(value) if is_exact(&value, text) => value,
        _ => Value::String(without_newline(text)),
    }
}

/// A version such as `1.10` is no number: it would lose its zero.
fn is_exact(value: &Value, text: &str) -> bool {
    value.as_number().is_none_or(|number| number.to_string() == text.trim())
}

fn without_newline(text: &Arc<str>) -> Arc<str> {
    match text.strip_suffix('\n') {
        Some(line) => Arc::from(line.strip_suffix('\r').unwrap_or(line)),
        None => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use flowcore::value::read_json;

    use super::*;

    #[tokio::test]
    async fn standard_output_is_parsed_when_nothing_is_lost() {
        for (text, expected) in [
            ("{\"b\":1,\n\"a\":[2]}\n", r#"{"b":1,"a":[2]}"#),
            ("42\n", "42"),
            ("1.5", "1.5"),
            ("null\n", "null"),
            ("1.10\n", r#""1.10""#),
            ("1e3\n", r#""1e3""#),
            ("123456789012345678901\n", r#""123456789012345678901""#),
            ("007\r\n", r#""007""#),
            ("a\n\n", r#""a\n""#),
            ("", r#""""#),
            ("{} {}\n", r#""{} {}""#),
        ] {
            let value = parsed(&Value::from(text)).await;
            assert_eq!(value, read_json(expected).unwrap(), "{text:?}");
        }
        let bytes = Value::from(vec![0xff_u8, b'\n']);
        assert_eq!(parsed(&bytes).await, bytes);
    }

    #[test]
    fn the_end_of_standard_error_is_shown() {
        assert_eq!(last_lines(b""), "");
        assert_eq!(last_lines(b"one\n\n two\n\n"), "one\n\n two");
        let many: String = (1..=20).map(|line| format!("{line}\n")).collect();
        assert!(last_lines(many.as_bytes()).starts_with("11\n12\n"));
        let long = format!("{}\nlast", "x".repeat(SHOWN_BYTES));
        assert_eq!(last_lines(long.as_bytes()), "last");
        assert_eq!(last_lines(&vec![b'x'; 2 * SHOWN_BYTES]).len(), SHOWN_BYTES);
    }
}
