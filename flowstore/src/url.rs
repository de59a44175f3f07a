//! Which store a URL names.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use flowruntime::store::{Store, StoreError};

use crate::Home;

/// What a process does with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// It executes. Of a SQLite file only one process at a time does.
    Execute,
    /// It looks, and leaves messages for those that execute, which it never holds up.
    Visit,
}

/// The URL of a store: `sqlite://flow.db`, or `postgres://user:password@host/database`.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file; `sqlite://flow.db` is relative, `sqlite:///var/lib/flow.db` absolute.
    Sqlite(PathBuf),
    /// A PostgreSQL database, as its client writes it.
    Postgres(String),
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = |message: &str| StoreError::BadUrl {
            url: without_password(text),
            message: message.to_owned(),
        };
        match text.split_once("://") {
            Some(("sqlite", "")) => Err(bad("it names no file")),
            Some(("sqlite", path)) => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            Some(_) | None => Err(bad("it does not begin with `sqlite://` or `postgres://`")),
        }
    }
}

impl StoreUrl {
    /// The file of the sealing key that a store brings: beside a SQLite file, `<file>.key`. `None` for a
    /// database.
    pub fn key_file(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(path) => {
                // As the store finds it, whatever link leads to the file.
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let mut file = path.into_os_string();
                file.push(".key");
                Some(file.into())
            }
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    // The last `@` before the path: a password may hold one.
    let authority = rest.find('/').map_or(rest, |end| &rest[..end]);
    match authority.rfind('@') {
        Some(at) => {
            let user = rest[..at].split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{}", &rest[at + 1..])
        }
        None => url.to_owned(),
    }
}

/// Opens the store that a URL names, and brings its tables up to date. A SQLite file that does not
/// exist is made.
///
/// # Errors
/// [`StoreError`], among others when another process executes from the file, and when the store was
/// made by a newer version.
pub async fn open(url: &StoreUrl, access: Access) -> Result<Arc<dyn Store>, StoreError> {
    let home = open_home(url, access).await?;
    Ok(home)
}

/// As [`open`], with the catalog that is kept there, too.
///
/// # Errors
/// As those of [`open`].
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(unused_variables, reason = "a build may have no store at all")
)]
pub async fn open_home(url: &StoreUrl, access: Access) -> Result<Arc<dyn Home>, StoreError> {
    match url {
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite(path) => {
            let store = crate::SqliteStore::open(path, access).await?;
            Ok(Arc::new(store))
        }
        #[cfg(feature = "postgres")]
        StoreUrl::Postgres(url) => {
            let store = crate::PostgresStore::connect(url, access).await?;
            Ok(Arc::new(store))
        }
        #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
        other => Err(StoreError::BadUrl {
            url: other.to_string(),
            message: "this build does not have such stores".to_owned(),
        }),
    }
}
