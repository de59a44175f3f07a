//! The `sql.*` nodes.

mod database;
mod error;
mod params;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod result;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
#[cfg(test)]
mod testing;

use flowcore::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(query::QueryFactory::default());
}
