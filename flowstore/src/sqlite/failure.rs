//! What a failure of SQLite means for whoever asked.

use flowruntime::store::StoreError;
use rusqlite::{Error, ErrorCode, ffi};

/// Whether the connection cannot be trusted any more: after a failed write or flush, nobody knows what
/// of it is on the disk.
pub(super) fn is_of_the_disk(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// Whether another process has the lock.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The index of the log, which is made when a file is opened, cannot grow.
fn has_no_room_for_index(error: &Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
}

pub(super) fn to_store_error(error: &Error) -> StoreError {
    let text = match error {
        Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    };
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { message: text },
        Some(ErrorCode::SystemIoFailure) if has_no_room_for_index(error) => {
            StoreError::Full { message: "there is no room to open it".to_owned() }
        }
        Some(ErrorCode::TooBig) => {
            StoreError::Full { message: "a value is larger than a row may be".to_owned() }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Unavailable {
            message: "another process holds the write lock of the file".to_owned(),
        },
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted
            | ErrorCode::SchemaChanged,
        ) => StoreError::Unavailable { message: text },
        // What is kept breaks its own rules, or cannot be read as what it is.
        _ => StoreError::Damaged { message: text },
    }
}
