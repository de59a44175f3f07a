//! The limit: the same rows, written with `rusqlite` by one thread that does nothing else.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Events of an execution, or what it started with.
pub struct Row {
    /// The number of the execution.
    pub execution: i64,
    /// The number of the first event.
    pub first_seq: u64,
    /// The number of the last event.
    pub last_seq: u64,
    /// The events, encoded.
    pub bytes: Vec<u8>,
}

/// Writes the rows into a new file, so many in each transaction on average, and flushes each.
///
/// # Panics
/// When they are not all there afterwards.
pub fn write(file: &Path, rows: &[&Row], per_commit: f64) -> Duration {
    let took = try_write(file, rows, per_commit).expect("SQLite writes");
    for end in ["", "-wal", "-shm"] {
        let mut file = file.as_os_str().to_owned();
        file.push(end);
        // SQLite has removed two of them.
        let _ = std::fs::remove_file(file);
    }
    took
}

fn try_write(file: &Path, rows: &[&Row], per_commit: f64) -> rusqlite::Result<Duration> {
    let connection = Connection::open(file)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.execute_batch(
        "CREATE TABLE segments (execution INTEGER NOT NULL, first_seq INTEGER NOT NULL, \
         last_seq INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (execution, first_seq)) \
         WITHOUT ROWID",
    )?;
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut commit = connection.prepare("COMMIT")?;
    let mut insert = connection.prepare("INSERT INTO segments VALUES (?1, ?2, ?3, ?4)")?;
    let began = Instant::now();
    let (mut written, mut due) = (0, 0.0);
    while written < rows.len() {
        due += per_commit;
        begin.execute(())?;
        // At least one: an empty transaction flushes nothing.
        loop {
            let Row { execution, first_seq, last_seq, bytes } = &rows[written];
            let number = |seq: &u64| i64::try_from(*seq).expect("it is small");
            insert.execute((execution, number(first_seq), number(last_seq), bytes))?;
            written += 1;
            if written == rows.len() || written as f64 >= due {
                break;
            }
        }
        commit.execute(())?;
    }
    let took = began.elapsed();
    let kept: i64 = connection.query_one("SELECT count(*) FROM segments", (), |row| row.get(0))?;
    assert_eq!(kept, i64::try_from(rows.len()).expect("it is small"));
    Ok(took)
}
