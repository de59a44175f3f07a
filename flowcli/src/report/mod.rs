//! What people and programs get to see.

pub(crate) mod diagnostics;
pub(crate) mod ending;
pub(crate) mod history;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod logs;
pub(crate) mod node_page;
pub(crate) mod progress;
mod schema_text;
pub(crate) mod size;
pub(crate) mod table;
