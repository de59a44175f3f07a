//! The file: how it is found, opened and brought up to date.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flowruntime::store::StoreError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::failure::{is_busy, to_store_error};
use super::lock::{Lock, holder};
use crate::Access;

/// What brings the tables from each form to the next. Never changed once released: a file keeps the
/// forms that it went through.
const MIGRATIONS: [&str; 2] = [include_str!("migrations/1.sql"), include_str!("migrations/2.sql")];

/// The newest form, which this version makes.
#[expect(clippy::cast_possible_truncation, reason = "there are not so many")]
const FORM: u32 = MIGRATIONS.len() as u32;

/// `FLOW`: says whose file it is.
const APPLICATION_ID: i32 = 0x464C_4F57;

/// How long a lock of another process is waited for, each time. Those that only leave messages hold
/// it for as long as a flush takes.
pub(super) const BUSY_LIMIT: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5000 });

/// A log that grew because of a long reader is cut back to this, in bytes.
const LOG_SIZE_LIMIT: i64 = 32 << 20;

/// What a connection that writes keeps of the file in memory, in KiB: the ends of the tables and
/// indexes, where new rows go.
const CACHE: i32 = 16 << 10;

/// How many statements a connection keeps prepared: more than there are.
const STATEMENTS: usize = 128;

/// A database file.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile {
    path: PathBuf,
    /// Device and number of the file that was opened.
    identity: Option<(u64, u64)>,
}

impl DatabaseFile {
    /// # Errors
    /// [`StoreError::BadUrl`] when there can be no file.
    pub(super) fn find(path: &Path) -> Result<Self, StoreError> {
        let bad = |message: &str| StoreError::BadUrl {
            url: format!("sqlite://{}", path.display()),
            message: message.to_owned(),
        };
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            // Opening a pipe could wait for ever.
            return Err(bad("it is not a regular file"));
        }
        // One file has one lock, by whatever links it is reached.
        let found = path.canonicalize().or_else(|_| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
            Ok::<_, std::io::Error>(folder.join(path.file_name().unwrap_or_default()))
        });
        let path = found.map_err(|_| bad("its folder does not exist"))?;
        Ok(Self { path, identity: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn current_identity(&self) -> Option<(u64, u64)> {
        self.path.metadata().ok().map(|found| (found.dev(), found.ino()))
    }

    /// Whether it is still the file that was opened: SQLite goes on writing to one that was removed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it was removed or replaced.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let current = self.current_identity();
        if current == self.identity {
            return Ok(());
        }
        let what = if current.is_none() { "removed" } else { "replaced by another" };
        let message = format!("the file `{}` was {what} while it was open", self.path.display());
        Err(StoreError::Unavailable { message })
    }

    /// Opens it, makes it if there is none, and brings it up to date.
    pub(super) fn open_first(&mut self, access: Access) -> Result<Connection, StoreError> {
        let mut connection = self.connect(OpenFlags::SQLITE_OPEN_CREATE)?;
        let deadline = Instant::now() + BUSY_LIMIT;
        loop {
            match self.bring_up_to_date(&mut connection, access) {
                // Whoever executes has just made it.
                Err(StoreError::InUse { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                done => break done?,
            }
        }
        // The tables may be ours only now.
        set_up(&connection, access).map_err(|error| to_store_error(&error))?;
        self.identity = self.current_identity();
        Ok(connection)
    }

    /// Opens it once more, to write.
    pub(super) fn open_again(&self, access: Access) -> Result<Connection, StoreError> {
        self.check()?;
        let connection = self.connect(OpenFlags::empty())?;
        set_up(&connection, access).map_err(|error| to_store_error(&error))?;
        Ok(connection)
    }

    /// Opens it once more, to read.
    pub(super) fn open_to_read(&self) -> Result<Connection, StoreError> {
        self.check()?;
        let connection = self.connect(OpenFlags::empty())?;
        let set_up = connection.pragma_update(None, "query_only", true);
        set_up.map_err(|error| to_store_error(&error))?;
        Ok(connection)
    }

    fn connect(&self, flags: OpenFlags) -> Result<Connection, StoreError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(BUSY_LIMIT)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
            // Otherwise whatever is planned by a value that is bound is prepared again for each.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cell_size_check", true)?;
            connection.pragma_update(None, "temp_store", "memory")?;
            Ok(connection)
        };
        connect().map_err(|error| to_store_error(&error))
    }

    fn bring_up_to_date(
        &self,
        connection: &mut Connection,
        access: Access,
    ) -> Result<(), StoreError> {
        // As of one moment: another process may be making the tables right now.
        let moment = connection.transaction().map_err(|error| to_store_error(&error))?;
        if self.form(&moment)? == FORM {
            return Ok(());
        }
        drop(moment);
        // Nobody changes the tables under one that executes. One that executes has the lock already.
        let _lock = match access {
            Access::Execute => None,
            Access::Visit => Some(Lock::take(&self.path)?),
        };
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| to_store_error(&error))?;
        let form = self.form(&transaction)?;
        let migrate = || {
            for migration in MIGRATIONS.iter().skip(form as usize) {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "user_version", FORM)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.commit()
        };
        migrate().map_err(|error| to_store_error(&error))
    }

    /// Which form the tables have; 0 when there are none.
    fn form(&self, connection: &Connection) -> Result<u32, StoreError> {
        let number = |pragma: &str| {
            let number = connection.query_one(pragma, [], |row| row.get::<_, i32>(0));
            number.map_err(|error| to_store_error(&error))
        };
        if number("PRAGMA application_id")? != APPLICATION_ID {
            let has_tables = number("SELECT EXISTS (SELECT 1 FROM sqlite_schema)")? != 0;
            if has_tables || number("PRAGMA user_version")? != 0 {
                let url = format!("sqlite://{}", self.path.display());
                let message = "it is the database of another program".to_owned();
                return Err(StoreError::BadUrl { url, message });
            }
        }
        let found = u32::try_from(number("PRAGMA user_version")?).unwrap_or(u32::MAX);
        if found > FORM {
            return Err(StoreError::TooNew { found, known: FORM });
        }
        Ok(found)
    }

    /// Whether anybody executes from it.
    pub(super) fn is_executed(&self) -> bool {
        holder(&self.path).is_some()
    }
}

/// What a connection that writes needs.
fn set_up(connection: &Connection, access: Access) -> rusqlite::Result<()> {
    let set_mode = || connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()));
    // The first to open it does that alone, and is not waited for.
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        match set_mode() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => break done?,
        };
    }
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "synchronous", "full")?;
    // A flush of macOS reaches the disk only so.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_SIZE_LIMIT)?;
    match access {
        // The writer moves the log into the file when nobody waits for it.
        Access::Execute => connection.pragma_update(None, "wal_autocheckpoint", 0),
        Access::Visit => Ok(()),
    }
}
