//! What is done when SQLite or the disk does not do its part.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flowcore::{EVENT_FORMAT, ExecutionStatus, Value, WorkflowId};
use flowruntime::store::{Blob, Progress};
use futures_util::future::join_all;
use rusqlite::ffi;
use uuid::Uuid;

use super::*;

struct Bench {
    store: SqliteStore,
    owner: OwnerId,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flow.db");
        let store = SqliteStore::open(&path, Access::Execute).await.unwrap();
        let owner = store.enter().await.unwrap().id;
        Self { store, owner, path, _folder: folder }
    }

    fn new_execution(&self, number: u64, start: Vec<u8>) -> NewExecution {
        NewExecution {
            id: id(number),
            workflow_id: WorkflowId::new("orders").unwrap(),
            definition: Arc::new(Definition {
                digest: Digest::of(&Value::from("{}")),
                text: "{}".to_owned(),
            }),
            start,
            blobs: Vec::new(),
            key: None,
            owner: Some(self.owner),
            rerun_of: None,
            created_at: Timestamp::from_millis(1000),
            format: EVENT_FORMAT,
        }
    }

    async fn create(&self, number: u64) -> Result<Created, StoreError> {
        self.store.create(self.new_execution(number, vec![1])).await
    }

    /// Another connection, as of another program.
    fn other(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }

    fn log_size(&self) -> u64 {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        Path::new(&name).metadata().map_or(0, |found| found.len())
    }
}

fn id(number: u64) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::from_u64_pair(1, number))
}

fn append(number: u64, seq: u64, segment: Vec<u8>) -> Append {
    Append {
        execution: id(number),
        fence: 1,
        first_seq: seq,
        last_seq: seq,
        segment,
        blobs: Vec::new(),
        taken: Vec::new(),
        first_line: 1,
        logs: Vec::new(),
        progress: Progress {
            status: ExecutionStatus::Running,
            started_at: None,
            at: Timestamp::from_millis(2000),
            wake_at: None,
            release: false,
            error: None,
        },
    }
}

#[tokio::test]
async fn what_is_committed_is_flushed() {
    let bench = Bench::new().await;
    let pragmas = ["synchronous", "journal_mode", "wal_autocheckpoint", "trusted_schema"];
    let read = move |tables: &mut Tables<'_>| {
        let read = |pragma: &str| {
            tables.db.query_one(&format!("PRAGMA {pragma}"), (), |row| {
                row.get::<_, rusqlite::types::Value>(0)
            })
        };
        pragmas.iter().map(|pragma| Ok(format!("{:?}", read(pragma)?))).collect()
    };
    let found: Vec<String> = bench.store.change(read).await.unwrap();
    assert_eq!(found, ["Integer(2)", "Text(\"wal\")", "Integer(0)", "Integer(0)"]);
}

#[tokio::test]
async fn many_changes_share_a_flush() {
    let bench = Bench::new().await;
    bench.create(1).await.unwrap();
    let before = bench.store.metrics();
    // The first holds the writer up until the others wait.
    let (go, wait) = std::sync::mpsc::channel();
    let held = bench.store.requests().unwrap().ask(None, move |_| {
        let _ = wait.recv();
        Ok(())
    });
    let answers: Vec<_> =
        (1..=300).map(|seq| bench.store.append(append(1, seq, vec![2]))).collect();
    assert!(bench.store.metrics().waiting >= 300);
    go.send(()).unwrap();
    answer(held).await.unwrap();
    for answer in join_all(answers).await {
        assert_eq!(answer, Ok(Appended::Committed));
    }
    let after = bench.store.metrics();
    assert_eq!(after.appends - before.appends, 300);
    assert!(after.commits - before.commits < 100, "{before:?} {after:?}");
    assert_eq!((after.waiting, after.connections), (0, 5));
}

#[tokio::test]
async fn more_than_may_wait_wait_to_be_asked() {
    let bench = Bench::new().await;
    let many = u64::try_from(MOST_WAITING * 3).unwrap();
    let created = join_all((0..many).map(|number| bench.create(number))).await;
    assert!(created.iter().all(|created| *created == Ok(Created::New)));
    assert_eq!(bench.store.places.available_permits(), MOST_WAITING);
}

#[tokio::test]
async fn what_finds_no_room_does_not_stop_the_others() {
    let bench = Bench::new().await;
    bench.create(1).await.unwrap();
    bench.create(2).await.unwrap();
    let room = |pages: u32| {
        bench.store.change(move |tables| {
            let count: u32 = tables.db.query_one("PRAGMA page_count", (), |row| row.get(0))?;
            tables.db.pragma_update_and_check(None, "max_page_count", count + pages, |_| Ok(()))
        })
    };
    room(20).await.unwrap();
    let large = append(1, 1, vec![3; 1_000_000]);
    let answers = [large.clone(), append(2, 1, vec![4])].map(|append| bench.store.append(append));
    let [full, small] = <[_; 2]>::try_from(join_all(answers).await).unwrap();
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    assert_eq!(small, Ok(Appended::Committed));
    assert_eq!(bench.store.execution(id(1)).await.unwrap().unwrap().last_seq, 0);
    room(1000).await.unwrap();
    assert_eq!(bench.store.append(large).await, Ok(Appended::Committed));
}

#[tokio::test]
async fn after_a_failed_write_the_file_is_opened_anew() {
    let bench = Bench::new().await;
    bench.create(1).await.unwrap();
    // Of this connection only.
    let mark = |tables: &mut Tables<'_>| tables.db.execute_batch("CREATE TEMP TABLE mark (a)");
    bench.store.change(mark).await.unwrap();
    let fail = |tables: &mut Tables<'_>| {
        tables.db.execute("DELETE FROM executions", ())?;
        let error = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
        Err::<(), _>(rusqlite::Error::SqliteFailure(error, Some("the flush failed".to_owned())))
    };
    let expected = StoreError::Unavailable { message: "the flush failed".to_owned() };
    assert_eq!(bench.store.change(fail).await, Err(expected));
    assert!(bench.store.execution(id(1)).await.unwrap().is_some());
    bench.store.change(mark).await.expect("a new connection");
    let flushed = |tables: &mut Tables<'_>| {
        tables.db.query_one("PRAGMA synchronous", (), |row| row.get::<_, i32>(0))
    };
    assert_eq!(bench.store.change(flushed).await, Ok(2));
    bench.create(2).await.unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_made_is_told_alone() {
    let bench = Bench::new().await;
    let broken = bench.store.change(|tables| {
        tables.db.execute("INSERT INTO leftovers VALUES (1)", ())?;
        tables.db.execute("INSERT INTO blobs (digest, bytes) VALUES (x'00', x'00')", ())
    });
    let (broken, created) = tokio::join!(broken, bench.create(1));
    assert!(matches!(broken, Err(StoreError::Damaged { .. })), "{broken:?}");
    assert_eq!(created, Ok(Created::New));
    let left = |tables: &mut Tables<'_>| tables.db.prepare("SELECT 1 FROM leftovers")?.exists(());
    assert_eq!(bench.store.change(left).await, Ok(false));
}

#[tokio::test]
async fn another_program_that_writes_is_waited_for() {
    let bench = Bench::new().await;
    let other = bench.other();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM inbox;").unwrap();
    // Nobody who reads is held up.
    assert_eq!(bench.store.execution(id(1)).await, Ok(None));
    let busy = bench.create(1).await;
    assert!(matches!(busy, Err(StoreError::Unavailable { .. })), "{busy:?}");
    let mut bell = bench.store.bell();
    bell.borrow_and_update();
    let waiting = bench.create(2);
    let release = async { other.execute_batch("COMMIT").unwrap() };
    let (created, ()) = tokio::join!(waiting, release);
    assert_eq!(created, Ok(Created::New));
    assert_eq!(bench.create(1).await, Ok(Created::New));
}

#[tokio::test]
async fn a_long_reader_does_not_let_the_log_grow_for_ever() {
    let bench = Bench::new().await;
    bench.create(1).await.unwrap();
    let reader = bench.other();
    reader.execute_batch("BEGIN; SELECT count(*) FROM executions;").unwrap();
    let mut seq = 0;
    let mut write = async |count: u64| {
        for _ in 0..count {
            seq += 1;
            let written = bench.store.append(append(1, seq, vec![5; 40_000])).await;
            assert_eq!(written, Ok(Appended::Committed));
        }
    };
    write(100).await;
    let grown = bench.log_size();
    assert!(grown > 3_000_000, "nobody may move what is being read: {grown}");
    reader.execute_batch("COMMIT").unwrap();
    // Once the readers are gone it begins anew, and does not grow beyond some pages.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while bench.log_size() >= grown {
        assert!(std::time::Instant::now() < deadline, "{}", bench.log_size());
        write(5).await;
    }
    write(200).await;
    assert!(bench.log_size() < grown, "{}", bench.log_size());
}

#[tokio::test]
async fn what_is_forgotten_is_swept_bit_by_bit() {
    let bench = Bench::new().await;
    bench.create(1).await.unwrap();
    let blobs: Vec<Blob> = (0..40_u8)
        .map(|number| Blob {
            digest: Digest::of(&Value::from(i64::from(number))),
            bytes: vec![number; 20_000].into(),
        })
        .collect();
    for seq in 1..=200 {
        let blobs = if seq == 1 { blobs.clone() } else { Vec::new() };
        let all = Append { blobs, ..append(1, seq, vec![6; 20_000]) };
        assert_eq!(bench.store.append(all).await, Ok(Appended::Committed));
    }
    let mut end = append(1, 201, vec![7]);
    end.progress.status = ExecutionStatus::Succeeded;
    assert_eq!(bench.store.append(end).await, Ok(Appended::Committed));
    // As if the process had died after the first step.
    let bound = Bound { ended_at: Timestamp::from_millis(9000), id: None };
    let forget = move |tables: &mut Tables<'_>| change::forget(tables, bound);
    assert_eq!(bench.store.change(forget).await, Ok(1));
    assert_eq!(bench.store.load(id(1)).await, Ok(None));
    bench.create(1).await.unwrap();
    assert_eq!(bench.store.segments(id(1), 0, 9).await, Ok(vec![]));
    let everything = Retention { max_age: None, max_count: Some(0) };
    let pruned = bench.store.prune(&everything, Timestamp::from_millis(9000)).await.unwrap();
    assert_eq!(pruned.executions, 0);
    let left = |tables: &mut Tables<'_>| {
        let mut counts = Vec::new();
        for table in ["leftovers", "segments", "blobs", "blob_uses", "executions"] {
            let sql = format!("SELECT count(*) FROM {table}");
            counts.push(tables.db.query_one(&sql, (), |row| row.get::<_, i64>(0))?);
        }
        Ok(counts)
    };
    // The start of the one that came after.
    assert_eq!(bench.store.change(left).await, Ok(vec![0, 1, 0, 0, 1]));
}
