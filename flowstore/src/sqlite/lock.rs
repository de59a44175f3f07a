//! Who executes from a file: whoever has locked `<file>.lock`.
//!
//! The lock is one of the operating system, which lets go of it when the process ends, however it
//! ends. The file stays: taking it away would let two have a lock of that name.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowruntime::store::StoreError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How often a lock that is held is tried again: those that only look hold it for a moment.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Held until it is dropped.
pub(super) struct Lock {
    _file: File,
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(".lock");
    PathBuf::from(name)
}

fn failed(what: &str, path: &Path, error: impl Into<io::Error>) -> StoreError {
    let error = error.into();
    let message = format!("cannot {what} `{}`: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull => StoreError::Full { message },
        _ => StoreError::Unavailable { message },
    }
}

impl Lock {
    /// Takes the lock of a database; waits at most a tenth of a second.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, or another store in this one.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|error| failed("open", &path, error))?;
        let mut tries = 0;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(BETWEEN_TRIES);
                }
                Err(Errno::WOULDBLOCK) => {
                    let name = database.display().to_string();
                    return Err(StoreError::InUse { name, holder: holder_in(&mut file) });
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed("lock", &path, error)),
            }
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(|error| failed("write", &path, error))?;
        Ok(Self { _file: file })
    }
}

/// Who executes from a database, or `None` when nobody does.
pub(super) fn holder(database: &Path) -> Option<String> {
    let mut file = File::open(lock_path(database)).ok()?;
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Some(holder_in(&mut file)),
        // It is let go with the file.
        _ => None,
    }
}

fn holder_in(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), pid) if !pid.is_empty() => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_others_see_who() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("flow.db");
        assert_eq!(holder(&database), None);
        let lock = Lock::take(&database).unwrap();
        let own = format!("process {}", std::process::id());
        assert_eq!(holder(&database), Some(own.clone()));
        let refused = Lock::take(&database).err().unwrap();
        let name = database.display().to_string();
        assert_eq!(refused, StoreError::InUse { name, holder: own });
        drop(lock);
        assert_eq!(holder(&database), None);
        Lock::take(&database).unwrap();
    }
}
