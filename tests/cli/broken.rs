//! An execution that a bug in Flow has paused.

use std::sync::Arc;

use flowcore::{Event, ExecutionStatus, PauseReason, Record, Timestamp};
use flowruntime::store::{Append, Appended, Progress, Query, Store};
use flowstore::{Access, StoreUrl};

use super::site::{Site, args};

/// Adds the event with which a driver leaves what it cannot go on from.
async fn break_execution(url: &StoreUrl) {
    let store: Arc<dyn Store> = flowstore::open(url, Access::Execute).await.unwrap();
    let row = store.executions(&Query::default()).await.unwrap().remove(0);
    let owner = store.enter().await.unwrap().id;
    let claim = store.claim_one(owner, row.id).await.unwrap().unwrap();
    let dump: String = (1..=20).map(|line| format!("line {line} of the dump\n")).collect();
    let event = Event::Paused {
        reason: PauseReason::ImpossibleFact,
        by: None,
        node: None,
        dump: Some(dump.into()),
    };
    let at = Timestamp::from_millis(1_790_000_000_000);
    let seq = row.last_seq + 1;
    let append = Append {
        execution: row.id,
        fence: claim.fence,
        first_seq: seq,
        last_seq: seq,
        segment: serde_json::to_vec(&[Record { seq, at, event }]).unwrap(),
        blobs: Vec::new(),
        taken: Vec::new(),
        first_line: 1,
        logs: Vec::new(),
        progress: Progress {
            status: ExecutionStatus::Paused,
            started_at: None,
            at,
            wake_at: None,
            release: true,
            error: None,
        },
    };
    assert_eq!(store.append(append).await, Ok(Appended::Committed));
}

#[test]
fn what_a_bug_has_paused_is_shown_with_its_dump_and_goes_on() {
    let site = Site::new();
    let mut run = site.start(&args(&["run", "signal.json"]));
    run.wait_for("waits");
    run.signal("KILL");
    run.end();
    let url = format!("sqlite://{}", site.path().join("flow.db").display());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(break_execution(&url.parse().unwrap()));

    let id = site.only_id();
    let shown = site.check(&args(&["executions", "show", &id]), 0, &[]).out;
    assert!(shown.contains("paused    impossible_fact [runtime.impossible_fact]"), "{shown}");
    assert!(shown.contains("line 8 of the dump\n") && !shown.contains("line 9"), "{shown}");
    assert!(shown.contains("12 more lines: `--full` shows them"), "{shown}");
    let all = site.check(&args(&["executions", "show", &id, "--full"]), 0, &[]).out;
    assert!(all.contains("line 20 of the dump\n"), "{all}");
    let json = site.json(&args(&["executions", "show", &id, "--output", "json"]));
    assert_eq!(json["status"], "Paused");
    assert_eq!(json["paused"]["code"], "runtime.impossible_fact");
    assert!(json["paused"]["dump"].as_str().unwrap().ends_with("line 20 of the dump\n"));

    let resume = ["executions", "resume", &id, "--signal", "paid=1"];
    site.check(&args(&resume), 0, &["resumed"]);
    let json = site.json(&args(&["executions", "show", &id, "--output", "json"]));
    assert_eq!((&json["status"], json.get("paused")), (&"Succeeded".into(), None));
}
