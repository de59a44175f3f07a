//! Several servers on one store, with a clock of the test: whatever happens, a due time has at most
//! one execution, and none by a version that was replaced before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowcore::{DueTimes, NodeRegistry, ProjectId, Secrets, Timestamp, WorkflowId};
use flowruntime::FlowRuntime;
use flowstore::{Access, Change, Expect, Home};
use serde_json::{Value as Json, json};

use super::{Scheduler, ask};
use crate::app::{App, Setup};
use crate::audit;
use crate::secrets::KeptSecrets;
use crate::triggers::TriggerKey;
use crate::workflows;

type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// A store, and a clock that stands still.
struct Stage {
    _folder: tempfile::TempDir,
    home: Arc<dyn Home>,
    now: Arc<Mutex<Timestamp>>,
}

struct Server {
    app: Arc<App>,
    scheduler: Arc<Scheduler<Clock>>,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = flowstore::StoreUrl::Sqlite(folder.path().join("flow.db"));
        let home = flowstore::open_home(&url, Access::Execute).await.unwrap();
        let now = "2026-03-01T12:00:00.5Z".parse().unwrap();
        Self { _folder: folder, home, now: Arc::new(Mutex::new(now)) }
    }

    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn advance(&self, seconds: u64) {
        let mut now = self.now.lock().unwrap();
        *now = now.after(Duration::from_secs(seconds));
    }

    async fn server(&self) -> Server {
        let mut registry = NodeRegistry::new();
        flownodes::register_all(&mut registry);
        let runtime = FlowRuntime::builder().registry(registry).store(self.home.clone());
        let runtime = runtime.build().unwrap();
        let secrets = Arc::new(KeptSecrets::new(self.home.clone(), None, Secrets::default()));
        let app = App::new(runtime, self.home.clone(), secrets, Setup::default());
        let app = Arc::new(app);
        app.look().await.unwrap();
        let now = self.now.clone();
        let clock: Clock = Box::new(move || *now.lock().unwrap());
        Server { scheduler: Arc::new(Scheduler::new(app.clone(), clock)), app }
    }

    /// Saves a version of a workflow, or deletes it.
    async fn save(&self, id: &str, workflow: Option<Json>) {
        let change = Change {
            key: workflows::key(&ProjectId::default(), id),
            expect: Expect::Anything,
            body: workflow.map(|workflow| workflow.to_string().into_bytes()),
            keeps_earlier: true,
        };
        self.home.commit(self.now(), vec![change], Vec::new()).await.unwrap();
    }

    /// The audit log, the oldest first: action, schedule, due time and the whole.
    async fn log(&self) -> Vec<(String, String, Timestamp, Json)> {
        let rows = self.home.audit(Some(&ProjectId::default()), None, 100_000).await.unwrap();
        let read = |body: &str| {
            let entry: Json = serde_json::from_str(body).unwrap();
            let text = |name: &str| entry[name].as_str().map(str::to_owned);
            let due = text("due_at")?.parse().unwrap();
            Some((text("action")?, text("subject")?, due, entry))
        };
        rows.iter().rev().filter_map(|row| read(&row.entry.body)).collect()
    }

    /// The due times for which an execution was started.
    async fn started(&self) -> Vec<Timestamp> {
        let log = self.log().await;
        let started = log.into_iter().filter(|(action, ..)| action == "schedule.start");
        started.map(|(_, _, due, _)| due).collect()
    }
}

fn workflow(expression: &str, missed: &str, text: &str) -> Json {
    json!({
        "inputs": {"due": {"type": "string"}},
        "nodes": [{"id": "say", "node_type": "debug.log", "config": {"message": text}}],
        "triggers": [{
            "id": "tick",
            "type": "cron",
            "expression": expression,
            "timezone": "Europe/Oslo",
            "missed": missed,
            "due_time_input": "due",
        }],
        "settings": {"durability": "async"},
    })
}

fn key(workflow: &str) -> TriggerKey {
    TriggerKey {
        project: ProjectId::default(),
        workflow: WorkflowId::new(workflow).unwrap(),
        trigger: "tick".to_owned(),
    }
}

fn due_times(expression: &str, after: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let due = DueTimes::new(expression, Some("Europe/Oslo")).unwrap();
    let all = std::iter::successors(due.after(after), |last| due.after(*last));
    all.take_while(|moment| *moment <= until).collect()
}

#[tokio::test]
async fn a_version_that_is_noticed_late_brings_no_schedule_back() {
    let stage = Stage::new().await;
    let server = stage.server().await;
    stage.save("w", Some(workflow("* * * * *", "latest", "x"))).await;
    let late = stage.home.record(&workflows::key(&ProjectId::default(), "w")).await.unwrap();
    stage.save("w", Some(json!({"nodes": []}))).await;
    server.app.look().await.unwrap();
    server.app.schedules.notice(&late.unwrap());
    assert!(server.app.schedules.of(&ProjectId::default()).is_empty());
}

#[tokio::test]
async fn two_servers_start_each_due_time_once() {
    let stage = Stage::new().await;
    let (a, b) = (stage.server().await, stage.server().await);
    stage.save("w", Some(workflow("* * * * *", "latest", "x"))).await;
    let start = stage.now();
    for _ in 0..90 {
        stage.advance(20);
        a.app.look().await.unwrap();
        b.app.look().await.unwrap();
        tokio::join!(a.scheduler.step(), b.scheduler.step());
    }
    let expected = due_times("* * * * *", start, stage.now());
    assert_eq!((stage.started().await, expected.len()), (expected, 30));
    // What was started has the due time, and is told.
    let (_, state) = a.app.schedules.get(&key("w")).unwrap();
    let last = state.unwrap().runs[0].clone();
    let id = last.execution.unwrap().parse().unwrap();
    let (row, replay) = a.app.runtime.replay(id).await.unwrap().unwrap();
    assert_eq!(row.version, Some(1));
    let report = flowruntime::history::ExecutionReport::of(
        row,
        replay,
        flowruntime::history::Detail::Of(&[]),
    );
    let report = serde_json::to_value(report.unwrap()).unwrap();
    assert_eq!(report["inputs"]["due"], last.due_at.to_string());
}

#[tokio::test]
async fn missed_times_are_made_up_for_as_the_trigger_says() {
    for (missed, expected) in [("skip", 0), ("latest", 1), ("all", 5)] {
        let stage = Stage::new().await;
        stage.save("w", Some(workflow("0 * * * *", missed, "x"))).await;
        let before = stage.server().await;
        before.scheduler.step().await;
        drop(before);
        // The last one was five minutes ago.
        stage.advance(5 * 3600 + 300);
        let after = stage.server().await;
        after.scheduler.step().await;
        let started = stage.started().await;
        assert_eq!(started.len(), expected, "{missed}");
        let log = stage.log().await;
        let skipped: u64 = log
            .iter()
            .filter(|(action, ..)| action == "schedule.skip")
            .map(|(.., entry)| entry["count"].as_u64().unwrap())
            .sum();
        assert_eq!(skipped + expected as u64, 5, "{missed}");
        // Nothing is told twice.
        after.scheduler.step().await;
        assert_eq!(stage.log().await.len(), log.len());
    }
}

#[tokio::test]
async fn what_cannot_start_is_told_and_does_not_stop_others() {
    let stage = Stage::new().await;
    let mut broken = workflow("* * * * *", "latest", "x");
    broken["nodes"] =
        json!([{"id": "a", "node_type": "workflow.call", "config": {"workflow": "nowhere"}}]);
    stage.save("broken", Some(broken)).await;
    stage.save("good", Some(workflow("* * * * *", "latest", "x"))).await;
    let server = stage.server().await;
    server.scheduler.step().await;
    stage.advance(60);
    server.scheduler.step().await;
    let (_, state) = server.app.schedules.get(&key("broken")).unwrap();
    let run = state.unwrap().runs[0].clone();
    assert_eq!(run.outcome.as_str(), "failed");
    assert!(run.reason.unwrap().contains("call.not_found"));
    assert_eq!(stage.started().await.len(), 1);
}

#[tokio::test]
async fn a_workflow_that_is_deleted_leaves_nothing_behind() {
    let stage = Stage::new().await;
    stage.save("w", Some(workflow("* * * * *", "all", "x"))).await;
    let server = stage.server().await;
    server.scheduler.step().await;
    stage.advance(60);
    stage.save("w", None).await;
    server.app.look().await.unwrap();
    server.scheduler.step().await;
    let kept = stage.home.records(Some(&ProjectId::default()), "schedule", None, 10).await.unwrap();
    assert_eq!(kept, []);
    assert!(server.app.schedules.get(&key("w")).is_none());
    assert_eq!(server.app.schedules.next_look(), None);
    stage.advance(600);
    server.scheduler.step().await;
    assert_eq!(stage.started().await, []);
    // The same again counts from when it was saved.
    stage.save("w", Some(workflow("* * * * *", "all", "x"))).await;
    server.app.look().await.unwrap();
    stage.advance(60);
    server.scheduler.step().await;
    assert_eq!(stage.started().await.len(), 1);
}

/// The same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        let place = self.below(all.len() as u64);
        all[usize::try_from(place).unwrap()]
    }
}

/// What a workflow should have been up to.
#[derive(Default)]
struct History {
    /// When each version was saved, deletions included, from version 1.
    saved: Vec<Timestamp>,
    is_deleted: bool,
    /// Since when it is disabled.
    disabled: Option<Timestamp>,
    /// When it was disabled, and enabled again.
    pauses: Vec<(Timestamp, Timestamp)>,
    texts: u64,
}

const EXPRESSIONS: [&str; 5] =
    ["* * * * *", "*/2 * * * *", "30 * * * * *", "*/20 * * * * *", "0 13 * * *"];

async fn simulate(seed: u64, steps: usize) {
    let mut random = Random(seed);
    let stage = Stage::new().await;
    let mut servers = [stage.server().await, stage.server().await];
    let mut histories: BTreeMap<&str, History> =
        [("v", History::default()), ("w", History::default())].into();
    let mut expressions: BTreeMap<&str, &str> = [("v", "* * * * *"), ("w", "* * * * *")].into();
    for _ in 0..steps {
        let id = random.pick(&["v", "w"]);
        let history = histories.get_mut(id).unwrap();
        let server = usize::try_from(random.below(2)).unwrap();
        match random.below(13) {
            0..=3 => {
                // Another expression, or only another text.
                if random.below(2) == 0 || history.is_deleted {
                    expressions.insert(id, random.pick(&EXPRESSIONS));
                }
                history.texts += 1;
                let missed = random.pick(&["skip", "latest", "all"]);
                let text = format!("text {}", history.texts);
                stage.save(id, Some(workflow(expressions[id], missed, &text))).await;
                history.saved.push(stage.now());
                history.is_deleted = false;
            }
            4 if !history.saved.is_empty() && !history.is_deleted => {
                stage.save(id, None).await;
                history.saved.push(stage.now());
                history.is_deleted = true;
                // With it goes what an operator said.
                servers[server].app.look().await.unwrap();
                servers[server].scheduler.step().await;
                history.pauses.extend(history.disabled.take().map(|since| (since, stage.now())));
            }
            5 | 6 => {
                let entry = audit::own_entry("x", "x");
                let is_enabled = history.disabled.is_some();
                let app = &servers[server].app;
                let asked = ask(app, &key(id), is_enabled, stage.now(), &entry).await;
                match (asked.unwrap(), history.disabled.take()) {
                    (true, None) => history.disabled = Some(stage.now()),
                    (true, Some(since)) => history.pauses.push((since, stage.now())),
                    (false, since) => history.disabled = since,
                }
            }
            7 => servers[server] = stage.server().await,
            8 | 9 => {
                // It ends in the middle of something, as far as the store has got by then.
                stage.advance(60);
                let scheduler = servers[server].scheduler.clone();
                let task = tokio::spawn(async move { scheduler.step().await });
                for _ in 0..random.below(20) {
                    stage.home.changes_after(0, 1).await.unwrap();
                }
                task.abort();
                let _ = task.await;
                servers[server] = stage.server().await;
            }
            _ => {}
        }
        let longest = random.pick(&[30, 90, 600]);
        stage.advance(1 + random.below(longest));
        for server in &servers {
            // One that has not heard of a change yet goes by what it knows.
            if random.below(3) > 0 {
                server.app.look().await.unwrap();
            }
        }
        let [a, b] = &servers;
        tokio::join!(a.scheduler.step(), b.scheduler.step());
    }
    judge(&stage, &histories).await;
}

async fn judge(stage: &Stage, histories: &BTreeMap<&str, History>) {
    let (mut seen, mut count) = (BTreeSet::new(), 0);
    for (action, subject, due, entry) in stage.log().await {
        if action != "schedule.start" {
            continue;
        }
        count += 1;
        assert!(seen.insert((subject.clone(), due)), "{subject} was started twice for {due}");
        let history = &histories[subject.split('.').next().unwrap()];
        let version = usize::try_from(entry["version"].as_u64().unwrap()).unwrap();
        // The place of a version in the list is one less than its number.
        if let Some(replaced) = history.saved.get(version) {
            assert!(*replaced >= due, "{subject}: {due} by version {version}, which was replaced");
        }
        let is_paused = |(from, until): &(Timestamp, Timestamp)| *from < due && due <= *until;
        let open = history.disabled.map(|since| (since, stage.now()));
        let pauses = history.pauses.iter().chain(&open);
        assert!(pauses.into_iter().all(|pause| !is_paused(pause)), "{subject}: {due} in a pause");
    }
    assert!(count >= 5, "{count} executions show nothing");
}

#[tokio::test]
async fn f38_edits_restarts_and_crashes_start_nothing_twice_and_nothing_old() {
    let cases = std::env::var("FLOW_PROPERTY_CASES").ok().and_then(|text| text.parse().ok());
    let first = std::env::var("FLOW_PROPERTY_SEED").ok().and_then(|text| text.parse().ok());
    let first: u64 = first.unwrap_or(1);
    for seed in first..first + cases.unwrap_or(256_u64) / 64 {
        simulate(seed, 60).await;
    }
}
