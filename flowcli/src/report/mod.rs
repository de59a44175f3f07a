//! What people and programs get to see.

pub(crate) mod diagnostics;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod logs;
pub(crate) mod node_page;
mod schema_text;
pub(crate) mod table;
