//! What only SQLite files have: one process executes, and a file may be anything.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flowruntime::store::{
    Append, Appended, Claim, Claimed, Created, NewExecution, Query, Retention, Store, StoreError,
};
use flowstore::{Access, AuditCheck, Catalog, Change, Committed, Expect, RecordKey, SqliteStore};
use tempfile::TempDir;

use crate::stage::{
    append, at, blob, definition, digest, ended, entry, id, key, key_of, line, message, new,
    project, put, released,
};

/// Where the process that a test starts finds its file.
const FILE: &str = "FLOW_STORE_TEST_FILE";

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.db");
    (folder, path)
}

async fn executing(path: &Path) -> SqliteStore {
    SqliteStore::open(path, Access::Execute).await.unwrap()
}

async fn refused(path: &Path, access: Access) -> StoreError {
    SqliteStore::open(path, access).await.err().unwrap()
}

#[tokio::test]
async fn one_store_at_a_time_executes() {
    let (folder, path) = folder();
    let store = executing(&path).await;
    store.create(new(1)).await.unwrap();
    // By whatever name it is called.
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    for name in [&path, &link] {
        let error = refused(name, Access::Execute).await;
        let StoreError::InUse { name, holder } = error else { panic!("{error:?}") };
        assert_eq!(holder, format!("process {}", std::process::id()));
        assert!(name.ends_with("flow.db"), "{name}");
    }
    assert!(store.execution(id(1)).await.unwrap().is_some());
    drop(store);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 4, "its log is gone, and its lock and its key stay: {left:?}");
    // The key is that of the file, by whatever name it is called.
    let sealed = executing(&path).await.seal().unwrap().seal(b"s3cret");
    let opened = executing(&link).await.seal().unwrap().open(&sealed);
    assert_eq!(opened.as_deref(), Some(&b"s3cret"[..]));
}

/// Executes from the file until it is killed, and writes the number of each event that is durable.
#[tokio::test]
async fn another_process() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let store = executing(Path::new(&path)).await;
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    store.send(id(1), message(1), None).await.unwrap();
    for seq in 1.. {
        assert_eq!(store.append(append(id(1), seq, 1)).await, Ok(Appended::Committed));
        println!("\nkept {seq}");
        std::io::stdout().flush().unwrap();
    }
}

/// Starts [`another_process`].
fn start(path: &Path) -> (Child, impl Iterator<Item = u64> + use<>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite_files::another_process", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let kept = lines
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("kept ").map(|number| number.parse().unwrap()));
    (child, kept)
}

#[tokio::test]
async fn what_a_killed_process_had_is_claimed_at_once() {
    let (_folder, path) = folder();
    let (mut child, mut kept) = start(&path);
    assert_eq!(kept.next(), Some(1));
    let visitor = SqliteStore::open(&path, Access::Visit).await.unwrap();
    assert!(visitor.execution(id(1)).await.unwrap().unwrap().owner.is_some(), "it lives");
    let error = refused(&path, Access::Execute).await;
    let holder = format!("process {}", child.id());
    assert!(matches!(&error, StoreError::InUse { holder: found, .. } if *found == holder));
    assert_eq!(kept.nth(20), Some(22), "it is not disturbed");
    child.kill().unwrap();
    child.wait().unwrap();
    let last = kept.last().unwrap_or(22);
    // It stands in the rows as the owner, but does not live.
    assert_eq!(visitor.execution(id(1)).await.unwrap().unwrap().owner, None);
    assert_eq!(visitor.load(id(1)).await.unwrap().unwrap().row.owner, None);
    let store = executing(&path).await;
    let row = store.execution(id(1)).await.unwrap().unwrap();
    assert!(row.last_seq >= last, "{} of {last}", row.last_seq);
    let segments = store.segments(id(1), 0, usize::MAX).await.unwrap();
    assert_eq!(u64::try_from(segments.len()).unwrap(), row.last_seq);
    let owner = store.enter().await.unwrap().id;
    let claimed = store.claim(owner, at(-1000), 9).await.unwrap();
    assert_eq!(claimed.executions, [Claim { execution: id(1), fence: 2 }]);
    assert_eq!(store.inbox(owner).await.unwrap(), [(id(1), message(1))]);
    let late = append(id(1), row.last_seq + 1, 1);
    assert_eq!(store.append(late).await, Ok(Appended::Fenced));
}

#[tokio::test]
async fn a_visitor_executes_nothing() {
    let (_folder, path) = folder();
    let store = executing(&path).await;
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    store.create(new(2)).await.unwrap();
    let visitor = SqliteStore::open(&path, Access::Visit).await.unwrap();
    assert_eq!(visitor.enter().await, Err(StoreError::NotExecuting));
    assert_eq!(visitor.claim(owner, at(9), 9).await, Ok(Claimed::default()));
    assert_eq!(visitor.claim_one(owner, id(2)).await, Ok(None));
    assert_eq!(visitor.append(append(id(1), 1, 1)).await, Ok(Appended::Fenced));
    assert_eq!(visitor.renew(owner).await, Ok(false));
    visitor.leave(owner).await.unwrap();
    let own = NewExecution { owner: Some(owner), ..new(3) };
    visitor.create(own).await.unwrap();
    assert_eq!(store.execution(id(3)).await.unwrap().unwrap().owner, None);
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().owner, Some(owner));
    assert_eq!(store.append(append(id(1), 1, 1)).await, Ok(Appended::Committed));
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_alone() {
    let (folder, path) = folder();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("text"), "no database, but long enough".repeat(100)).unwrap();
    let sql = |name: &str, sql: &str| {
        let connection = rusqlite::Connection::open(file(name)).unwrap();
        connection.execute_batch(sql).unwrap();
    };
    sql("other.db", "CREATE TABLE t (a); PRAGMA user_version = 1;");
    drop(executing(&path).await);
    std::fs::copy(&path, file("newer.db")).unwrap();
    sql("newer.db", "PRAGMA user_version = 7;");
    let expected = |name: &str, what: &str| {
        let url = format!("sqlite://{}", file(name).display());
        StoreError::BadUrl { url, message: what.to_owned() }
    };
    let read = |name: &str| std::fs::read(file(name)).ok();
    for (name, error) in [
        ("no/flow.db", expected("no/flow.db", "its folder does not exist")),
        (".", expected(".", "it is not a regular file")),
        ("other.db", expected("other.db", "it is the database of another program")),
        ("text", StoreError::Damaged { message: "file is not a database".to_owned() }),
        ("newer.db", StoreError::TooNew { found: 7, known: 2 }),
    ] {
        let before = read(name);
        for access in [Access::Execute, Access::Visit] {
            let found = refused(&file(name), access).await;
            assert_eq!(found, error, "{name} {access:?}");
        }
        assert!(read(name) == before, "{name} was changed");
    }
}

#[tokio::test]
async fn a_file_that_goes_is_missed() {
    let (folder, path) = folder();
    let store = executing(&path).await;
    store.create(new(1)).await.unwrap();
    let elsewhere = folder.path().join("elsewhere.db");
    let check = async |what: &str| {
        let StoreError::Unavailable { message } = store.create(new(2)).await.unwrap_err() else {
            panic!("another error");
        };
        assert!(message.ends_with(&format!("flow.db` was {what} while it was open")), "{message}");
        assert!(store.execution(id(1)).await.is_err());
    };
    std::fs::rename(&path, &elsewhere).unwrap();
    check("removed").await;
    std::fs::write(&path, "").unwrap();
    check("replaced by another").await;
    // It goes on with the one that it had.
    std::fs::rename(&elsewhere, &path).unwrap();
    store.create(new(2)).await.unwrap();
    assert!(store.execution(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn what_was_asked_for_is_done_when_it_is_dropped() {
    let (_folder, path) = folder();
    let store = executing(&path).await;
    let owner = store.enter().await.unwrap().id;
    store.create(NewExecution { owner: Some(owner), ..new(1) }).await.unwrap();
    let answers: Vec<_> = (1..=200).map(|seq| store.append(append(id(1), seq, 1))).collect();
    drop(store);
    for answer in answers {
        assert_eq!(answer.await, Ok(Appended::Committed));
    }
    let store = executing(&path).await;
    assert_eq!(store.execution(id(1)).await.unwrap().unwrap().last_seq, 200);
}

/// A file of an earlier version, which every later one reads. It is made when it is asked for and not
/// there.
async fn golden(name: &str, make: impl AsyncFn(&SqliteStore)) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    if std::env::var_os("FLOW_UPDATE").is_some() && !golden.exists() {
        let (_folder, path) = folder();
        make(&executing(&path).await).await;
        std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute("VACUUM INTO ?1", [golden.to_str().unwrap()]).unwrap();
    }
    golden
}

/// What stands in the file of the first version. This never changes.
async fn make_first(store: &SqliteStore) {
    let owner = store.enter().await.unwrap().id;
    let owned = |number| NewExecution { owner: Some(owner), ..new(number) };
    let waiting = NewExecution {
        definition: definition("what is run"),
        blobs: vec![blob("started with")],
        key: key("k", "f"),
        rerun_of: Some(id(7)),
        ..owned(1)
    };
    for execution in [waiting, owned(2), owned(3), new(4)] {
        store.create(execution).await.unwrap();
    }
    let wait = Append {
        blobs: vec![blob("written")],
        logs: vec![line("said"), line("more")],
        progress: released(Some(at(500))),
        ..append(id(1), 1, 3)
    };
    let mut failure = ended(70);
    failure.status = flowcore::ExecutionStatus::Failed;
    failure.error = Some(flowcore::ExecutionError {
        code: "http.status".to_owned(),
        message: "the server said 500".to_owned(),
        node: Some("fetch".to_owned()),
        attempts: Some(2),
        hint: None,
    });
    for append in [wait, append(id(2), 1, 1), Append { progress: failure, ..append(id(3), 1, 2) }] {
        assert_eq!(store.append(append).await, Ok(Appended::Committed));
    }
    store.send(id(2), message(1), None).await.unwrap();
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read_for_ever() {
    let (_folder, path) = folder();
    std::fs::copy(golden("sqlite-v1.db", make_first).await, &path).unwrap();
    let store = executing(&path).await;
    // The same calls again, by this version.
    let (_other_folder, other) = self::folder();
    make_first(&executing(&other).await).await;
    let made = executing(&other).await;
    same_executions(&store, &made, &Query::default(), 4).await;
    let digests = ["started with", "written"].map(digest);
    assert_eq!(store.blobs(&digests).await.unwrap().len(), 2);
    // The key is that of the project which it came into.
    let again = NewExecution { key: key("k", "f"), ..new(9) };
    assert_eq!(store.create(again.clone()).await, Ok(Created::Existing(id(1))));
    let elsewhere = NewExecution { project: project("p"), ..again };
    assert_eq!(store.create(elsewhere).await, Ok(Created::New));
    // It goes on where it was.
    let owner = store.enter().await.unwrap().id;
    let claimed = store.claim(owner, at(500), 9).await.unwrap();
    let expected = [(2, 2), (4, 1), (9, 1), (1, 2)]
        .map(|(number, fence)| Claim { execution: id(number), fence });
    assert_eq!(claimed.executions, expected);
    let next = Append { fence: 2, progress: ended(600), ..append(id(2), 2, 1) };
    assert_eq!(store.append(next).await, Ok(Appended::Committed));
    let all = Retention { max_age: None, max_count: Some(0) };
    assert_eq!(store.prune(&all, at(700)).await.unwrap().executions, 2);
    // And has a catalog.
    let put = put(&key_of("p", "workflow", "w"), Expect::Absent, "{}");
    let committed = store.commit(at(700), vec![put], vec![entry(700, None, "said")]).await;
    assert_eq!(committed, Ok(Committed::Done(vec![1])));
}

/// The executions of a query, so many, are the same in both.
async fn same_executions(one: &SqliteStore, other: &SqliteStore, query: &Query, count: usize) {
    let rows = one.executions(query).await.unwrap();
    assert_eq!(rows.len(), count);
    for row in rows {
        let kept = one.load(row.id).await.unwrap();
        assert_eq!(other.load(row.id).await.unwrap(), kept);
        let messages = one.messages(row.id).await.unwrap();
        assert_eq!(other.messages(row.id).await.unwrap(), messages);
        let logs = one.logs(row.id, 0, 9).await.unwrap();
        assert_eq!(other.logs(row.id, 0, 9).await.unwrap(), logs);
    }
}

/// What stands in the file of the second version. This never changes.
async fn make_second(store: &SqliteStore) {
    make_first(store).await;
    let (project, version) = (project("p"), Some(2));
    store.create(NewExecution { project, version, key: key("k", "g"), ..new(5) }).await.unwrap();
    let (kept, gone) = (key_of("p", "workflow", "w"), key_of("p", "secret", "s"));
    let installation = RecordKey { project: None, ..key_of("p", "project", "p") };
    let delete = Change { body: None, keeps_earlier: false, ..put(&gone, Expect::Version(1), "") };
    for (second, changes) in (80..).zip([
        vec![put(&installation, Expect::Absent, "{}")],
        vec![put(&kept, Expect::Absent, "one"), put(&gone, Expect::Absent, "s3cret")],
        vec![put(&kept, Expect::Version(1), "two"), delete],
    ]) {
        let audit = vec![entry(second, Some("p"), "changed"), entry(second, None, "said")];
        let committed = store.commit(at(second), changes, audit).await.unwrap();
        assert!(matches!(committed, Committed::Done(_)), "{committed:?}");
    }
}

#[tokio::test]
async fn a_file_of_the_second_version_is_read_for_ever() {
    let (_folder, path) = folder();
    std::fs::copy(golden("sqlite-v2.db", make_second).await, &path).unwrap();
    let store = executing(&path).await;
    let (_other_folder, other) = self::folder();
    make_second(&executing(&other).await).await;
    let made = executing(&other).await;
    same_executions(&store, &made, &Query::default(), 4).await;
    let of_project = Query { project: project("p"), ..Query::default() };
    same_executions(&store, &made, &of_project, 1).await;
    let records = store.changes_after(0, 9).await.unwrap();
    assert_eq!(made.changes_after(0, 9).await.unwrap(), records);
    assert_eq!(records.len(), 3);
    let kept = key_of("p", "workflow", "w");
    let versions = store.record_versions(&kept, None, 9).await.unwrap();
    assert_eq!(made.record_versions(&kept, None, 9).await.unwrap(), versions);
    assert_eq!(versions.len(), 2);
    // The hashes are those of today.
    let whole = AuditCheck { chains: 1, rows: 6, broken: None };
    assert_eq!(store.verify_audit().await.unwrap(), whole);
    let entries = async |store: &SqliteStore| {
        let rows = store.audit(None, None, 9).await.unwrap();
        rows.into_iter().map(|row| row.entry).collect::<Vec<_>>()
    };
    assert_eq!(entries(&store).await, entries(&made).await);
    // Numbers go on where they were.
    let again = put(&key_of("p", "secret", "s"), Expect::Absent, "other");
    let committed = store.commit(at(90), vec![again], Vec::new()).await;
    assert_eq!(committed, Ok(Committed::Done(vec![3])));
    let last = records.last().unwrap().change;
    assert!(store.changes_after(last, 9).await.unwrap().len() == 1);
}
