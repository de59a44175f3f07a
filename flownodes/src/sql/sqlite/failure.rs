//! How SQLite fails, and whether another attempt may succeed.

use std::path::Path;

use flowcore::NodeError;
use rusqlite::{Error, ErrorCode};

use super::super::error::{said, stopped};
use super::super::query::Request;
use crate::transform::text::position;

/// The code of a lock that was waited for in vain.
pub(super) const BUSY: &str = "sql.busy";

/// A folder, a pipe or a device; `None` for a path that is a secret.
pub(super) fn not_a_file(path: Option<&Path>) -> NodeError {
    NodeError::new("sql.connect", format!("cannot open {}: it is not a regular file", name(path)))
}

fn name(path: Option<&Path>) -> String {
    path.map_or_else(|| "the database".to_owned(), |path| format!("`{}`", path.display()))
}

/// A file that could not be opened; `None` for a path that is a secret.
pub(super) fn of_opening(path: Option<&Path>, error: &Error) -> NodeError {
    let name = name(path);
    // The library's own text has the path.
    let text = error.sqlite_error().map(ToString::to_string).unwrap_or_default();
    crate::error::with_cause(NodeError::new("sql.connect", format!("cannot open {name}")), &text)
        .with_hint("the folder must exist; with `read_only`, the file too")
}

/// A statement that failed.
pub(super) fn of_statement(request: &Request, error: &Error) -> NodeError {
    let (text, place) = match error {
        Error::SqlInputError { msg, sql, offset, .. } => {
            let place = usize::try_from(*offset).ok().map(|offset| position(sql, offset));
            (msg.clone(), place)
        }
        Error::SqliteFailure(_, Some(text)) => (text.clone(), None),
        other => (other.to_string(), None),
    };
    let message = match place {
        Some((line, column)) => format!("the statement is wrong at line {line}, column {column}"),
        None => "the statement failed".to_owned(),
    };
    let failure = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => return stopped(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            NodeError::retryable(BUSY, "another connection has locked the database")
        }
        Some(ErrorCode::ConstraintViolation) => {
            NodeError::new("sql.constraint", "the statement breaks a constraint")
        }
        Some(ErrorCode::ReadOnly) => {
            NodeError::new("sql.read_only", "the database may not be changed")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::CannotOpen) => {
            NodeError::new("sql.connect", "the file cannot be opened as a database")
        }
        Some(ErrorCode::AuthorizationForStatementDenied) => {
            NodeError::new("sql.not_allowed", "the statement reaches beyond its database")
                .with_hint("`ATTACH` and `VACUUM INTO` are refused")
        }
        _ => NodeError::new("sql.failed", message),
    };
    said(failure, &text, request.params.secret)
}
