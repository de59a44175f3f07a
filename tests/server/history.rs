//! A store with a long history.

use std::time::{Duration, Instant};

use flowserver::documents::{Execution, ExecutionSummary, Page};
use serde_json::json;

use crate::site::Site;
use crate::workload::scale;

/// How many ended executions there are, unless `FLOW_HISTORY` says otherwise.
const ENDED: usize = 20_000;

/// How many are kept when there is a limit.
const KEPT: usize = 5_000;

/// What is kept every so often has failed.
const FAILED_EVERY: usize = 10;

/// The id of one that was put into the tables.
fn id_of(number: usize) -> String {
    format!("01900000-0000-7000-8000-{number:012x}")
}

/// Puts copies of the only execution in the store into its tables; one with a higher number is newer.
fn fill(site: &Site, count: usize) {
    let mut db = rusqlite::Connection::open(site.data().join("flow.db")).unwrap();
    let transaction = db.transaction().unwrap();
    let columns = "workflow, definition, fence, owner, last_seq, wake_at, due_at, error, rerun_of, \
                   format, key, project, version";
    let copies = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1 - 1)
         INSERT INTO executions (id, status, created_at, started_at, ended_at, {columns})
         SELECT unhex(printf('01900000000070008000%012x', n)), iif(n % ?2 = 0, 5, 4),
           created_at - (?1 - n) * 1000, created_at - (?1 - n) * 1000, created_at - (?1 - n) * 1000,
           {columns}
         FROM numbers CROSS JOIN executions WHERE number = 1"
    );
    let bounds = [count, FAILED_EVERY].map(|number| i64::try_from(number).unwrap());
    transaction.execute(&copies, bounds).unwrap();
    let journals = "INSERT INTO segments SELECT e.number, s.first_seq, s.last_seq, s.bytes
         FROM executions e CROSS JOIN segments s WHERE e.number > 1 AND s.execution = 1";
    transaction.execute(journals, []).unwrap();
    transaction.commit().unwrap();
}

/// The ids of a list, part by part.
fn list(site: &Site, query: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/executions?limit=500{query}{cursor}");
        let page: Page<ExecutionSummary> = site.get(&path).expect(200).read();
        all.extend(page.items.into_iter().map(|one| one.id));
        let Some(next) = page.next_cursor else { return all };
        cursor = format!("&cursor={next}");
    }
}

/// A server with a long history, that does not run.
fn with_history(count: usize) -> (Site, String) {
    let mut site = Site::new();
    let double = json!({
        "id": "double",
        "inputs": {"n": {"type": "integer"}},
        "nodes": [{"id": "twice", "node_type": "debug.log", "config": {"message": "{{ inputs.n * 2 }}"}}],
        "outputs": {"twice": "{{ nodes.twice.message }}"},
    });
    site.post("/api/v1/workflows", &double).expect(201);
    let id = site.execute("double", json!({"n": 1}));
    site.end_of(&id);
    site.signal("TERM");
    site.wait();
    fill(&site, count);
    (site, id)
}

#[test]
fn f24_lists_of_a_long_history_are_right_at_every_cursor() {
    let count = scale("FLOW_HISTORY", ENDED);
    let (mut site, newest) = with_history(count);
    site.start(&[]);
    let old = |holds: fn(usize) -> bool| (0..count).rev().filter(move |n| holds(*n)).map(id_of);
    let all: Vec<String> = [newest.clone()].into_iter().chain(old(|_| true)).collect();
    assert!(list(&site, "") == all);
    assert!(list(&site, "&workflow=double") == all);
    let failed: Vec<String> = old(|n| n % FAILED_EVERY == 0).collect();
    assert!(list(&site, "&status=failed") == failed);
    let succeeded = [newest].into_iter().chain(old(|n| n % FAILED_EVERY != 0));
    assert!(list(&site, "&status=succeeded") == succeeded.collect::<Vec<_>>());
    assert_eq!(list(&site, "&status=running,queued,waiting"), [""; 0]);
}

#[test]
fn f24_old_executions_are_forgotten_beside_new_ones() {
    let count = scale("FLOW_HISTORY", ENDED);
    let (mut site, _) = with_history(count);
    site.start(&["--keep-executions", &KEPT.to_string()]);
    // The oldest go first, so this one goes last.
    let last = format!("/api/v1/executions/{}", id_of(count - KEPT));
    let (began, mut n) = (Instant::now(), 0);
    while site.get(&last).status != 404 {
        let path = "/api/v1/workflows/double/execute?wait=60s";
        let ended: Execution = site.post(path, &json!({"inputs": {"n": n}})).expect(200).read();
        assert_eq!(ended.outputs, json!({"twice": 2 * n}));
        n += 1;
        // It takes as long as there is to forget.
        assert!(began.elapsed() < Duration::from_secs(60 + count as u64 / 100));
    }
    let left = list(&site, "");
    assert!(left.len() <= KEPT + n + 1, "{}", left.len());
    assert!(left.len() >= KEPT, "{}", left.len());
    // What is left of the old ones is the newest of them, without a gap.
    let old: Vec<&String> = left.iter().skip(n + 1).collect();
    let expected: Vec<String> = (0..count).rev().take(old.len()).map(id_of).collect();
    assert!(old.into_iter().eq(&expected));
}
