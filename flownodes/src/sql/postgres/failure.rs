//! How PostgreSQL fails, and whether another attempt may succeed.

use deadpool_postgres::PoolError;
use flowcore::NodeError;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, ErrorPosition};

use super::super::error::{said, stopped};
use super::super::query::Request;
use crate::transform::text::position;

/// A server that gives no connection.
pub(super) fn of_connecting(error: &PoolError) -> NodeError {
    let message = "cannot connect to the PostgreSQL server";
    let PoolError::Backend(error) = error else {
        return NodeError::retryable("sql.connect", message);
    };
    // What the server says may name the user and the database, which are part of a secret.
    if let Some(code) = error.code().map(|code| code.code()) {
        let (why, may_pass) = match code {
            "28P01" => ("the password is wrong", false),
            "3D000" => ("there is no such database", false),
            "53300" => ("it has too many connections", true),
            "57P03" => ("it is starting or stopping", true),
            _ if code.starts_with("28") => ("it does not let this user in", false),
            _ => ("it refuses", code.starts_with("08") || code.starts_with("5")),
        };
        return NodeError::new("sql.connect", format!("{message}: {why} ({code})"))
            .with_retryable(may_pass);
    }
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<std::io::Error>()) {
        Some(source) if is_certificate(source) => {
            NodeError::new("sql.connect", format!("{message}: its certificate is not trusted"))
                .with_source(source)
                .with_hint("make the system trust the certificate, or name the file that has it in `SSL_CERT_FILE`")
        }
        Some(source) => NodeError::retryable("sql.connect", message).with_source(source),
        None if error.to_string().contains("TLS") => {
            NodeError::new("sql.connect", format!("{message}: it does not encrypt"))
                .with_hint("without `sslmode=require`, it is used as it is")
        }
        None => NodeError::retryable("sql.connect", message),
    }
}

fn is_certificate(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// Nothing to trust a server by.
pub(super) fn no_certificates() -> NodeError {
    NodeError::new("sql.connect", "the system has no usable certificates")
}

/// A statement that failed.
pub(super) fn of_statement(request: &Request, error: &Error) -> NodeError {
    match error.as_db_error() {
        Some(error) => of_server(request, error),
        None if std::error::Error::source(error).is_none() || error.is_closed() => {
            NodeError::retryable("sql.connection_lost", "the connection to PostgreSQL was lost")
        }
        None => {
            let lost =
                NodeError::retryable("sql.connection_lost", "the connection to PostgreSQL failed");
            said(lost, &error.to_string(), request.params.secret)
        }
    }
}

fn of_server(request: &Request, error: &DbError) -> NodeError {
    let code = error.code().code();
    let failure = match code {
        "57014" => return stopped(),
        "40001" | "40P01" => NodeError::retryable(
            "sql.conflict",
            format!("another transaction is in the way ({code})"),
        ),
        "55P03" => NodeError::retryable("sql.busy", "another transaction holds a lock (55P03)"),
        "57P01" | "57P02" | "57P03" => {
            NodeError::retryable("sql.connection_lost", format!("the server stopped ({code})"))
        }
        "25006" => NodeError::new("sql.read_only", "the database may not be changed (25006)"),
        _ if code.starts_with("08") => {
            NodeError::retryable("sql.connection_lost", format!("the connection failed ({code})"))
        }
        _ if code.starts_with("53") => NodeError::retryable(
            "sql.busy",
            format!("the server has run out of something ({code})"),
        ),
        _ if code.starts_with("23") => {
            NodeError::new("sql.constraint", format!("the statement breaks a constraint ({code})"))
        }
        "42601" if error.message().contains("multiple commands") => {
            return super::super::error::several_statements();
        }
        _ => {
            let place = match error.position() {
                Some(ErrorPosition::Original(at)) => place(request, *at),
                _ => String::new(),
            };
            NodeError::new("sql.failed", format!("the statement failed{place} ({code})"))
        }
    };
    let failure = said(failure, error.message(), request.params.secret);
    match error.hint() {
        Some(hint) if !request.params.secret => failure.with_hint(hint.to_owned()),
        _ => failure,
    }
}

/// Where in the query, when it was sent as it stands in the file.
fn place(request: &Request, at: u32) -> String {
    let before = usize::try_from(at.saturating_sub(1)).unwrap_or(usize::MAX);
    let offset = request.query.char_indices().nth(before).map_or(request.query.len(), |(at, _)| at);
    if request.params.is_named() {
        return String::new();
    }
    let (line, column) = position(&request.query, offset);
    format!(" at line {line}, column {column}")
}
