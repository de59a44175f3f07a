//! The promises of the trait, one by one.

pub(crate) mod append;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod audit;
pub(crate) mod create;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod disk;
pub(crate) mod messages;
pub(crate) mod owners;
pub(crate) mod prune;
pub(crate) mod reading;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod records;
