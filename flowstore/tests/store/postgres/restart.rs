use flowruntime::store::{Appended, Created, NewExecution, Sent, Store, StoreError};
use testkit::Postgres;

use super::{executing, until};
use crate::stage::{append, at, id, message, new};

#[tokio::test]
async fn it_goes_on_by_itself_after_the_server_was_gone() {
    let Some(mut server) = Postgres::start() else { return testkit::skipped("postgresql") };
    let store = executing(&format!("{}?sslmode=disable&lease_ms=3600000", server.url())).await;
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    for round in 0..3 {
        assert_eq!(store.append(append(id(1), round + 1, 1)).await, Ok(Appended::Committed));
        server.stop();
        let lost = store.append(append(id(1), round + 2, 1)).await.unwrap_err();
        assert!(matches!(lost, StoreError::Unavailable { .. }), "{lost:?}");
        let lost = store.execution(id(1)).await.unwrap_err();
        assert!(matches!(lost, StoreError::Unavailable { .. }), "{lost:?}");
        server.start_again();
        // Everything that was answered is there, and nothing else: the next event follows.
        let row = until("a row", async || store.execution(id(1)).await.ok()).await.unwrap();
        assert_eq!((row.last_seq, row.owner), (round + 1, Some(owner)));
    }
    let again = async || store.append(append(id(1), 4, 1)).await.ok();
    assert_eq!(until("an append", again).await, Appended::Committed);
    assert_eq!(until("a start", async || store.create(new(2)).await.ok()).await, Created::New);
    let sent = async || store.send(id(1), message(1), None).await.ok();
    assert_eq!(until("a message", sent).await, Sent::Kept);
    assert!(until("a renewal", async || store.renew(owner).await.ok()).await);
    let claimed = until("a claim", async || store.claim(owner, at(1000), 9).await.ok()).await;
    assert_eq!(claimed.executions.len(), 1);
    let other = executing(&format!("{}?sslmode=disable", server.url())).await;
    let thief = other.enter().await.unwrap().id;
    assert_eq!(other.claim_one(thief, id(1)).await, Ok(None), "its owner lives");
}
