//! The trace that a command is run in.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::json;

use super::support::flowcli;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The headers of traces with which a server is asked when a command has these variables.
fn asked(variables: &[(&str, &str)]) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        head.into_iter().filter(|line| line.starts_with("trace")).collect()
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ask.json");
    let ask = json!({"id": "ask", "node_type": "http.request", "config": {"url": url}});
    std::fs::write(&file, json!({"nodes": [ask]}).to_string()).unwrap();
    let mut command = flowcli(folder.path(), ["run", "ask.json"]);
    command.env_remove("TRACEPARENT").env_remove("TRACESTATE").envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.join().unwrap()
}

#[test]
fn a_command_passes_on_the_trace_that_it_is_run_in() {
    let mut headers = asked(&[("TRACEPARENT", PARENT), ("TRACESTATE", "a=b")]);
    headers.sort_unstable();
    assert_eq!(headers, [format!("traceparent: {PARENT}"), "tracestate: a=b".to_owned()]);
    assert_eq!(asked(&[]), [""; 0]);
    assert_eq!(asked(&[("TRACEPARENT", "nonsense")]), [""; 0]);
}
