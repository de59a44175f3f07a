//! Keeps executions in a SQLite file or a PostgreSQL database.
//!
//! [`open`] picks the store by its URL; see [`flowruntime::store::Store`] for what it promises. A
//! server has a [`Catalog`] in the same place, which [`open_home`] opens with it.
#![warn(missing_docs)]

mod catalog;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod chain;
mod keyring;
#[cfg(feature = "postgres")]
mod postgres;
mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;

pub use catalog::{
    AuditCheck, AuditRow, BrokenLink, Catalog, Change, Committed, Expect, Home, MAX_RECORD_KEY,
    Record, RecordKey,
};
pub use keyring::{Keyring, KeyringError};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use seal::{SealingKey, SealingKeyError};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use url::{Access, StoreUrl, open, open_home};
