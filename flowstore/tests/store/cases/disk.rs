//! What is on a disk: it is there when everything is closed and opened again, and others look at it
//! meanwhile.

use flowruntime::store::{Append, Claim, Created, NewExecution, Query, Retention, Sent};
use flowstore::Access;

use crate::kinds::Place;
use crate::stage::{
    Stage, append, at, blob, definition, digest, ended, id, key, line, message, new, released,
};

pub(crate) async fn everything_is_there_after_a_reopen(place: Place) {
    let stage = Stage::new(place).await;
    let owner = stage.owner().await;
    let accepted = NewExecution {
        definition: definition("what is run"),
        blobs: vec![blob("started with")],
        key: key("k", "f"),
        ..new(1)
    };
    stage.store.create(accepted.clone()).await.unwrap();
    for number in [2, 3] {
        stage.owned(number, owner).await;
    }
    let written = Append {
        blobs: vec![blob("written")],
        logs: vec![line("said")],
        progress: released(Some(at(500))),
        ..append(id(2), 1, 3)
    };
    stage.commit(written).await;
    stage.commit(Append { progress: ended(70), ..append(id(3), 1, 1) }).await;
    for number in [1, 2] {
        stage.store.send(id(number), message(number), None).await.unwrap();
    }
    stage.store.leave(owner).await.unwrap();
    let everything = async |stage: &Stage| {
        let list = stage.store.executions(&Query::default()).await.unwrap();
        let mut all = Vec::new();
        for number in 1..=3 {
            all.push(stage.all(id(number)).await);
        }
        let digests = ["started with", "written"].map(digest);
        let definition = stage.store.definition(digest("what is run")).await.unwrap().unwrap();
        (list, all, stage.store.blobs(&digests).await.unwrap(), definition)
    };
    let before = everything(&stage).await;
    let stage = stage.reopen().await;
    assert_eq!(everything(&stage).await, before);
    let owner = stage.owner().await;
    let again = NewExecution { id: id(9), ..accepted };
    assert_eq!(stage.store.create(again).await, Ok(Created::Existing(id(1))));
    let claimed = stage.store.claim(owner, at(100), 9).await.unwrap();
    let expected = [Claim { execution: id(1), fence: 1 }, Claim { execution: id(2), fence: 2 }];
    assert_eq!(claimed.executions, expected);
    let inbox = stage.store.inbox(owner).await.unwrap();
    assert_eq!(inbox, [(id(1), message(1)), (id(2), message(2))]);
    // Fences, numbers of events and of lines go on where they were.
    let logs = vec![line("said")];
    stage.commit(Append { fence: 2, first_line: 2, logs, ..append(id(2), 4, 1) }).await;
    assert_eq!(stage.store.logs(id(2), 1, 9).await.unwrap()[0].number, 2);
}

pub(crate) async fn a_visitor_sees_what_is_committed(place: Place) {
    let stage = Stage::new(place).await;
    let (first, second) = (stage.visit().await, stage.visit().await);
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.commit(Append { logs: vec![line("said")], ..append(execution, 1, 2) }).await;
    for visitor in [&first, &second] {
        let row = visitor.execution(execution).await.unwrap().unwrap();
        assert_eq!((row.owner, row.last_seq), (Some(owner), 2));
        assert_eq!(visitor.load(execution).await, stage.store.load(execution).await);
        assert_eq!(visitor.executions(&Query::default()).await, Ok(vec![row]));
        assert_eq!(visitor.logs(execution, 0, 9).await, stage.store.logs(execution, 0, 9).await);
    }
}

pub(crate) async fn what_a_visitor_leaves_is_found(place: Place) {
    let stage = Stage::new(place).await;
    let visitor = stage.visit().await;
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let mut bell = stage.store.bell();
    assert_eq!(visitor.send(execution, message(1), None).await, Ok(Sent::Kept));
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, bell.changed()).await.expect("the bell rings").unwrap();
    assert_eq!(stage.store.inbox(owner).await.unwrap(), [(execution, message(1))]);
    assert_eq!(visitor.create(new(2)).await, Ok(Created::New));
    let claimed = stage.store.claim(owner, at(100), 9).await.unwrap();
    assert_eq!(claimed.executions, [Claim { execution: id(2), fence: 1 }]);
    for (number, seconds) in [(1, 70), (2, 80)] {
        let progress = ended(seconds);
        stage.commit(Append { progress, ..append(id(number), 1, 1) }).await;
    }
    let newest = Retention { max_age: None, max_count: Some(1) };
    assert_eq!(visitor.prune(&newest, at(100)).await.unwrap().executions, 1);
    assert_eq!(stage.store.load(execution).await, Ok(None));
}

pub(crate) async fn starts_with_one_key_by_several_are_one(place: Place) {
    let stage = Stage::new(place).await;
    let stores = [stage.store.clone(), stage.visit().await, stage.visit().await];
    let starts = (0..30_u64).map(|number| {
        let store = stores[usize::try_from(number % 3).unwrap()].clone();
        let execution = NewExecution { key: key("k", "f"), created_at: at(1), ..new(number) };
        tokio::spawn(async move { store.create(execution).await.unwrap() })
    });
    let created = futures_util::future::join_all(starts).await;
    let created: Vec<Created> = created.into_iter().map(Result::unwrap).collect();
    let count = created.iter().filter(|created| **created == Created::New).count();
    assert_eq!(count, 1, "{created:?}");
    assert_eq!(stage.store.executions(&Query::default()).await.unwrap().len(), 1);
}

pub(crate) async fn it_may_be_opened_by_many_at_once(place: Place) {
    let opened = (0..6).map(|_| (place.open)(Access::Visit));
    let visitors = futures_util::future::join_all(opened).await;
    assert_eq!(visitors[0].create(new(1)).await, Ok(Created::New));
    for visitor in &visitors {
        assert!(visitor.execution(id(1)).await.unwrap().is_some());
    }
}

pub(crate) async fn a_visitor_prunes_while_the_owner_writes(place: Place) {
    let stage = Stage::new(place).await;
    let owner = stage.owner().await;
    for number in 0..300 {
        let execution = stage.owned(number, owner).await;
        let progress = ended(100);
        stage.commit(Append { progress, ..append(execution, 1, 1) }).await;
    }
    let execution = stage.owned(1000, owner).await;
    let visitor = stage.visit().await;
    let retention = Retention { max_age: None, max_count: Some(10) };
    let prune = async {
        let mut gone = 0;
        loop {
            match visitor.prune(&retention, at(400)).await.unwrap().executions {
                0 => return gone,
                few => gone += few,
            }
        }
    };
    let mut prune = std::pin::pin!(prune);
    let mut written = 0;
    // An event after the other, for as long as it takes.
    let gone = loop {
        written += 1;
        tokio::select! {
            biased;
            () = stage.commit(append(execution, written, 1)) => {}
            gone = &mut prune => break gone,
        }
    };
    assert_eq!(gone, 290);
    assert!(written > 3, "{written}");
    let rows = Query { limit: usize::MAX, ..Query::default() };
    assert_eq!(stage.store.executions(&rows).await.unwrap().len(), 11);
    assert!((written - 1..=written).contains(&stage.row(execution).await.last_seq));
}
