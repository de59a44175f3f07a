//! `sql.query` on SQLite.
//!
//! Each attempt opens the file and closes it: that takes a fraction of a millisecond, and so no
//! setting, temporary table or lock of one execution is ever seen by another.

mod failure;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flowcore::{NodeContext, NodeError, NodeOutput};
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Batch, Connection, OpenFlags, Statement};

use super::error::{STOPPED, cancelled, several_statements, stopped, timed_out};
use super::params::Place;
use super::query::Request;
use super::result::Rows;
use crate::error::without_secret;

/// How many steps of SQLite's machine pass between two looks at whether to stop; a few microseconds.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// How long a lock is waited for before the attempt fails with `sql.busy`, so that the retry policy
/// decides.
const BUSY_LIMIT: Duration =
    if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(5) };

/// The wait before a lock is tried again.
const BUSY_WAIT: Duration = Duration::from_millis(5);

/// Tells the thread that works for an attempt to stop.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Stops the work of an attempt that is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Runs one statement. Once this returns, the statement has ended and the file is closed; when it is
/// dropped, that follows within milliseconds.
pub(super) async fn run(
    ctx: &NodeContext,
    path: &str,
    secret: bool,
    request: Request,
) -> Result<NodeOutput, NodeError> {
    let path =
        allowed(ctx, path, request.read_only).map_err(|error| without_secret(error, secret))?;
    let limit = request.timeout;
    let stop = Stop::default();
    let _guard = StopOnDrop(stop.clone());
    let for_work = stop.clone();
    let mut work = tokio::task::spawn_blocking(move || {
        let shown = if secret { None } else { Some(&*path) };
        execute(&path, shown, &request, &for_work)
    });
    let why = tokio::select! {
        biased;
        done = &mut work => return done.expect("reading a database does not panic"),
        reason = ctx.cancellation().cancelled() => cancelled(reason),
        () = tokio::time::sleep(limit) => timed_out(limit),
    };
    stop.set();
    match work.await.expect("reading a database does not panic") {
        // It was faster: what happened is told, not what was meant.
        Ok(output) => Ok(output),
        // Waiting for a lock ends like that.
        Err(error) if [STOPPED, failure::BUSY].contains(&error.code()) => Err(why),
        Err(error) => Err(error),
    }
}

fn allowed(ctx: &NodeContext, path: &str, read_only: bool) -> Result<PathBuf, NodeError> {
    let full = ctx.policy().read_path(path)?;
    if !read_only {
        ctx.policy().write_path(path)?;
    }
    Ok(full)
}

fn execute(
    path: &Path,
    shown: Option<&Path>,
    request: &Request,
    stop: &Stop,
) -> Result<NodeOutput, NodeError> {
    // Opening a pipe could wait for ever.
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return Err(failure::not_a_file(shown));
    }
    let connection =
        open(path, request.read_only, stop).map_err(|error| failure::of_opening(shown, &error))?;
    let failed = |error: rusqlite::Error| failure::of_statement(request, &error);
    let mut batch = Batch::new(&connection, &request.query);
    let mut statement =
        batch.next().map_err(failed)?.ok_or_else(|| failed(rusqlite::Error::InvalidQuery))?;
    if !matches!(batch.next(), Ok(None)) {
        return Err(several_statements());
    }
    bind(&mut statement, request)?;
    // What changes something and gives rows is done before the last row is taken.
    let needs_transaction =
        statement.column_count() > 0 && !statement.readonly() && !is_pragma(&request.query);
    if needs_transaction {
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    }
    let rows = collect(&mut statement, request, stop)?;
    drop(statement);
    if needs_transaction {
        // When this is not reached, closing the connection rolls back.
        connection.execute_batch("COMMIT").map_err(failed)?;
    }
    rows.output(connection.changes())
}

fn is_pragma(query: &str) -> bool {
    query.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("pragma"))
}

fn open(path: &Path, read_only: bool, stop: &Stop) -> rusqlite::Result<Connection> {
    let access = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    let mut connection =
        Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    let stopped = stop.clone();
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || stopped.is_set()))?;
    let stopped = stop.clone();
    let started = Instant::now();
    connection.busy_handler(Some(move |_| {
        let goes_on = !stopped.is_set() && started.elapsed() < BUSY_LIMIT;
        if goes_on {
            std::thread::sleep(BUSY_WAIT);
        }
        goes_on
    }))?;
    connection.execute_batch("PRAGMA foreign_keys = ON")?;
    connection.authorizer(Some(authorize))?;
    Ok(connection)
}

/// Refuses what reaches other files than the one that the policy was asked about, and what changes
/// the whole process.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        // `VACUUM` attaches a file without a name.
        AuthAction::Attach { filename: "" } => Authorization::Allow,
        // An unknown one may be an `ATTACH` whose file is not a literal.
        AuthAction::Attach { .. } | AuthAction::Unknown { .. } => Authorization::Deny,
        AuthAction::Pragma { pragma_name, .. }
            if ["temp_store_directory", "data_store_directory"]
                .iter()
                .any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
        {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}

fn bind(statement: &mut Statement<'_>, request: &Request) -> Result<(), NodeError> {
    let count = statement.parameter_count();
    let values = {
        let places: Vec<Place<'_>> =
            (1..=count).map(|index| place(index, statement.parameter_name(index))).collect();
        request.params.in_order(&places)?
    };
    for (index, value) in (1..).zip(&values) {
        let value = value::to_sql(index, value)?;
        let bound = statement.raw_bind_parameter(index, value);
        bound.map_err(|error| failure::of_statement(request, &error))?;
    }
    Ok(())
}

/// `?` and `?1` are positions; so is `$1`, which SQLite takes for a name.
fn place(index: usize, name: Option<&str>) -> Place<'_> {
    let Some(name) = name else { return Place::At(index) };
    let bare = name.trim_start_matches(['?', '$', ':', '@']);
    match bare.parse() {
        Ok(position) if name.starts_with(['?', '$']) => Place::At(position),
        _ => Place::Named(bare),
    }
}

fn collect(
    statement: &mut Statement<'_>,
    request: &Request,
    stop: &Stop,
) -> Result<Rows, NodeError> {
    let failed = |error: rusqlite::Error| failure::of_statement(request, &error);
    let mut rows = Rows::new(statement.column_names(), request.limits)?;
    let mut found = statement.raw_query();
    while let Some(row) = found.next().map_err(failed)? {
        if stop.is_set() {
            return Err(stopped());
        }
        rows.push(|index, name| value::from_sql(name, row.get_ref(index).map_err(failed)?))?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
