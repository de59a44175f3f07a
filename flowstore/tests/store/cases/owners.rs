//! Who executes what.

use std::collections::BTreeSet;

use flowcore::EVENT_FORMAT;
use flowruntime::store::{Append, Appended, Claim, Claimed, NewExecution, Sent};

use crate::stage::{Stage, append, at, ended, id, message, new, released};

pub(crate) async fn those_due_first_are_claimed_first(stage: Stage) {
    let owner = stage.owner().await;
    for number in [5, 3, 4, 1, 2] {
        stage.store.create(new(number)).await.unwrap();
    }
    // Of the same time, the lower id.
    let same = NewExecution { created_at: at(3), ..new(9) };
    stage.store.create(same).await.unwrap();
    let claims = |numbers: &[u64]| -> Vec<Claim> {
        numbers.iter().map(|number| Claim { execution: id(*number), fence: 1 }).collect()
    };
    let none = stage.store.claim(owner, at(4), 0).await.unwrap();
    assert_eq!(none, Claimed { executions: vec![], next_at: Some(at(1)) });
    let two = stage.store.claim(owner, at(4), 2).await.unwrap();
    assert_eq!(two, Claimed { executions: claims(&[1, 2]), next_at: Some(at(3)) });
    let rest = stage.store.claim(owner, at(4), 100).await.unwrap();
    assert_eq!(rest, Claimed { executions: claims(&[3, 9, 4]), next_at: Some(at(5)) });
    let last = stage.store.claim(owner, at(5), 1).await.unwrap();
    assert_eq!(last, Claimed { executions: claims(&[5]), next_at: None });
    assert_eq!(stage.store.claim(owner, at(99), usize::MAX).await, Ok(Claimed::default()));
}

pub(crate) async fn nobody_gets_the_same_one_twice(stage: Stage) {
    for number in 0..100 {
        stage.store.create(new(number)).await.unwrap();
    }
    let mut claimers = Vec::new();
    for _ in 0..8 {
        let (store, owner) = (stage.store.clone(), stage.owner().await);
        claimers.push(tokio::spawn(async move {
            let mut claims = Vec::new();
            loop {
                let claimed = store.claim(owner, at(1000), 3).await.unwrap();
                if claimed.executions.is_empty() {
                    return (owner, claims);
                }
                claims.extend(claimed.executions);
            }
        }));
    }
    let mut seen = BTreeSet::new();
    for claimer in claimers {
        let (owner, claims) = claimer.await.unwrap();
        for claim in claims {
            assert!(seen.insert(claim.execution), "twice: {claim:?}");
            let row = stage.row(claim.execution).await;
            assert_eq!((row.owner, row.fence), (Some(owner), 1));
        }
    }
    assert_eq!(seen.len(), 100);
}

pub(crate) async fn a_newer_format_is_not_claimed(stage: Stage) {
    let owner = stage.owner().await;
    let newer = NewExecution { format: EVENT_FORMAT + 1, ..new(1) };
    stage.store.create(newer).await.unwrap();
    stage.store.create(new(2)).await.unwrap();
    let claimed = stage.store.claim(owner, at(9), 9).await.unwrap();
    let expected = vec![Claim { execution: id(2), fence: 1 }];
    assert_eq!(claimed, Claimed { executions: expected, next_at: None });
    assert_eq!(stage.store.claim_one(owner, id(1)).await, Ok(None));
    assert_eq!(stage.row(id(1)).await.format, EVENT_FORMAT + 1);
}

pub(crate) async fn one_is_claimed_due_or_not(stage: Stage) {
    let owner = stage.owner().await;
    let other = stage.owner().await;
    stage.store.create(new(1)).await.unwrap();
    let claim = Claim { execution: id(1), fence: 1 };
    assert_eq!(stage.store.claim_one(owner, id(1)).await, Ok(Some(claim)));
    // Not even its owner gets it again.
    assert_eq!(stage.store.claim_one(owner, id(1)).await, Ok(None));
    assert_eq!(stage.store.claim_one(other, id(1)).await, Ok(None));
    assert_eq!(stage.store.claim_one(owner, id(2)).await, Ok(None));
    // Waiting for a message that did not come yet.
    stage.commit(Append { progress: released(None), ..append(id(1), 1, 1) }).await;
    let claim = Claim { execution: id(1), fence: 2 };
    assert_eq!(stage.store.claim_one(other, id(1)).await, Ok(Some(claim)));
    assert_eq!(stage.row(id(1)).await.owner, Some(other));
}

pub(crate) async fn one_that_is_let_go_is_due_at_its_time(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.commit(Append { progress: released(Some(at(100))), ..append(execution, 1, 1) }).await;
    let row = stage.row(execution).await;
    assert_eq!((row.owner, row.fence, row.wake_at), (None, 1, Some(at(100))));
    let early = stage.store.claim(owner, at(99), 9).await.unwrap();
    assert_eq!(early, Claimed { executions: vec![], next_at: Some(at(100)) });
    // What it was let go with is what it stands by.
    assert_eq!(
        stage.store.append(append(execution, 2, 1)).await,
        Ok(Appended::Fenced),
        "whoever let it go"
    );
    let due = stage.store.claim(owner, at(100), 9).await.unwrap();
    assert_eq!(due.executions, [Claim { execution, fence: 2 }]);
    assert_eq!(stage.row(execution).await.wake_at, Some(at(100)));
}

pub(crate) async fn one_that_waits_for_a_message_is_due_with_it(stage: Stage) {
    let owner = stage.owner().await;
    let execution = stage.owned(1, owner).await;
    stage.commit(Append { progress: released(None), ..append(execution, 1, 1) }).await;
    let nothing = stage.store.claim(owner, at(1_000_000), 9).await;
    assert_eq!(nothing, Ok(Claimed::default()));
    assert_eq!(stage.store.send(execution, message(1), None).await, Ok(Sent::Kept));
    let due = stage.store.claim(owner, at(0), 9).await.unwrap();
    assert_eq!(due.executions, [Claim { execution, fence: 2 }]);
    // The message came before it is let go, and is not taken: due at once.
    let append = Append { fence: 2, progress: released(Some(at(500))), ..append(execution, 2, 1) };
    stage.commit(append.clone()).await;
    let due = stage.store.claim(owner, at(0), 9).await.unwrap();
    assert_eq!(due.executions, [Claim { execution, fence: 3 }]);
    // It is taken as it is let go: due at its time.
    let taken = vec![message(1).id];
    stage.commit(Append { fence: 3, first_seq: 3, last_seq: 3, taken, ..append }).await;
    let later = stage.store.claim(owner, at(0), 9).await.unwrap();
    assert_eq!(later, Claimed { executions: vec![], next_at: Some(at(500)) });
}

pub(crate) async fn a_release_may_be_repeated(stage: Stage) {
    let owner = stage.owner().await;
    for (number, count) in [(1, 1), (2, 0)] {
        let execution = stage.owned(number, owner).await;
        let release = Append { progress: released(None), ..append(execution, 1, count) };
        stage.commit(release.clone()).await;
        let before = stage.all(execution).await;
        stage.commit(release.clone()).await;
        assert_eq!(stage.all(execution).await, before);
        let claim = stage.store.claim_one(owner, execution).await.unwrap().unwrap();
        assert_eq!(claim.fence, 2);
        assert_eq!(stage.store.append(release).await, Ok(Appended::Fenced));
    }
}

pub(crate) async fn whoever_lost_it_is_fenced(stage: Stage) {
    let first = stage.owner().await;
    let second = stage.owner().await;
    let execution = stage.owned(1, first).await;
    stage.commit(append(execution, 1, 1)).await;
    stage.store.leave(first).await.unwrap();
    assert_eq!(stage.store.append(append(execution, 2, 1)).await, Ok(Appended::Fenced));
    let claim = stage.store.claim_one(second, execution).await.unwrap().unwrap();
    assert_eq!(claim.fence, 2);
    assert_eq!(stage.store.append(append(execution, 2, 1)).await, Ok(Appended::Fenced));
    stage.commit(Append { fence: 2, ..append(execution, 2, 1) }).await;
    let end = Append { fence: 2, progress: ended(70), ..append(execution, 3, 1) };
    stage.commit(end).await;
    assert_eq!(stage.store.append(append(execution, 4, 1)).await, Ok(Appended::Fenced));
}

pub(crate) async fn an_owner_that_leaves_has_nothing(stage: Stage) {
    let owner = stage.owner().await;
    let other = stage.owner().await;
    assert_ne!(owner, other);
    for number in 1..=3 {
        stage.owned(number, owner).await;
    }
    stage.owned(4, other).await;
    stage.commit(Append { progress: ended(70), ..append(id(3), 1, 1) }).await;
    assert_eq!(stage.store.renew(owner).await, Ok(true));
    for _ in 0..2 {
        stage.store.leave(owner).await.unwrap();
        assert_eq!(stage.store.renew(owner).await, Ok(false));
    }
    assert_eq!(stage.store.renew(other).await, Ok(true));
    assert_eq!(stage.row(id(1)).await.owner, None);
    // Due at once, whatever the time: something may be left under way.
    let claimed = stage.store.claim(other, at(-1000), 9).await.unwrap();
    let expected = [1, 2].map(|number| Claim { execution: id(number), fence: 2 });
    assert_eq!(claimed, Claimed { executions: expected.to_vec(), next_at: None });
}
