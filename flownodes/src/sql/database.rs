//! Which database a URL names.

use flowcore::NodeError;

/// A database.
#[derive(Debug)]
pub(super) enum Database {
    /// A file of SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(String),
    /// A PostgreSQL server and what it takes to get in. Its `Debug` hides the password.
    #[cfg(feature = "postgres")]
    Postgres(Box<tokio_postgres::Config>),
}

impl Database {
    /// Reads a URL.
    ///
    /// # Errors
    /// `sql.bad_url`, which does not show the URL, since it has a password; `sql.not_built_in`.
    pub(super) fn read(url: &str) -> Result<Self, NodeError> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite(path.strip_prefix("//").unwrap_or(path));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url);
        }
        Err(bad_url("it does not start with `sqlite://` or `postgres://`"))
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(path: &str) -> Result<Database, NodeError> {
    if path.is_empty() {
        return Err(bad_url("it names no file"));
    }
    if path.starts_with(":memory:") {
        return Err(bad_url("a database in memory would be gone after one statement"));
    }
    if path.contains(['?', '\0']) {
        return Err(bad_url("the path has a `?`, and there are no options"));
    }
    Ok(Database::Sqlite(path.to_owned()))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_path: &str) -> Result<Database, NodeError> {
    Err(not_built_in("SQLite", "sqlite"))
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Database, NodeError> {
    // What the parser says may name a part of the URL.
    let config = url.parse::<tokio_postgres::Config>();
    let mut config = config.map_err(|_| bad_url("PostgreSQL cannot read it"))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(bad_url("it names no host"));
    }
    if config.get_application_name().is_none() {
        config.application_name("flow");
    }
    Ok(Database::Postgres(Box::new(config)))
}

#[cfg(not(feature = "postgres"))]
fn postgres(_url: &str) -> Result<Database, NodeError> {
    Err(not_built_in("PostgreSQL", "postgres"))
}

fn bad_url(why: &str) -> NodeError {
    NodeError::new("sql.bad_url", format!("`database` is no URL of a database: {why}"))
        .with_hint("`sqlite://orders.db`, or `postgres://user:password@host/database`")
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn not_built_in(name: &str, feature: &str) -> NodeError {
    NodeError::new("sql.not_built_in", format!("this program was built without {name}"))
        .with_hint(format!("build flownodes with its feature `{feature}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[test]
    fn files_are_relative_or_absolute() {
        for (url, expected) in [
            ("sqlite://a/b.db", "a/b.db"),
            ("sqlite:a.db", "a.db"),
            ("sqlite:///var/a b.db", "/var/a b.db"),
        ] {
            let read = Database::read(url).unwrap();
            assert!(matches!(&read, Database::Sqlite(path) if path == expected), "{url}: {read:?}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_shown() {
        for url in [
            "",
            "s3cret",
            "mysql://s3cret",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite:s3cret?mode=rw",
            "postgres:///s3cret",
            "postgres://ada:s3cret@host:port/x",
            "postgres://host/x?s3cret=1",
        ] {
            let error = Database::read(url).unwrap_err();
            let expected = ["sql.bad_url", "sql.not_built_in"];
            assert!(expected.contains(&error.code()) && !error.is_retryable(), "{url}: {error:?}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
