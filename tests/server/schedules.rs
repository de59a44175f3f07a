//! Schedules: cron triggers start executions, each due time once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flowcore::Timestamp;
use flowserver::documents::{Page, Schedule, ScheduleRun};
use serde_json::{Value as Json, json};

use crate::site::Site;

/// A schedule that starts nothing for so long never will.
const PATIENCE: Duration = Duration::from_secs(120);

/// A workflow that is due every second, and says when it was due.
fn ticks(id: &str) -> Json {
    json!({
        "id": id,
        "inputs": {"due": {"type": "string"}},
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": "{{ inputs.due }}"}}],
        "outputs": {"said": "{{ nodes.say.message }}"},
        "triggers": [
            {"id": "tick", "type": "cron", "expression": "* * * * * *", "due_time_input": "due"}
        ],
    })
}

fn runs(site: &Site, id: &str) -> Vec<ScheduleRun> {
    let path = format!("/api/v1/schedules/{id}/tick/runs");
    site.get(&path).expect(200).read::<Page<ScheduleRun>>().items
}

/// Waits until it was started this often; gives what became of its due times, the oldest first.
fn until_started(site: &Site, id: &str, count: usize) -> Vec<ScheduleRun> {
    let begin = Instant::now();
    loop {
        let mut found = runs(site, id);
        if found.iter().filter(|run| run.outcome == "started").count() >= count {
            found.reverse();
            return found;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{id} was not started {count} times: {found:?}\n{}",
            site.log()
        );
        std::thread::yield_now();
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Every second from the first to the last is told once.
#[track_caller]
fn check_whole(runs: &[ScheduleRun]) {
    let mut next = at(&runs[0].due_at);
    let second = Duration::from_secs(1);
    let mut executions = BTreeSet::new();
    for run in runs {
        assert_eq!(at(&run.due_at), next, "{runs:?}");
        let last = run.until.as_deref().map_or(next, at);
        assert_eq!(Some(last.since(next).as_secs() + 1), run.count, "{run:?}");
        next = last.after(second);
        match &run.execution_id {
            Some(id) => assert!(executions.insert(id), "{runs:?}"),
            None => assert!(run.outcome == "skipped" && run.reason.is_some(), "{run:?}"),
        }
    }
}

#[test]
fn due_times_are_executed_and_told() {
    let site = Site::new();
    site.post("/api/v1/workflows", &ticks("ticks")).expect(201);
    let runs = until_started(&site, "ticks", 2);
    check_whole(&runs);
    for run in runs.iter().filter(|run| run.outcome == "started") {
        let execution = site.end_of(run.execution_id.as_deref().unwrap());
        assert_eq!(execution["outputs"]["said"], run.due_at);
        assert_eq!(execution["version"], 1);
    }
    let listed: Page<Schedule> = site.get("/api/v1/schedules").expect(200).read();
    let [schedule] = &listed.items[..] else { panic!("{listed:?}") };
    assert_eq!((&*schedule.workflow_id, &*schedule.trigger), ("ticks", "tick"));
    assert_eq!((&*schedule.expression, &*schedule.timezone), ("* * * * * *", "UTC"));
    assert!(schedule.is_enabled && schedule.next_at.is_some() && schedule.last.is_some());
    let audit = site.get("/api/v1/audit?limit=500").expect(200).json();
    let entries = audit["items"].as_array().unwrap();
    let told = entries.iter().filter(|one| one["entry"]["action"] == "schedule.start");
    assert!(told.count() >= 2, "{audit}");
}

#[test]
fn one_that_is_disabled_or_deleted_starts_nothing_more() {
    let site = Site::new();
    for id in ["one", "two", "three"] {
        site.post("/api/v1/workflows", &ticks(id)).expect(201);
    }
    until_started(&site, "one", 1);
    until_started(&site, "two", 1);
    let disable = site.post("/api/v1/schedules/one/tick/disable", &json!({})).expect(200);
    let schedule: Schedule = disable.read();
    assert!(!schedule.is_enabled && schedule.next_at.is_none());
    site.request("DELETE", "/api/v1/workflows/two").send().expect(204);
    let started = |id: &str| {
        let all = site.get(&format!("/api/v1/executions?workflow={id}&limit=500")).expect(200);
        all.json()["items"].as_array().unwrap().len()
    };
    // What was about to start when it was disabled is there by the next due time of another.
    let count = runs(&site, "three").len();
    until_started(&site, "three", count + 2);
    let before = [started("one"), started("two")];
    let count = runs(&site, "three").len();
    until_started(&site, "three", count + 2);
    assert_eq!([started("one"), started("two")], before);
    let gone = site.get("/api/v1/schedules/two/tick");
    assert_eq!((gone.status, &*gone.code()), (404, "schedule.not_found"));

    let enable = site.post("/api/v1/schedules/one/tick/enable", &json!({})).expect(200);
    assert!(enable.read::<Schedule>().is_enabled);
    let count = runs(&site, "one").iter().filter(|run| run.outcome == "started").count();
    until_started(&site, "one", count + 1);
    let audit = site.get("/api/v1/audit?limit=500").expect(200).text();
    assert!(audit.contains("schedule.disable") && audit.contains("schedule.enable"));
}

#[test]
fn a_server_that_was_away_catches_up_with_the_latest() {
    let mut site = Site::new();
    site.post("/api/v1/workflows", &ticks("ticks")).expect(201);
    until_started(&site, "ticks", 1);
    site.kill();
    // The clock of another server.
    let other = Site::new();
    other.post("/api/v1/workflows", &ticks("clock")).expect(201);
    until_started(&other, "clock", 3);
    site.start(&[]);
    let begin = Instant::now();
    let found = loop {
        let mut found = runs(&site, "ticks");
        let late =
            |run: &ScheduleRun| run.reason.as_deref() == Some("missed: a later one was due, too");
        if found.iter().any(late) {
            found.reverse();
            break found;
        }
        assert!(begin.elapsed() < PATIENCE, "{found:?}");
        std::thread::yield_now();
    };
    check_whole(&found);
}

#[test]
fn triggers_are_checked_when_a_workflow_is_saved() {
    let site = Site::new();
    let mut bad = ticks("bad");
    bad["triggers"] = json!([{"type": "cron", "expression": "* * * * *"}]);
    let refused = site.post("/api/v1/workflows", &bad).expect(422);
    assert_eq!(refused.json()["errors"][0]["code"], "input.not_given");
    assert_eq!(refused.json()["errors"][0]["pointer"], "/triggers/0");
    let none: Page<Schedule> = site.get("/api/v1/schedules").expect(200).read();
    assert_eq!(none.items, []);
    for path in ["/api/v1/schedules/bad/tick", "/api/v1/schedules/a%20b/tick/runs"] {
        let unknown = site.get(path);
        assert_eq!((unknown.status, &*unknown.code()), (404, "schedule.not_found"));
    }
}
