use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowruntime::store::{Append, Appended, Created, NewExecution, Store, StoreError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use flowstore::{Catalog, Committed, Expect, PostgresStore};

use super::{executing, new_schema, until};
use crate::stage::{append, at, entry, id, key, key_of, new, put};

/// What marks a request whose answer is lost.
const MARK: &[u8] = b"the answer to this is lost";

/// Stands between a store and the server. A connection that carries the mark is cut once the server has
/// answered: what was asked is done, and nobody is told. That happens so often as `cuts` says.
async fn proxy(port: u16, cuts: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((from, _)) = listener.accept().await {
            let to = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(carry(from, to, cuts.clone()));
        }
    });
    own
}

async fn carry(mut from: TcpStream, mut to: TcpStream, cuts: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
    let mut is_marked = false;
    loop {
        tokio::select! {
            count = from.read(&mut asked) => {
                let Ok(count @ 1..) = count else { return };
                let has_mark = asked[..count].windows(MARK.len()).any(|part| part == MARK);
                is_marked |= has_mark && cuts.load(Ordering::Relaxed) > 0;
                if to.write_all(&asked[..count]).await.is_err() {
                    return;
                }
            }
            count = to.read(&mut answered) => {
                let Ok(count @ 1..) = count else { return };
                // Ready, and in no transaction: it has committed.
                if is_marked && answered[..count].ends_with(b"Z\0\0\0\x05I") {
                    cuts.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                if from.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A store behind a proxy, and how many answers are to be lost.
async fn behind_a_proxy() -> Option<(PostgresStore, Arc<AtomicUsize>)> {
    let server = testkit::postgres()?;
    let cuts = Arc::new(AtomicUsize::new(0));
    let port = proxy(server.port(), cuts.clone()).await;
    let url = server.url().replace(&server.port().to_string(), &port.to_string());
    let more = "sslmode=disable&lease_ms=3600000&schema=";
    Some((executing(&format!("{url}?{more}{}", new_schema())).await, cuts))
}

#[tokio::test]
async fn records_that_were_changed_and_not_answered_are_so_once_when_it_is_repeated() {
    let Some((store, cuts)) = behind_a_proxy().await else { return };
    let key = key_of("p", "k", "counter");
    let mark = std::str::from_utf8(MARK).unwrap();
    for round in 0..20_u32 {
        let version = u64::from(round);
        let expect = if round == 0 { Expect::Absent } else { Expect::Version(version) };
        let changes = vec![put(&key, expect, &format!("{round} {mark}"))];
        let second = i64::from(round);
        let commit = || {
            let audit = vec![entry(second, None, mark), entry(second, Some("p"), "said")];
            store.commit(at(second), changes.clone(), audit)
        };
        cuts.store(1, Ordering::Relaxed);
        let lost = commit().await.unwrap_err();
        assert!(matches!(lost, StoreError::Unavailable { .. }), "{lost:?}");
        assert_eq!(cuts.load(Ordering::Relaxed), 0, "it was cut");
        let repeated = async || commit().await.ok();
        let done = Committed::Done(vec![version + 1]);
        assert_eq!(until("an answer", repeated).await, done);
        // And a start, with what is said of it.
        let audit = Some(entry(second, None, "started"));
        let start = NewExecution { start: MARK.to_vec(), audit, ..new(version) };
        cuts.store(1, Ordering::Relaxed);
        let lost = store.create(start.clone()).await.unwrap_err();
        assert!(matches!(lost, StoreError::Unavailable { .. }), "{lost:?}");
        let again = async || store.create(start.clone()).await.ok();
        assert_eq!(until("an answer", again).await, Created::Existing(id(version)));
    }
    assert_eq!(store.record_versions(&key, None, 99).await.unwrap().len(), 20);
    let check = store.verify_audit().await.unwrap();
    assert_eq!((check.rows, check.broken), (60, None));
}

#[tokio::test]
async fn what_was_committed_and_not_answered_is_there_once_when_it_is_repeated() {
    let Some((store, cuts)) = behind_a_proxy().await else { return };
    let owner = store.enter().await.unwrap().id;
    let start =
        NewExecution { owner: Some(owner), key: key("k", "f"), start: MARK.to_vec(), ..new(1) };
    cuts.store(1, Ordering::Relaxed);
    let lost = store.create(start.clone()).await.unwrap_err();
    assert!(matches!(lost, StoreError::Unavailable { .. }) && lost.is_transient(), "{lost:?}");
    assert_eq!(store.create(start).await, Ok(Created::Existing(id(1))));
    for round in 0..50 {
        let append = Append { segment: MARK.to_vec(), ..append(id(1), round + 1, 1) };
        cuts.store(1, Ordering::Relaxed);
        let lost = store.append(append.clone()).await.unwrap_err();
        assert!(matches!(lost, StoreError::Unavailable { .. }), "{lost:?}");
        assert_eq!(cuts.load(Ordering::Relaxed), 0, "it was cut");
        let repeated = async || store.append(append.clone()).await.ok();
        assert_eq!(until("an answer", repeated).await, Appended::Committed);
    }
    let kept = store.load(id(1)).await.unwrap().unwrap();
    assert_eq!((kept.segments.len(), kept.row.last_seq), (50, 50));
}
