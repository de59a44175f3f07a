//! The page about the server: what it says to type works.

use std::process::Command;

use crate::site::Site;

const PAGE: &str = include_str!("../../docs/server.md");

#[test]
fn the_commands_with_curl_do_what_the_page_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        return testkit::skipped("curl");
    }
    let site = Site::new();
    let section = PAGE.split("\n## ").find(|section| section.starts_with("With curl\n")).unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    let script = script
        .replace("flow-data/token", site.data().join("token").to_str().unwrap())
        .replace("127.0.0.1:8080", &site.address().to_string());
    let output = Command::new("sh").args(["-e", "-c", &script]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    for said in [
        r#""version":1"#,
        r#""outputs":{"n":42}"#,
        "event: NodeWaiting",
        "event: WorkflowCompleted",
        r#""outputs":{"n":200}"#,
    ] {
        assert!(text.contains(said), "{said} is not in:\n{text}");
    }
}
