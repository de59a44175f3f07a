//! The write-ahead log, which is moved into the file when it has become long.
//!
//! SQLite would do that within a commit, and all who wait for that commit would wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::file::BUSY_LIMIT;
use crate::Access;

/// How many pages of the log are moved into the file at once: 16 MiB.
const PAGES_TO_MOVE: i32 = if cfg!(test) { 100 } else { 4000 };

/// From here on readers are waited for, so that the log begins anew: 48 MiB.
const PAGES_TO_CUT: i32 = if cfg!(test) { 300 } else { 12_000 };

/// How long readers are waited for, and how often.
const CUT_WAIT: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 50 });
const CUT_EVERY: Duration = Duration::from_millis(if cfg!(test) { 0 } else { 2000 });

/// How long the log is: what is committed stands there first.
pub(super) struct Log {
    pages: Arc<AtomicI32>,
    /// It is moved when it is longer than this.
    move_at: i32,
    cut_at: Instant,
}

impl Default for Log {
    fn default() -> Self {
        Self { pages: Arc::default(), move_at: PAGES_TO_MOVE, cut_at: Instant::now() }
    }
}

impl Log {
    /// Lets a connection tell. Visitors leave it to SQLite.
    pub(super) fn watch(
        &self,
        connection: &mut Connection,
        access: Access,
    ) -> rusqlite::Result<()> {
        if access == Access::Visit {
            return Ok(());
        }
        let pages = self.pages.clone();
        connection.wal_hook(Some(move |_: &mut Wal, count| {
            pages.store(count, Ordering::Relaxed);
            Ok(())
        }))
    }

    /// Moves it when it has become long.
    pub(super) fn tidy(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < PAGES_TO_MOVE {
            self.move_at = PAGES_TO_MOVE;
        }
        if pages >= PAGES_TO_CUT && Instant::now() >= self.cut_at {
            self.cut_at = Instant::now() + CUT_EVERY;
            connection.busy_timeout(CUT_WAIT)?;
            let cut = checkpoint(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
            connection.busy_timeout(BUSY_LIMIT)?;
            return cut;
        }
        if pages >= self.move_at {
            // It may go on growing while somebody reads what stands in it.
            self.move_at = pages.saturating_add(PAGES_TO_MOVE);
            checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        }
        Ok(())
    }
}

/// How far it came is seen with the next commit.
fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.query_one(sql, (), |_| Ok(()))
}
