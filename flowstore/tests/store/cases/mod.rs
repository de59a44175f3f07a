//! The promises of the trait, one by one.

pub(crate) mod append;
pub(crate) mod create;
pub(crate) mod messages;
pub(crate) mod owners;
pub(crate) mod prune;
pub(crate) mod reading;
