//! A pool without a free connection: those that ask wait, and are refused in the end; nobody waits for
//! ever, and nothing is lost.

use flowruntime::store::{Appended, Store, StoreError};
use futures_util::future::join_all;

use super::{client, executing, new_url, until};
use crate::stage::{append, id, new};

#[tokio::test]
async fn a_pool_that_is_in_use_queues_then_refuses_and_never_hangs() {
    let Some(url) = new_url() else { return };
    let store = executing(&format!("{url}&pool=2&wait_ms=400&lease_ms=3600000")).await;
    let owner = store.enter().await.unwrap().id;
    let execution = flowruntime::store::NewExecution { owner: Some(owner), ..new(1) };
    store.create(execution).await.unwrap();
    let (free, connections) = (store.metrics(), 4);
    assert_eq!((free.connections, free.in_use, free.waiting), (connections, 0, 0));

    // Somebody holds a table: whoever reads it keeps its connection.
    let schema = url.split("schema=").nth(1).unwrap();
    let mut holder = client(&testkit::postgres().unwrap().url()).await;
    let lock = holder.transaction().await.unwrap();
    let held = format!("LOCK TABLE {schema}.logs IN ACCESS EXCLUSIVE MODE");
    lock.batch_execute(&held).await.unwrap();
    let readers = join_all((0..2).map(|_| store.logs(id(1), 0, 9)));
    let mut readers = Box::pin(readers);
    let is_full = async || (store.metrics().in_use == 2).then_some(());
    tokio::select! {
        _ = &mut readers => panic!("the table is held"),
        () = until("a use of all connections", is_full) => {}
    }

    // More of them wait, visibly, and are refused with a number; they would not have got one.
    let rows = join_all((0..5).map(|_| store.execution(id(1))));
    let mut rows = Box::pin(rows);
    let is_queued = async || (store.metrics().waiting == 5).then_some(());
    tokio::select! {
        _ = &mut rows => panic!("there is no connection for them"),
        () = until("a queue", is_queued) => {}
    }
    // What has its own connection goes on meanwhile.
    assert_eq!(store.append(append(id(1), 1, 1)).await, Ok(Appended::Committed));
    for refused in rows.await {
        let error = refused.unwrap_err();
        assert!(matches!(error, StoreError::Saturated { .. }), "{error:?}");
        assert!(error.is_transient() && error.code() == "store.saturated");
    }
    assert_eq!(store.metrics().waiting, 0);

    // Once it is let go everybody is served, those that were patient first.
    lock.commit().await.unwrap();
    assert_eq!(readers.await, [Ok(vec![]), Ok(vec![])]);
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().last_seq, 1);
    assert_eq!(store.metrics().in_use, 0);
    assert!(store.metrics().appends >= 1);
}
