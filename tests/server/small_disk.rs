//! S30: a disk that is nearly full. Nothing more is started, and what runs goes on.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::json;

use crate::limits::soon;
use crate::site::Site;

/// How much stays free, in bytes: less than 5 % of the disk, and enough for what runs.
const LEFT: u64 = 20 << 20;

#[test]
fn s30_nothing_is_started_when_the_disk_is_nearly_full() {
    testkit::on_small_disk("512m", "small_disk::on_a_small_disk");
}

/// How many bytes are free.
fn free(folder: &Path) -> u64 {
    let room = rustix::fs::statvfs(folder).unwrap();
    room.f_bavail * room.f_frsize
}

/// What [`s30_nothing_is_started_when_the_disk_is_nearly_full`] runs where the disk is.
#[test]
fn on_a_small_disk() {
    let Some(folder) = testkit::small_disk() else { return };
    let site = Site::new();
    let nodes = json!([
        {"id": "go", "node_type": "wait.signal", "config": {"name": "go"}},
        {"id": "say", "node_type": "debug.log", "config": {"message": "{{ nodes.go.payload }}"}},
    ]);
    site.save("waits", nodes);
    let runs = site.execute("waits", json!({}));
    site.until(&runs, "NodeWaiting");
    let balloon = folder.join("balloon");
    let mut file = File::create(&balloon).unwrap();
    while free(&folder) > LEFT {
        file.write_all(&[1; 64 << 10]).unwrap();
    }
    let start = || site.post("/api/v1/workflows/waits/execute", &json!({}));
    let count = || site.get("/api/v1/executions").expect(200).json()["items"].clone();
    soon("a full disk is noticed", || {
        let answer = start();
        // Long before the store would find out.
        assert!(answer.status == 202 || answer.code() == "store.disk_low", "{answer:?}");
        answer.status != 202
    });
    let before = count();
    let answer = start().expect(503);
    assert_eq!(answer.code(), "store.disk_low");
    let problem = answer.json();
    assert!(problem["detail"].as_str().unwrap().contains("MiB free"), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("--min-free-disk"), "{problem}");
    assert_eq!(count(), before);
    // What was accepted before goes on, and everything can be read.
    site.post(&format!("/api/v1/executions/{runs}/signals/go"), &json!({"payload": 1})).expect(202);
    assert_eq!(site.end_of(&runs)["status"], "Succeeded");
    std::fs::remove_file(&balloon).unwrap();
    drop(file);
    soon("room is noticed", || start().status == 202);
}
