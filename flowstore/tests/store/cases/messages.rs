//! What executions are told.

use flowruntime::store::{Append, MAX_WAITING, Message, Sent};

use crate::stage::{Stage, append, at, ended, id, message, new, released};

pub(crate) async fn each_is_kept_once_until_it_is_taken(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    for number in [2, 1, 3] {
        assert_eq!(stage.store.send(execution, message(number), None).await, Ok(Sent::Kept));
    }
    let other_body = Message { body: b"other".to_vec(), ..message(1) };
    assert_eq!(stage.store.send(execution, other_body, None).await, Ok(Sent::Kept));
    // The oldest first.
    let all = [message(1), message(2), message(3)];
    assert_eq!(stage.store.messages(execution).await.unwrap(), all);
    let taken = vec![message(2).id, message(9).id];
    stage.commit(Append { taken, ..append(execution, 1, 1) }).await;
    assert_eq!(stage.store.messages(execution).await.unwrap(), [message(1), message(3)]);
    // It is not remembered.
    assert_eq!(stage.store.send(execution, message(2), None).await, Ok(Sent::Kept));
    assert_eq!(stage.store.messages(execution).await.unwrap(), all);
}

pub(crate) async fn an_owner_gets_its_own(stage: Stage) {
    let owner = stage.owner().await;
    let other = stage.owner().await;
    let (first, second) = (stage.owned(1, owner).await, stage.owned(2, owner).await);
    let third = stage.owned(3, other).await;
    stage.store.create(new(4)).await.unwrap();
    for (execution, number) in [(second, 1), (third, 1), (id(4), 1), (first, 2), (first, 1)] {
        // Each has messages of its own: the ids may be the same.
        assert_eq!(stage.store.send(execution, message(number), None).await, Ok(Sent::Kept));
    }
    let mut inbox = stage.store.inbox(owner).await.unwrap();
    // Those of one time and id are in any order.
    inbox[..2].sort_by_key(|(execution, _)| *execution);
    assert_eq!(inbox, [(first, message(1)), (second, message(1)), (first, message(2))]);
    assert_eq!(stage.store.inbox(other).await.unwrap(), [(third, message(1))]);
    stage.store.leave(owner).await.unwrap();
    assert_eq!(stage.store.inbox(owner).await, Ok(vec![]));
    stage.store.claim_one(other, first).await.unwrap().unwrap();
    assert_eq!(stage.store.inbox(other).await.unwrap().len(), 3);
}

pub(crate) async fn none_is_kept_for_those_that_end(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.store.send(execution, message(1), None).await.unwrap();
    stage.commit(Append { progress: ended(70), ..append(execution, 1, 1) }).await;
    assert_eq!(stage.store.messages(execution).await, Ok(vec![]));
    for number in [1, 2] {
        assert_eq!(stage.store.send(execution, message(number), None).await, Ok(Sent::Finished));
    }
    assert_eq!(stage.store.send(id(2), message(1), None).await, Ok(Sent::NotFound));
    assert_eq!(stage.store.messages(id(2)).await, Ok(vec![]));
}

pub(crate) async fn so_many_may_wait(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let number = |index: usize| u64::try_from(index).unwrap();
    let sends =
        (0..MAX_WAITING).map(|index| stage.store.send(execution, message(number(index)), None));
    for sent in futures_util::future::join_all(sends).await {
        assert_eq!(sent, Ok(Sent::Kept));
    }
    let more = message(number(MAX_WAITING));
    assert_eq!(stage.store.send(execution, more.clone(), None).await, Ok(Sent::TooMany));
    // One that is there is no more.
    assert_eq!(stage.store.send(execution, message(5), None).await, Ok(Sent::Kept));
    let taken = vec![message(5).id];
    stage.commit(Append { taken, ..append(execution, 1, 1) }).await;
    assert_eq!(stage.store.send(execution, more, None).await, Ok(Sent::Kept));
    assert_eq!(stage.store.messages(execution).await.unwrap().len(), MAX_WAITING);
}

pub(crate) async fn the_bell_rings(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    let other = stage.owned(2, owner).await;
    let mut bell = stage.store.bell();
    let rang = async |what: &str, bell: &mut tokio::sync::watch::Receiver<u64>| {
        let limit = std::time::Duration::from_secs(20);
        let changed = tokio::time::timeout(limit, bell.changed()).await;
        changed.unwrap_or_else(|_| panic!("silent: {what}")).unwrap();
    };
    bell.borrow_and_update();
    stage.store.send(execution, message(1), None).await.unwrap();
    rang("a message", &mut bell).await;
    bell.borrow_and_update();
    stage.store.create(new(9)).await.unwrap();
    rang("one that nobody has", &mut bell).await;
    bell.borrow_and_update();
    let progress = released(Some(at(100)));
    stage.commit(Append { progress, ..append(other, 1, 1) }).await;
    rang("one that is let go", &mut bell).await;
    bell.borrow_and_update();
    stage.store.leave(owner).await.unwrap();
    rang("an owner that leaves", &mut bell).await;
}
