//! What need not be kept goes.

use std::time::Duration;

use flowcore::ExecutionId;
use flowruntime::store::{
    Append, Created, KEY_LIFE, NewExecution, OwnerId, Pruned, Query, Retention,
};

use crate::stage::{Stage, append, at, blob, definition, digest, ended, id, key, line, new};

async fn end(stage: &Stage, owner: OwnerId, execution: NewExecution, seconds: i64) {
    let execution = NewExecution { owner: Some(owner), ..execution };
    let id = execution.id;
    assert_eq!(stage.store.create(execution).await, Ok(Created::New));
    stage.commit(Append { progress: ended(seconds), ..append(id, 1, 1) }).await;
}

async fn left(stage: &Stage) -> Vec<ExecutionId> {
    let query = Query { limit: usize::MAX, ..Query::default() };
    stage.store.executions(&query).await.unwrap().iter().map(|row| row.id).collect()
}

/// Forgets a few; gives how many.
async fn pruned(stage: &Stage, retention: Retention) -> u64 {
    stage.store.prune(&retention, at(400)).await.unwrap().executions
}

fn older(seconds: u64) -> Retention {
    Retention { max_age: Some(Duration::from_secs(seconds)), max_count: None }
}

fn newest(count: u64) -> Retention {
    Retention { max_age: None, max_count: Some(count) }
}

pub(crate) async fn those_that_ended_long_ago_go(stage: Stage) {
    let owner = stage.owner().await;
    for (number, seconds) in [(1, 300), (2, 100), (3, 200)] {
        end(&stage, owner, new(number), seconds).await;
    }
    stage.owned(4, owner).await;
    stage.store.create(new(5)).await.unwrap();
    let prune = async |retention: Retention, seconds| {
        stage.store.prune(&retention, at(seconds)).await.unwrap().executions
    };
    assert_eq!(prune(Retention::default(), 1_000_000).await, 0);
    assert_eq!(prune(older(1000), 1100).await, 0, "exactly as old");
    assert_eq!(prune(older(0), 50).await, 0, "a clock that goes back");
    assert_eq!(prune(older(1000), 1201).await, 2);
    assert_eq!(left(&stage).await, [5, 4, 1].map(id));
    assert_eq!(prune(older(0), 1_000_000).await, 1);
    assert_eq!(prune(older(0), 1_000_000).await, 0);
    assert_eq!(left(&stage).await, [5, 4].map(id));
}

pub(crate) async fn those_beyond_the_newest_go(stage: Stage) {
    let owner = stage.owner().await;
    // Those that ended last are the newest.
    for (number, seconds) in [(1, 300), (2, 100), (3, 200), (4, 200)] {
        end(&stage, owner, new(number), seconds).await;
    }
    stage.store.create(new(5)).await.unwrap();
    let prune = async |retention| pruned(&stage, retention).await;
    assert_eq!(prune(newest(4)).await, 0);
    assert_eq!(prune(newest(u64::MAX)).await, 0);
    assert_eq!(prune(newest(2)).await, 2);
    assert_eq!(left(&stage).await, [5, 4, 1].map(id));
    // Either is enough.
    let both = Retention { max_count: Some(1), ..older(1000) };
    assert_eq!(prune(both).await, 1);
    assert_eq!(left(&stage).await, [5, 1].map(id));
    let both = Retention { max_count: Some(7), ..older(50) };
    assert_eq!(prune(both).await, 1);
    assert_eq!(left(&stage).await, [id(5)]);
}

pub(crate) async fn what_only_they_have_goes_with_them(stage: Stage) {
    let owner = stage.owner().await;
    let with = |number, text: &str, blobs| NewExecution {
        definition: definition(text),
        blobs,
        key: key(&format!("key {number}"), "f"),
        ..new(number)
    };
    let first = with(1, "one", vec![blob("both"), blob("first")]);
    let second = with(2, "two", vec![blob("both")]);
    let third = with(3, "one", vec![]);
    for (execution, seconds) in [(first.clone(), 100), (second.clone(), 200), (third, 300)] {
        let id = execution.id;
        let owned = NewExecution { owner: Some(owner), ..execution };
        stage.store.create(owned).await.unwrap();
        let progress = ended(seconds);
        let (logs, blobs) = (vec![line("said")], vec![blob("written"), blob("first")]);
        let blobs = if seconds == 100 { blobs } else { vec![] };
        stage.commit(Append { progress, logs, blobs, ..append(id, 1, 1) }).await;
    }
    let digests = ["both", "first", "written"].map(digest);
    assert_eq!(pruned(&stage, newest(2)).await, 1);
    assert_eq!(stage.store.load(id(1)).await, Ok(None));
    assert_eq!(stage.store.logs(id(1), 0, 9).await, Ok(vec![]));
    assert_eq!(stage.store.segments(id(1), 0, 9).await, Ok(vec![]));
    assert_eq!(stage.store.blobs(&digests).await, Ok(vec![blob("both")]));
    assert_eq!(stage.store.definition(digest("one")).await, Ok(Some(definition("one"))));
    assert_eq!(pruned(&stage, newest(1)).await, 1);
    assert_eq!(stage.store.blobs(&digests).await, Ok(vec![]));
    assert_eq!(stage.store.definition(digest("two")).await, Ok(None));
    assert_eq!(stage.store.definition(digest("one")).await, Ok(Some(definition("one"))));
    assert_eq!(stage.store.logs(id(3), 0, 9).await.unwrap().len(), 1);
    // What is gone may come again.
    assert_eq!(stage.store.create(first).await, Ok(Created::New));
    assert_eq!(stage.store.create(second).await, Ok(Created::New));
    assert_eq!(stage.store.segments(id(1), 0, 9).await, Ok(vec![]));
    assert_eq!(stage.store.blobs(&digests).await, Ok(vec![blob("both"), blob("first")]));
    assert_eq!(pruned(&stage, newest(0)).await, 1);
    assert_eq!(stage.store.definition(digest("one")).await, Ok(Some(definition("one"))));
}

pub(crate) async fn a_key_that_another_has_by_now_stays(stage: Stage) {
    let owner = stage.owner().await;
    end(&stage, owner, NewExecution { key: key("k", "f"), ..new(1) }, 100).await;
    let later = NewExecution { created_at: at(1).after(KEY_LIFE), key: key("k", "g"), ..new(2) };
    assert_eq!(stage.store.create(later.clone()).await, Ok(Created::New));
    assert_eq!(pruned(&stage, newest(0)).await, 1);
    let again = NewExecution { id: id(3), ..later };
    assert_eq!(stage.store.create(again).await, Ok(Created::Existing(id(2))));
}

pub(crate) async fn all_go_in_the_end(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..250 {
        end(&stage, owner, new(number), 100).await;
    }
    let mut gone = 0;
    loop {
        let few = pruned(&stage, newest(20)).await;
        if few == 0 {
            break;
        }
        gone += few;
        assert_eq!(left(&stage).await.len() as u64, 250 - gone);
    }
    assert_eq!(left(&stage).await, (230..250).rev().map(id).collect::<Vec<_>>());
}

pub(crate) async fn what_would_go_is_known_before(stage: Stage) {
    let owner = stage.owner().await;
    for number in 0..150 {
        let blobs = match number {
            0 => vec![blob("both"), blob("first")],
            149 => vec![blob("both")],
            _ => vec![],
        };
        let execution = NewExecution { blobs, owner: Some(owner), ..new(number) };
        stage.store.create(execution).await.unwrap();
        let logs = vec![line("é\0\u{1f600}")];
        let progress = ended(100);
        stage.commit(Append { progress, logs, ..append(id(number), 1, 1) }).await;
    }
    stage.owned(200, owner).await;
    let prunable = async |retention| stage.store.prunable(&retention, at(400)).await.unwrap();
    assert_eq!(prunable(Retention::default()).await, Pruned::default());
    assert_eq!(prunable(older(1000)).await, Pruned::default());
    assert_eq!(prunable(newest(1)).await.blobs, 1, "the last one still uses the other");
    let one = |number: u64| {
        let texts = format!("start of {number}events 1 to 1").len() + "é\0\u{1f600}".len();
        texts as u64
    };
    let bytes = (0..150).map(one).sum::<u64>() + "bothfirst".len() as u64;
    let all = Pruned { executions: 150, blobs: 2, bytes };
    assert_eq!(prunable(newest(0)).await, all);
    assert_eq!(prunable(older(100)).await, all);
    let mut gone = Pruned::default();
    loop {
        let few = stage.store.prune(&newest(0), at(400)).await.unwrap();
        if few.executions == 0 {
            break;
        }
        gone += few;
    }
    assert_eq!(gone, all);
    assert_eq!(left(&stage).await, [id(200)], "what has not ended never goes");
    assert_eq!(prunable(newest(0)).await, Pruned::default());
}
