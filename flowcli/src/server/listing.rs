//! Lists of a server, part by part.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Ask, Server};
use crate::error::CliError;

/// The most items that a server gives at once.
pub(super) const MOST_AT_ONCE: usize = 500;

/// A part of a list.
#[derive(Deserialize)]
pub(super) struct Part<T> {
    pub(super) items: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

impl Server {
    /// The first items of a list, and whether there are more. The request is made for each part.
    pub(crate) fn list<T: DeserializeOwned>(
        &self,
        most: usize,
        ask: impl Fn() -> Ask,
    ) -> Result<(Vec<T>, bool), CliError> {
        let (items, cursor) = self.list_after(most, None, ask)?;
        Ok((items, cursor.is_some()))
    }

    /// The items of a list after a cursor, and where it goes on.
    pub(super) fn list_after<T: DeserializeOwned>(
        &self,
        most: usize,
        mut cursor: Option<String>,
        ask: impl Fn() -> Ask,
    ) -> Result<(Vec<T>, Option<String>), CliError> {
        let mut items = Vec::new();
        loop {
            let at_once = (most - items.len()).min(MOST_AT_ONCE);
            let part = ask().query("limit", Some(at_once.to_string())).query("cursor", cursor);
            let part: Part<T> = self.ask(part)?.read()?;
            items.extend(part.items);
            cursor = part.next_cursor;
            if cursor.is_none() || items.len() >= most {
                return Ok((items, cursor));
            }
        }
    }
}
