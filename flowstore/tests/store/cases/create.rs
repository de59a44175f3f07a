//! Executions are accepted, once.

use std::time::Duration;

use flowcore::{EVENT_FORMAT, ExecutionStatus, Timestamp};
use flowruntime::store::{Created, ExecutionRow, KEY_LIFE, NewExecution, OwnerId, StoreError};
use futures_util::future::join_all;

use crate::stage::{
    Stage, append, at, blob, definition, digest, ended, id, key, new, project, workflow_id,
};

pub(crate) async fn one_that_is_accepted_is_queued_and_due(stage: Stage) {
    let (rerun_of, version) = (Some(id(99)), Some(7));
    let execution = NewExecution { rerun_of, version, project: project("p"), ..new(1) };
    assert_eq!(stage.store.create(execution).await, Ok(Created::New));
    let expected = ExecutionRow {
        id: id(1),
        project: project("p"),
        workflow_id: workflow_id("orders"),
        version,
        definition: digest("{}"),
        status: ExecutionStatus::Queued,
        fence: 0,
        owner: None,
        last_seq: 0,
        created_at: at(1),
        started_at: None,
        ended_at: None,
        wake_at: None,
        error: None,
        rerun_of,
        format: EVENT_FORMAT,
    };
    assert_eq!(stage.row(id(1)).await, expected);
    let owner = stage.owner().await;
    let early = stage.store.claim(owner, at(0), 10).await.unwrap();
    assert_eq!((early.executions.len(), early.next_at), (0, Some(at(1))));
    let due = stage.store.claim(owner, at(1), 10).await.unwrap();
    assert_eq!((due.executions.len(), due.next_at), (1, None));
    let expected = ExecutionRow { fence: 1, owner: Some(owner), ..expected };
    assert_eq!(stage.row(id(1)).await, expected);
}

pub(crate) async fn one_with_an_owner_has_a_fence(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let row = stage.row(execution).await;
    assert_eq!((row.owner, row.fence), (Some(owner), 1));
    assert_eq!(stage.store.claim(owner, at(9), 10).await, Ok(Default::default()));
    stage.commit(append(execution, 1, 1)).await;
}

pub(crate) async fn one_whose_owner_is_gone_is_anybodys(stage: Stage) {
    let gone = stage.owner().await;
    stage.store.leave(gone).await.unwrap();
    let unknown = OwnerId::new();
    for (number, owner) in [(1, gone), (2, unknown)] {
        let execution = NewExecution { owner: Some(owner), ..new(number) };
        assert_eq!(stage.store.create(execution).await, Ok(Created::New));
        let row = stage.row(id(number)).await;
        assert_eq!((row.owner, row.fence), (None, 0));
        assert_eq!(stage.store.claim(owner, at(9), 10).await, Ok(Default::default()));
        assert_eq!(stage.store.claim_one(owner, id(number)).await, Ok(None));
    }
    let owner = stage.owner().await;
    assert_eq!(stage.store.claim(owner, at(9), 10).await.unwrap().executions.len(), 2);
}

pub(crate) async fn what_it_starts_with_is_kept(stage: Stage) {
    let definition = definition(&"a large workflow ".repeat(10_000));
    let execution = NewExecution {
        definition: definition.clone(),
        start: vec![0, 255, 7],
        blobs: vec![blob("one"), blob("two"), blob("one")],
        ..new(1)
    };
    stage.store.create(execution).await.unwrap();
    let kept = stage.store.load(id(1)).await.unwrap().unwrap();
    assert_eq!((kept.start, kept.segments.len()), (vec![0, 255, 7], 0));
    assert_eq!(kept.row, stage.row(id(1)).await);
    assert_eq!(stage.store.definition(definition.digest).await, Ok(Some(definition)));
    let blobs = stage.store.blobs(&[digest("two"), digest("one")]).await;
    assert_eq!(blobs, Ok(vec![blob("two"), blob("one")]));
}

pub(crate) async fn a_repeated_start_changes_nothing(stage: Stage) {
    stage.store.create(new(1)).await.unwrap();
    let owner = stage.owner().await;
    let claim = stage.store.claim_one(owner, id(1)).await.unwrap().unwrap();
    stage.commit(append(claim.execution, 1, 2)).await;
    let before = stage.all(id(1)).await;
    let other = NewExecution { definition: definition("other"), start: vec![1], ..new(1) };
    for execution in [new(1), other] {
        assert_eq!(stage.store.create(execution).await, Ok(Created::Existing(id(1))));
    }
    assert_eq!(stage.all(id(1)).await, before);
    assert_eq!(stage.store.definition(digest("other")).await, Ok(None));
}

pub(crate) async fn a_key_finds_its_execution_for_a_week(stage: Stage) {
    let first = NewExecution { key: key("k", "f"), ..new(1) };
    assert_eq!(stage.store.create(first.clone()).await, Ok(Created::New));
    assert_eq!(stage.store.create(first).await, Ok(Created::Existing(id(1))));
    let later = |number, created_at: Timestamp| NewExecution {
        key: key("k", "f"),
        created_at,
        ..new(number)
    };
    let almost = at(1).after(KEY_LIFE - Duration::from_micros(1));
    for created_at in [almost, at(-5)] {
        let created = stage.store.create(later(2, created_at)).await;
        assert_eq!(created, Ok(Created::Existing(id(1))));
    }
    assert_eq!(stage.store.execution(id(2)).await, Ok(None));
    let week = at(1).after(KEY_LIFE);
    assert_eq!(stage.store.create(later(3, week)).await, Ok(Created::New));
    // From now on it is the key of the later one.
    assert_eq!(stage.store.create(later(4, week)).await, Ok(Created::Existing(id(3))));
    assert!(stage.store.execution(id(1)).await.unwrap().is_some());
}

pub(crate) async fn a_key_for_another_start_is_a_conflict(stage: Stage) {
    stage.store.create(NewExecution { key: key("k", "f"), ..new(1) }).await.unwrap();
    let other = NewExecution { key: key("k", "g"), ..new(2) };
    let conflict = Err(StoreError::KeyConflict { key: "k".to_owned() });
    assert_eq!(stage.store.create(other.clone()).await, conflict);
    assert_eq!(stage.store.execution(id(2)).await, Ok(None));
    // The end of the execution changes nothing about it.
    let owner = stage.owner().await;
    stage.store.claim_one(owner, id(1)).await.unwrap().unwrap();
    let mut end = append(id(1), 1, 1);
    end.progress = ended(70);
    stage.commit(end).await;
    assert_eq!(stage.store.create(other).await, conflict);
}

pub(crate) async fn a_key_is_that_of_a_project(stage: Stage) {
    let of = |number, name: &str, print: &str| NewExecution {
        project: project(name),
        key: key("k", print),
        created_at: at(1),
        ..new(number)
    };
    // At the same time, so that one transaction may have all of them.
    let starts = [of(1, "a", "f"), of(2, "b", "g"), of(3, "default", "h"), of(4, "b", "g")];
    let created = join_all(starts.map(|start| stage.store.create(start))).await;
    let (first, others) = created.split_at(1);
    assert_eq!(first, [Ok(Created::New)]);
    let expected = [Created::New, Created::New, Created::Existing(id(2))].map(Ok);
    assert_eq!(others, expected);
    for (number, name, print) in [(1, "a", "f"), (2, "b", "g"), (3, "default", "h")] {
        let again = stage.store.create(of(9, name, print)).await;
        assert_eq!(again, Ok(Created::Existing(id(number))));
        let other = stage.store.create(of(9, name, "other")).await;
        assert!(matches!(other, Err(StoreError::KeyConflict { .. })), "{other:?}");
    }
}

pub(crate) async fn many_starts_with_one_key_are_one(stage: Stage) {
    let starts = (0..50).map(|number| {
        let execution = NewExecution { key: key("k", "f"), created_at: at(1), ..new(number) };
        let store = stage.store.clone();
        tokio::spawn(async move { store.create(execution).await.unwrap() })
    });
    let created: Vec<Created> = join_all(starts).await.into_iter().map(Result::unwrap).collect();
    let new = created.iter().filter(|created| **created == Created::New).count();
    assert_eq!(new, 1, "{created:?}");
    let rows = stage.store.executions(&Default::default()).await.unwrap();
    assert_eq!(rows.len(), 1);
    let others = created.iter().filter(|created| **created == Created::Existing(rows[0].id));
    assert_eq!(others.count(), 49, "{created:?}");
}

pub(crate) async fn s21_texts_may_hold_anything(stage: Stage) {
    let odd = "a\0b \u{1f600} \u{feff}'\"\\ é";
    let execution = NewExecution { key: key(odd, "f"), definition: definition(odd), ..new(1) };
    stage.store.create(execution).await.unwrap();
    let again = NewExecution { key: key(odd, "f"), ..new(2) };
    assert_eq!(stage.store.create(again).await, Ok(Created::Existing(id(1))));
    // What stands after a zero counts.
    let other = NewExecution { key: key("a\0c", "f"), ..new(3) };
    assert_eq!(stage.store.create(other).await, Ok(Created::New));
    let kept = stage.store.definition(digest(odd)).await.unwrap().unwrap();
    assert_eq!(kept.text, odd);
}
