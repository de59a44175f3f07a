//! Lists of a server: as a table, or as JSON.

use clap::ValueEnum;
use flowcore::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::human::{DIM, paint};
use super::{json, table};
use crate::error::CliError;
use crate::moment;
use crate::server::ServerError;
use crate::session::Session;

/// How a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A line for each.
    Table,
    /// One JSON document.
    Json,
}

#[derive(Serialize)]
struct List<'a> {
    items: &'a [Json],
}

/// Shows what a server listed. JSON is as the server gave it, the cells of a table are made from what
/// is read of it.
pub(crate) fn show<T: DeserializeOwned, const COLUMNS: usize>(
    session: &mut Session,
    form: Form,
    items: &[Json],
    titles: [&str; COLUMNS],
    cells: impl Fn(T) -> [String; COLUMNS],
) -> Result<(), CliError> {
    if form == Form::Json {
        return json::write(&mut session.output, &List { items });
    }
    if items.is_empty() {
        session.note("there are none");
        return Ok(());
    }
    let mut rows = vec![titles.map(|title| paint(DIM, title))];
    for item in items {
        let read = serde_json::from_value(item.clone());
        rows.push(cells(read.map_err(|error| ServerError::Unreadable(error.to_string()))?));
    }
    let width = session.output.list_width();
    for line in table::table(&rows, width) {
        session.output.text(&(line + "\n"))?;
    }
    Ok(())
}

/// A moment, if there is one, in the time zone of this computer.
pub(crate) fn when(at: Option<Timestamp>) -> String {
    at.map(moment::show).unwrap_or_default()
}
