//! Keeps executions in a SQLite file or a PostgreSQL database.
//!
//! [`open`] picks the store by its URL; see [`flowruntime::store::Store`] for what it promises.
#![warn(missing_docs)]

#[cfg(feature = "postgres")]
mod postgres;
mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;
mod url;

#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use seal::{SealingKey, SealingKeyError};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use url::{Access, StoreUrl, open};
