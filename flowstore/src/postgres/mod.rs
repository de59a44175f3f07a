//! A store in a PostgreSQL database.

mod append;
mod catalog;
mod claims;
mod connector;
mod convert;
mod create;
mod failure;
mod guard;
mod home;
mod inbox;
mod owners;
mod pipeline;
mod pool;
mod prune;
mod read;
mod records;
mod schema;
mod settings;
mod store;
mod writer;

pub use store::PostgresStore;
