use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flowruntime::store::{Query, Retention, Store};

use super::{client, executing, new_url, until};
use crate::stage::{append, at, id, message, new};

/// Polls a call so often, and drops it; gives its answer, if it came before.
async fn drop_after<T>(polls: usize, call: impl Future<Output = T>) -> Option<T> {
    let mut call = pin!(call);
    for _ in 0..polls {
        if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn calls_that_are_dropped_leave_nothing_half() {
    let Some(url) = new_url() else { return };
    let store = executing(&format!("{url}&pool=1&lease_ms=3600000&application_name=dropped")).await;
    let owner = store.enter().await.unwrap().id;
    let (count, mut known) = (60, BTreeSet::new());
    for number in 1..=count {
        // From never polled at all to mostly done.
        let polls = usize::try_from(number % 12).unwrap() * 3;
        drop_after(polls, store.create(new(number))).await;
        drop_after(polls, store.send(id(number), message(number), None)).await;
        if let Some(claimed) = drop_after(polls, store.claim(owner, at(1000), 3)).await {
            known.extend(claimed.unwrap().executions.into_iter().map(|claim| claim.execution));
        }
        if let Some(claimed) = drop_after(polls, store.claim_one(owner, id(number))).await {
            known.extend(claimed.unwrap().map(|claim| claim.execution));
        }
        drop_after(polls, store.append(append(id(number), 1, 1))).await;
        drop_after(polls, store.load(id(number))).await;
        drop_after(polls, store.inbox(owner)).await;
        drop_after(polls, store.executions(&Query::default())).await;
        drop_after(polls, store.prune(&Retention::default(), at(0))).await;
        drop_after(polls, store.renew(owner)).await;
        drop_after(polls, store.enter()).await;
    }
    // The next one gets the connection, and nobody is in the middle of something.
    for number in 1..=count {
        store.create(new(number)).await.unwrap();
    }
    let watch = client(&testkit::postgres().unwrap().url()).await;
    let open = "SELECT count(*) FROM pg_stat_activity \
        WHERE application_name = 'dropped' AND state LIKE 'idle in transaction%'";
    let is_idle = async || {
        let open: i64 = watch.query_one(open, &[]).await.unwrap().get(0);
        (open == 0).then_some(())
    };
    until("an end of all transactions", is_idle).await;
    // What was claimed, and nobody heard of it, is given back.
    let claimed = store.claim(owner, at(1000), 1000).await.unwrap().executions;
    known.extend(claimed.into_iter().map(|claim| claim.execution));
    assert_eq!(known.len(), usize::try_from(count).unwrap());
}
