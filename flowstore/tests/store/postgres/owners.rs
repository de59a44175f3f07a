use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flowruntime::store::{Append, Appended, Claim, Created, NewExecution, OwnerId, Sent, Store};

use super::{LIMIT, executing, new_url, until};
use crate::stage::{append, at, id, message, new, released};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_get_the_same_execution() {
    let Some(url) = new_url() else { return };
    let stores = [executing(&url).await, executing(&url).await];
    let count = 200;
    let starts = (1..=count).map(|number| stores[0].create(new(number)));
    for created in futures_util::future::join_all(starts).await {
        assert_eq!(created, Ok(Created::New));
    }
    let claim = async |store: &flowstore::PostgresStore| {
        let owner = store.enter().await.unwrap().id;
        let mut got: Vec<Claim> = Vec::new();
        loop {
            let claimed = store.claim(owner, at(1000), 7).await.unwrap();
            let is_done = claimed.executions.is_empty() && claimed.next_at.is_none();
            got.extend(claimed.executions);
            if is_done {
                return got;
            }
        }
    };
    let claims = (0..6).map(|number| claim(&stores[number % 2]));
    let got = futures_util::future::join_all(claims).await;
    assert!(got.iter().filter(|got| !got.is_empty()).count() > 1, "one was faster than all others");
    let all: Vec<Claim> = got.into_iter().flatten().collect();
    assert!(all.iter().all(|claim| claim.fence == 1), "{all:?}");
    let different: BTreeSet<_> = all.iter().map(|claim| claim.execution).collect();
    assert_eq!((all.len(), different.len()), (200, 200));
}

/// Claims as soon as there is something, as somebody who executes does.
async fn claimed(store: &dyn Store, owner: OwnerId) -> Vec<Claim> {
    let mut bell = store.bell();
    let deadline = Instant::now() + LIMIT;
    loop {
        bell.mark_unchanged();
        let claimed = store.claim(owner, at(1000), 10).await.unwrap().executions;
        if !claimed.is_empty() {
            return claimed;
        }
        assert!(Instant::now() < deadline, "nothing to claim");
        let _ = tokio::time::timeout(Duration::from_secs(1), bell.changed()).await;
    }
}

/// What the database is told about leases: an hour, so that no busy machine makes one end.
const LONG: &str = "lease_ms=3600000";

/// Changes the end of all leases, as if time had passed.
async fn pass(url: &str, end: &str) {
    let client = super::client(&testkit::postgres().unwrap().url()).await;
    let (_, schema) = url.rsplit_once("schema=").unwrap();
    let pass = format!("UPDATE {schema}.owners SET lease_until = clock_timestamp() + {end}");
    client.batch_execute(&pass).await.unwrap();
}

#[tokio::test]
async fn what_an_owner_had_is_claimed_after_its_lease_and_its_late_append_is_fenced() {
    let Some(url) = new_url() else { return };
    let zombie = executing(&format!("{url}&{LONG}")).await;
    let old = zombie.enter().await.unwrap();
    assert_eq!(old.lease, Some(Duration::from_secs(3600)));
    let execution = NewExecution { owner: Some(old.id), ..new(1) };
    zombie.create(execution).await.unwrap();
    assert_eq!(zombie.append(append(id(1), 1, 2)).await, Ok(Appended::Committed));
    // It is stopped for a while, and then goes on.
    pass(&url, "interval '-1 ms'").await;
    let other = executing(&format!("{url}&{LONG}")).await;
    let owner = other.enter().await.unwrap();
    let claims = claimed(&other, owner.id).await;
    assert_eq!(claims, [Claim { execution: id(1), fence: 2 }]);
    assert_eq!(zombie.append(append(id(1), 3, 1)).await, Ok(Appended::Fenced));
    assert_eq!(zombie.renew(old.id).await, Ok(false));
    assert_eq!(zombie.claim(old.id, at(1000), 1).await.unwrap().executions, []);
    assert_eq!(zombie.claim_one(old.id, id(1)).await, Ok(None));
    let mine = Append { fence: 2, ..append(id(1), 3, 1) };
    assert_eq!(other.append(mine).await, Ok(Appended::Committed));
    let kept = other.load(id(1)).await.unwrap().unwrap();
    assert_eq!((kept.segments.len(), kept.row.owner), (2, Some(owner.id)));
}

#[tokio::test]
async fn an_owner_that_renews_keeps_what_it_has() {
    let Some(url) = new_url() else { return };
    let store = executing(&format!("{url}&{LONG}")).await;
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    // So short that only the renewal explains what follows, and long enough for a busy machine.
    pass(&url, "interval '30 s'").await;
    assert_eq!(store.renew(owner).await, Ok(true));
    pass(&url, "(lease_until - clock_timestamp()) - interval '59 min'").await;
    let other = executing(&format!("{url}&{LONG}")).await;
    let thief = other.enter().await.unwrap().id;
    assert_eq!(other.claim(thief, at(1000), 1).await.unwrap().executions, []);
    assert_eq!(store.append(append(id(1), 1, 1)).await, Ok(Appended::Committed));
}

#[tokio::test]
async fn what_an_owner_had_is_claimed_soon_when_its_session_is_gone() {
    let Some(url) = new_url() else { return };
    let url = format!("{url}&{LONG}");
    let gone = executing(&url).await;
    let old = gone.enter().await.unwrap().id;
    gone.create(NewExecution { owner: Some(old), ..new(1) }).await.unwrap();
    let other = executing(&url).await;
    let owner = other.enter().await.unwrap().id;
    assert_eq!(other.claim(owner, at(1000), 1).await.unwrap().executions, []);
    drop(gone);
    let claims = claimed(&other, owner).await;
    assert_eq!(claims, [Claim { execution: id(1), fence: 2 }]);
    assert_eq!(other.renew(old).await, Ok(false));
}

#[tokio::test]
async fn a_session_that_comes_back_keeps_its_owner_alive() {
    let Some(url) = new_url() else { return };
    let url = format!("{url}&{LONG}");
    let store = executing(&format!("{url}&application_name=comes_back")).await;
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    let other = executing(&url).await;
    let thief = other.enter().await.unwrap().id;
    let client = super::client(&testkit::postgres().unwrap().url()).await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE application_name = 'comes_back'";
    assert!(client.query(end, &[]).await.unwrap().len() >= 2);
    // All of its connections are made anew, while another looks for dead owners all the time.
    let deadline = Instant::now() + Duration::from_secs(4);
    while Instant::now() < deadline {
        assert_eq!(other.claim(thief, at(1000), 1).await.unwrap().executions, []);
    }
    until("a renewal", async || store.renew(owner).await.ok().filter(|lives| *lives)).await;
    let written = async || store.append(append(id(1), 1, 1)).await.ok();
    assert_eq!(until("an append", written).await, Appended::Committed);
}

#[tokio::test]
async fn the_bell_rings_in_other_processes() {
    let Some(url) = new_url() else { return };
    let url = format!("{url}&{LONG}");
    let (store, other) = (executing(&url).await, executing(&url).await);
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    // It listens before it does anything else.
    other.enter().await.unwrap();
    let mut bell = other.bell();
    for step in 0..4 {
        bell.mark_unchanged();
        match step {
            0 => assert_eq!(store.create(new(2)).await, Ok(Created::New)),
            1 => assert_eq!(store.send(id(1), message(1), None).await, Ok(Sent::Kept)),
            2 => {
                let append = Append { progress: released(None), ..append(id(1), 1, 1) };
                assert_eq!(store.append(append).await, Ok(Appended::Committed));
            }
            _ => assert_eq!(store.leave(owner).await, Ok(())),
        }
        let rung = tokio::time::timeout(LIMIT, bell.changed()).await;
        assert!(rung.is_ok(), "it does not ring after step {step}");
    }
}
