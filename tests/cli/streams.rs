//! Standard output as a stream: slow readers, readers that go away, and full disks.

use std::io::{BufRead, BufReader, Read};

use super::support::{data, flowcli};

/// A chain of this many nodes that do nothing.
fn chain(nodes: usize) -> String {
    let node = |index: usize| {
        let message = match index {
            0 => "0".to_owned(),
            _ => format!("\"{{{{ nodes.n{}.message }}}}\"", index - 1),
        };
        format!(
            r#"{{"id": "n{index}", "node_type": "debug.log", "config": {{"message": {message}}}}}"#
        )
    };
    format!("{{\"nodes\": [{}]}}", (0..nodes).map(node).collect::<Vec<_>>().join(",\n"))
}

fn write_chain(nodes: usize) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chain.json");
    std::fs::write(&file, chain(nodes)).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (folder, name)
}

#[test]
fn a_slow_reader_gets_every_event() {
    let (_folder, file) = write_chain(2000);
    let mut child = flowcli(&data(), ["run", &file, "-q", "--output", "ndjson"]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    // The pipe and the queue are full long before a few bytes at a time are read.
    let mut text = String::new();
    for _ in 0..1000 {
        let mut bytes = [0; 7];
        output.read_exact(&mut bytes).unwrap();
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    output.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=2002).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["type"], "WorkflowCompleted");
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_ends_the_execution() {
    let arguments = ["run", "slow.json", "--output", "ndjson"];
    let mut child = flowcli(&data(), arguments).spawn().unwrap();
    let mut first = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut first).unwrap();
    assert!(first.contains("WorkflowStarted"), "{first}");
    drop(output);
    // The next event finds the pipe closed; a signal brings one.
    let id = child.id().to_string();
    assert!(
        std::process::Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success()
    );
    let said = child.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(130));
    assert!(!String::from_utf8_lossy(&said.stderr).contains("error"), "{said:?}");
}

#[test]
fn reports_about_several_files_come_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both");
    let both = std::fs::File::create(&path).unwrap();
    let files = ["hello.json", "missing.json", "warning.json"];
    let mut command = flowcli(&data(), ["validate"].iter().chain(&files));
    let status = command.stdout(both.try_clone().unwrap()).stderr(both).status().unwrap();
    assert_eq!(status.code(), Some(4));
    let text = std::fs::read_to_string(path).unwrap();
    let places = files.map(|file| text.find(file).unwrap_or_else(|| panic!("{file}: {text}")));
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    for arguments in [&["nodes"][..], &["explain"], &["init", "-"], &["run", "hello.json"]] {
        let mut child = flowcli(&data(), arguments).spawn().unwrap();
        drop(child.stdout.take());
        let said = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&said.stderr).contains("error");
        assert!(said.status.success() && !errors, "{arguments:?}: {said:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let events = ["run", "hello.json", "--output", "ndjson"];
    for arguments in [&["nodes"][..], &["run", "hello.json"], &events, &["run", "--help"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let said = flowcli(&data(), arguments).stdout(full).output().unwrap();
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(1), "{arguments:?}");
        assert!(errors.contains("error[cli.output]: cannot write to standard output"), "{errors}");
    }
}
