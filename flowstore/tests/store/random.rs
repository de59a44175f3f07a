//! The same random calls, given to a store and to the one in memory: every answer is the same, and so
//! is what is there in the end.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowcore::{EVENT_FORMAT, ExecutionError, ExecutionStatus, Timestamp};
use flowruntime::store::{
    Append, Cursor, Definition, MemoryStore, Message, NewExecution, OwnerId, Progress, Query,
    Retention, Store,
};
use flowstore::Access;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::kinds::Place;
use crate::stage::{
    at, blob, definition, digest, id, key, line, message, new, project, workflow_id,
};

/// How many sequences; `FLOW_PROPERTY_CASES` asks for more, `FLOW_PROPERTY_SEED` for others.
const CASES: u32 = 200;

/// What the answers show, or the calls are not worth much.
const OF_NOTE: [&str; 14] = [
    "Ok(New)",
    "Ok(Existing(",
    "KeyConflict",
    "Ok(Committed), Ok(Committed)",
    "Ok(Fenced)",
    "Ok(OutOfOrder",
    "Ok(false)",
    "Ok(Some(Claim",
    "executions: [Claim",
    "next_at: Some",
    "Ok(Kept)",
    "Ok(Finished)",
    "Ok(NotFound)",
    "executions: 2, ",
];

/// How many executions there are at most.
const EXECUTIONS: u64 = 6;
const OWNERS: usize = 4;

/// A call; owners are positions in the list of those that have entered.
#[derive(Debug, Clone)]
enum Call {
    Create { execution: Box<NewExecution>, owner: Option<usize> },
    Append { append: Change, at_once: usize },
    Enter,
    Renew(usize),
    Leave(usize),
    Claim { owner: usize, now: i64, limit: usize },
    ClaimOne { owner: usize, execution: u64 },
    Send { execution: u64, message: Message },
    Inbox(usize),
    Read { execution: u64, after: u64, limit: usize },
    List(Query),
    Prune(Retention, i64),
}

/// An append, told by how it differs from the one that would be right.
#[derive(Debug, Clone)]
struct Change {
    execution: u64,
    fence: i64,
    first_seq: i64,
    count: u64,
    text: u8,
    blobs: Vec<u8>,
    taken: Vec<u64>,
    lines: usize,
    progress: Progress,
}

fn executions() -> impl Strategy<Value = u64> {
    0..EXECUTIONS
}

/// Mostly the first, and sometimes one of the others.
fn mostly<T: Clone + Debug + 'static>(first: T, others: Vec<T>) -> impl Strategy<Value = T> {
    prop_oneof![6 => Just(first), 1 => prop::sample::select(others)]
}

fn seconds() -> impl Strategy<Value = i64> {
    0_i64..12
}

fn times() -> impl Strategy<Value = Option<Timestamp>> {
    prop::option::of(seconds().prop_map(at))
}

fn text(number: u8) -> String {
    format!("text {number}")
}

fn creates() -> impl Strategy<Value = Call> {
    let keys = prop::option::weighted(0.4, (0_u8..3, mostly(0_u8, vec![1])));
    let project_of = mostly("default", vec!["p"]);
    let of = (executions(), (project_of, 0_u8..2), 0_u8..2, keys, vec(0_u8..4, 0..3));
    // Some are weeks later, when keys are forgotten.
    let when = (seconds(), mostly(0_i64, vec![1, 2]));
    let rest = (
        prop::option::weighted(0.8, mostly(0, vec![1, 2, 3])),
        mostly(EVENT_FORMAT, vec![EVENT_FORMAT + 1]),
        prop::option::weighted(0.2, executions()),
    );
    (of, when, rest).prop_map(|(of, (second, weeks), (owner, format, rerun_of))| {
        let (number, (project_of, workflow), text_of, start_key, blobs) = of;
        let execution = NewExecution {
            project: project(project_of),
            workflow_id: workflow_id(&format!("w{workflow}")),
            version: (project_of == "p").then_some(u64::from(workflow)),
            definition: definition(&text(text_of)),
            start: vec![text_of, workflow],
            blobs: blobs.into_iter().map(|number| blob(&text(number))).collect(),
            key: start_key.and_then(|(name, print)| key(&text(name), &text(print))),
            rerun_of: rerun_of.map(id),
            created_at: at(second + weeks * 7 * 24 * 60 * 60),
            format,
            ..new(number)
        };
        Call::Create { execution: Box::new(execution), owner }
    })
}

fn progresses() -> impl Strategy<Value = Progress> {
    let statuses = vec![
        ExecutionStatus::Waiting,
        ExecutionStatus::Paused,
        ExecutionStatus::Queued,
        ExecutionStatus::Succeeded,
        ExecutionStatus::Failed,
        ExecutionStatus::Cancelled,
        ExecutionStatus::TimedOut,
    ];
    let error = ExecutionError {
        code: "a.b".to_owned(),
        message: "no".to_owned(),
        node: None,
        attempts: Some(1),
        hint: None,
    };
    let rest =
        (times(), seconds(), times(), prop::bool::weighted(0.3), prop::option::of(Just(error)));
    // Many end, so that some are there to be forgotten.
    let status =
        prop_oneof![2 => Just(ExecutionStatus::Running), 1 => prop::sample::select(statuses)];
    (status, rest).prop_map(|(status, (started_at, second, wake_at, release, error))| Progress {
        status,
        started_at,
        at: at(second),
        // Nobody lets one go that has not begun without saying that it is due.
        wake_at: wake_at
            .or_else(|| (release && status == ExecutionStatus::Queued).then(|| at(second))),
        release,
        error,
    })
}

fn appends() -> impl Strategy<Value = Call> {
    let what = (executions(), mostly(0_i64, vec![-1, 1]), mostly(0_i64, vec![-3, -2, -1, 1]));
    let holds =
        (0_u64..4, mostly(0_u8, vec![1]), vec(0_u8..4, 0..3), vec(0_u64..4, 0..3), 0..3_usize);
    (what, holds, progresses(), 1..4_usize).prop_map(|(what, holds, progress, at_once)| {
        let (execution, fence, first_seq) = what;
        let (count, text, blobs, taken, lines) = holds;
        let append =
            Change { execution, fence, first_seq, count, text, blobs, taken, lines, progress };
        Call::Append { append, at_once }
    })
}

fn queries() -> impl Strategy<Value = Query> {
    let statuses = prop::sample::subsequence(
        vec![
            ExecutionStatus::Queued,
            ExecutionStatus::Running,
            ExecutionStatus::Waiting,
            ExecutionStatus::Succeeded,
            ExecutionStatus::Failed,
        ],
        0..4,
    );
    let after = prop::option::of((seconds(), executions()));
    let workflow = prop::option::of(0..3);
    let of = (mostly("default", vec!["p"]), workflow);
    (of, statuses, times(), times(), after, 0..9_usize).prop_map(
        |((of, workflow), statuses, created_from, created_before, after, limit)| Query {
            project: project(of),
            workflow_id: workflow.map(|number| workflow_id(&format!("w{number}"))),
            statuses,
            created_from,
            created_before,
            // Some ask for what has ended since.
            ended_from: created_from.filter(|_| limit % 3 == 0),
            after: after.map(|(second, number)| Cursor { created_at: at(second), id: id(number) }),
            limit,
        },
    )
}

fn retentions() -> impl Strategy<Value = Retention> {
    let max_age = prop::option::of((0_u64..12).prop_map(Duration::from_secs));
    let max_count = prop::option::of(mostly(0, vec![1, 2, 3]));
    (max_age, max_count).prop_map(|(max_age, max_count)| Retention { max_age, max_count })
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let owners = || 0..OWNERS;
    let messages = (0_u64..4, seconds(), 0_u8..2).prop_map(|(number, second, body)| Message {
        at: at(second),
        body: vec![body],
        ..message(number)
    });
    let call = prop_oneof![
        4 => creates(),
        8 => appends(),
        1 => Just(Call::Enter),
        1 => owners().prop_map(Call::Renew),
        1 => owners().prop_map(Call::Leave),
        3 => (owners(), seconds(), 0..4_usize)
            .prop_map(|(owner, now, limit)| Call::Claim { owner, now, limit }),
        3 => (owners(), executions())
            .prop_map(|(owner, execution)| Call::ClaimOne { owner, execution }),
        3 => (executions(), messages)
            .prop_map(|(execution, message)| Call::Send { execution, message }),
        1 => owners().prop_map(Call::Inbox),
        1 => (executions(), 0_u64..5, 0..4_usize)
            .prop_map(|(execution, after, limit)| Call::Read { execution, after, limit }),
        2 => queries().prop_map(Call::List),
        3 => (retentions(), seconds()).prop_map(|(retention, now)| Call::Prune(retention, now)),
    ];
    vec(call, 1..60)
}

/// A store, and who has entered it.
struct World {
    store: Arc<dyn Store>,
    owners: Vec<OwnerId>,
}

impl World {
    async fn new(store: Arc<dyn Store>) -> Self {
        let mut world = Self { store, owners: Vec::new() };
        for _ in 0..2 {
            world.enter().await;
        }
        world
    }

    async fn enter(&mut self) {
        self.owners.push(self.store.enter().await.unwrap().id);
    }

    /// One that has not entered yet is unknown to the store.
    fn owner(&self, position: usize) -> OwnerId {
        self.owners.get(position).copied().unwrap_or(OwnerId(uuid::Uuid::nil()))
    }

    /// What there is to read, without the ids of owners.
    fn shown(&self, what: &impl Debug) -> String {
        let mut text = format!("{what:?}");
        for (position, owner) in self.owners.iter().enumerate() {
            text = text.replace(&owner.to_string(), &format!("owner {position}"));
        }
        text
    }

    /// Makes a call; `append` is what an append comes to.
    async fn answer(&mut self, call: &Call, appends: Vec<Append>) -> String {
        let store = self.store.clone();
        match call {
            Call::Create { execution, owner } => {
                let owner = owner.map(|position| self.owner(position));
                self.shown(&store.create(NewExecution { owner, ..(**execution).clone() }).await)
            }
            Call::Append { .. } => {
                let answers: Vec<_> =
                    appends.into_iter().map(|append| store.append(append)).collect();
                self.shown(&futures_util::future::join_all(answers).await)
            }
            Call::Enter => {
                self.enter().await;
                String::new()
            }
            Call::Renew(owner) => self.shown(&store.renew(self.owner(*owner)).await),
            Call::Leave(owner) => self.shown(&store.leave(self.owner(*owner)).await),
            Call::Claim { owner, now, limit } => {
                self.shown(&store.claim(self.owner(*owner), at(*now), *limit).await)
            }
            Call::ClaimOne { owner, execution } => {
                self.shown(&store.claim_one(self.owner(*owner), id(*execution)).await)
            }
            Call::Send { execution, message } => {
                self.shown(&store.send(id(*execution), message.clone(), None).await)
            }
            Call::Inbox(owner) => {
                let mut inbox = store.inbox(self.owner(*owner)).await.unwrap();
                let is_sorted = inbox.is_sorted_by_key(|(_, message)| (message.at, message.id));
                assert!(is_sorted, "{inbox:?}");
                // Those of one time and id are in any order.
                inbox.sort_by_key(|(execution, message)| (message.at, message.id, *execution));
                self.shown(&inbox)
            }
            Call::Read { execution, after, limit } => {
                let segments = store.segments(id(*execution), *after, *limit).await;
                let logs = store.logs(id(*execution), *after, *limit).await;
                self.shown(&(segments, logs, store.messages(id(*execution)).await))
            }
            Call::List(query) => {
                let rows = store.executions(query).await;
                let queued = store.queued(&query.project, query.limit).await;
                // Each is known up to an event that it may be beyond.
                let known: Vec<_> = (0..9).map(|number| (id(number), number % 4)).collect();
                let mut gone_on = store.gone_on(&known).await.unwrap();
                gone_on.sort_by_key(|row| row.id);
                self.shown(&(rows, queued, gone_on))
            }
            Call::Prune(retention, now) => {
                let before = store.prunable(retention, at(*now)).await;
                self.shown(&(before, store.prune(retention, at(*now)).await))
            }
        }
    }

    /// Everything that is there.
    async fn everything(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for name in ["default", "p"] {
            let all = Query { project: project(name), limit: usize::MAX, ..Query::default() };
            rows.extend(self.store.executions(&all).await.unwrap());
        }
        let mut found = Vec::new();
        for row in rows {
            let kept = self.store.load(row.id).await;
            let messages = self.store.messages(row.id).await;
            let logs = self.store.logs(row.id, 0, usize::MAX).await;
            assert_eq!(self.store.execution(row.id).await, Ok(Some(row.clone())));
            assert_eq!(kept.as_ref().unwrap().as_ref().unwrap().row, row);
            found.push(self.shown(&(kept, messages, logs)));
        }
        let texts = (0..4).map(text);
        let digests: Vec<_> = texts.map(|text| digest(&text)).collect();
        found.push(self.shown(&self.store.blobs(&digests).await));
        for digest in digests {
            let definition: Option<Arc<Definition>> = self.store.definition(digest).await.unwrap();
            found.push(self.shown(&definition));
        }
        found
    }
}

/// The appends that a change comes to: those at once follow each other.
async fn resolve(change: &Change, at_once: usize, model: &dyn Store) -> Vec<Append> {
    let row = model.execution(id(change.execution)).await.unwrap();
    let (fence, last_seq) = row.map_or((1, 0), |row| (row.fence, row.last_seq));
    let kept = model.load(id(change.execution)).await.unwrap();
    let mut first_line = kept.map_or(1, |kept| kept.last_line + 1);
    let mut first_seq = (last_seq + 1).saturating_add_signed(change.first_seq);
    let mut appends = Vec::new();
    for position in 1..=at_once {
        let is_last = position == at_once;
        let last_seq = (first_seq + change.count).saturating_sub(1);
        appends.push(Append {
            execution: id(change.execution),
            fence: fence.saturating_add_signed(change.fence),
            first_seq,
            last_seq,
            // What a repetition may find again.
            segment: vec![change.text; usize::try_from(change.count).unwrap()],
            blobs: change.blobs.iter().map(|number| blob(&text(*number))).collect(),
            taken: change.taken.iter().map(|number| message(*number).id).collect(),
            first_line,
            logs: (0..change.lines).map(|number| line(&format!("line {number}"))).collect(),
            progress: Progress {
                release: change.progress.release && is_last,
                ..change.progress.clone()
            },
        });
        first_seq += change.count;
        first_line += change.lines as u64;
    }
    appends
}

/// Gives the answers.
async fn compare(calls: &[Call], place: Place) -> Vec<String> {
    let mut answers = Vec::new();
    let mut model = World::new(Arc::new(MemoryStore::new())).await;
    let mut store = World::new((place.open)(Access::Execute).await).await;
    for (position, call) in calls.iter().enumerate() {
        let appends = match call {
            Call::Append { append, at_once } => resolve(append, *at_once, &*model.store).await,
            _ => Vec::new(),
        };
        let expected = model.answer(call, appends.clone()).await;
        let found = store.answer(call, appends.clone()).await;
        assert_eq!(found, expected, "call {position}: {call:?} {appends:?}");
        answers.push(found);
    }
    assert_eq!(store.everything().await, model.everything().await);
    answers
}

/// Checks a kind of store; `fresh` gives an empty one, or `None` where it cannot be tested.
pub(crate) fn agrees<F: Future<Output = Option<Place>>>(fresh: impl Fn() -> F) {
    run(&calls(), &OF_NOTE, fresh, compare);
}

/// Tries sequences of calls, each with a store of its own; `compare` gives the answers.
pub(crate) fn run<C: Debug, P, F: Future<Output = Option<P>>>(
    calls: &impl Strategy<Value = Vec<C>>,
    of_note: &[&str],
    fresh: impl Fn() -> F,
    compare: impl AsyncFn(&[C], P) -> Vec<String>,
) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect(name));
    let seed: u32 = number("FLOW_PROPERTY_SEED").unwrap_or(0);
    let cases = number("FLOW_PROPERTY_CASES").unwrap_or(CASES);
    let mut bytes = [9; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let is_missing = AtomicBool::new(false);
    let unseen = Mutex::new(of_note.to_vec());
    let result = TestRunner::new_with_rng(config, rng).run(calls, |calls| {
        if is_missing.load(Ordering::Relaxed) {
            return Ok(());
        }
        runtime.block_on(async {
            match fresh().await {
                Some(place) => {
                    let answers = compare(&calls, place).await;
                    let is_seen = |what: &str| answers.iter().any(|answer| answer.contains(what));
                    unseen.lock().unwrap().retain(|what| !is_seen(what));
                }
                None => is_missing.store(true, Ordering::Relaxed),
            }
        });
        Ok(())
    });
    if let Err(failed) = result {
        panic!("FLOW_PROPERTY_SEED={seed} FLOW_PROPERTY_CASES={cases}: {failed}");
    }
    let unseen = unseen.into_inner().unwrap();
    let is_enough = cases < CASES || is_missing.into_inner() || unseen.is_empty();
    assert!(is_enough, "no answer shows {unseen:?}");
}
