//! How PostgreSQL fails, and what that means for what was asked.

use deadpool_postgres::{PoolError, TimeoutType};
use flowruntime::store::StoreError;
use tokio_postgres::Error;

/// Another transaction was in the way, and this one was undone: it is done again.
pub(super) fn is_conflict(error: &Error) -> bool {
    matches!(state(error), Some("40001" | "40P01"))
}

/// Something that was not there when it was looked for is there now.
pub(super) fn is_duplicate(error: &Error) -> bool {
    state(error) == Some("23505")
}

/// The fault of one of the values, not of the server: without it, the others are kept.
pub(super) fn is_of_values(error: &Error) -> bool {
    state(error).is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
}

/// What a failed statement means.
pub(super) fn of(error: &Error) -> StoreError {
    let Some(server) = error.as_db_error() else {
        let source = std::error::Error::source(error);
        let message = source.map_or_else(|| error.to_string(), ToString::to_string);
        return unavailable(format!("the connection to PostgreSQL failed: {message}"));
    };
    let code = server.code().code();
    let message = format!("{} ({code})", server.message());
    match code {
        "53100" => StoreError::Full { message },
        "53300" => StoreError::Saturated { waiting: 0 },
        _ if ["22", "42", "54", "XX"].iter().any(|class| code.starts_with(class)) => {
            StoreError::Damaged { message }
        }
        _ => unavailable(message),
    }
}

/// What it means that there is no connection.
pub(super) fn of_pool(error: &PoolError, waiting: usize) -> StoreError {
    match error {
        PoolError::Backend(error) => match of(error) {
            StoreError::Saturated { .. } => StoreError::Saturated { waiting },
            other => other,
        },
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Saturated { waiting },
        PoolError::Closed => StoreError::Closed,
        PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            unavailable("PostgreSQL gives no connection".to_owned())
        }
    }
}

/// What it means that a store cannot be opened: what the URL says, and what will pass, are told apart.
pub(super) fn of_opening(error: &Error, url: &str) -> StoreError {
    let bad =
        |message: &str| StoreError::BadUrl { url: url.to_owned(), message: message.to_owned() };
    match state(error) {
        Some("28P01") => bad("the password is wrong"),
        Some("3D000") => bad("there is no such database"),
        Some("42501") => bad("the user may not make tables there"),
        Some(code) if code.starts_with("28") => bad("the server does not let this user in"),
        _ => of(error),
    }
}

/// The outcome is unknown.
pub(super) fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable { message }
}

/// Whoever was asked stopped before it answered.
pub(super) fn unanswered() -> StoreError {
    unavailable("the answer was lost".to_owned())
}

/// A row that says what no version of Flow wrote.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged { message: format!("{what} cannot be read") }
}

fn state(error: &Error) -> Option<&str> {
    error.code().map(|state| state.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn failures_say_what_became_of_the_request() {
        let Some(server) = testkit::postgres() else { return };
        let url = server.url();
        let (client, connection) =
            tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let fail = async |code: &str| {
            let raise =
                format!("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$");
            client.batch_execute(&raise).await.unwrap_err()
        };
        for (code, expected) in [
            ("53100", "store.full"),
            ("53300", "store.saturated"),
            ("57P01", "store.unavailable"),
            ("08006", "store.unavailable"),
            ("58030", "store.unavailable"),
            ("25006", "store.unavailable"),
            ("40P01", "store.unavailable"),
            ("42P01", "store.damaged"),
            ("XX001", "store.damaged"),
            ("22021", "store.damaged"),
        ] {
            let error = fail(code).await;
            assert_eq!(of(&error).code(), expected, "{code}");
            assert_eq!(is_conflict(&error), code == "40P01");
            assert_eq!(is_of_values(&error), code == "22021");
        }
        for (code, expected) in [("28P01", "password"), ("3D000", "database"), ("42501", "tables")]
        {
            let error = of_opening(&fail(code).await, "postgres://h/db");
            let StoreError::BadUrl { message, .. } = error else { panic!("{error:?}") };
            assert!(message.contains(expected), "{message}");
        }
        assert!(is_duplicate(&fail("23505").await));
        let end = "SELECT pg_terminate_backend(pg_backend_pid())";
        assert_eq!(of(&client.batch_execute(end).await.unwrap_err()).code(), "store.unavailable");
        assert_eq!(of(&client.batch_execute(end).await.unwrap_err()).code(), "store.unavailable");
    }
}
